"""Say of each task whether its data are there, and how to get them otherwise."""

from pathlib import Path
from typing import Literal, NamedTuple

from spectrum_trl.files import sha256_of
from spectrum_trl.suite.fetching.lock import read_lock
from spectrum_trl.suite.fetching.unfinished import is_begun
from spectrum_trl.suite.manifest import read_manifest
from spectrum_trl.suite.task import Task

State = Literal["ready", "can be fetched", "needs consent", "manual", "request"]


class Status(NamedTuple):
    """How a task stands.

    Attributes:
        state: Whether its data are there; else how they can be had.
        how: What to do, in words; nothing for a task that is ready.
    """

    state: State
    how: str


def status(task: Task, *, data_dir: Path | None) -> Status:
    """Return how a task stands.

    Args:
        task: The task.
        data_dir: The data folder, or None.
    """
    source = task.source
    if data_dir and (manifest := read_manifest(data_dir)):
        if task.synthetic or task.name in manifest["tasks"]:
            return Status("ready", "")
        return Status("manual", f"build it into that folder: spectrum-trl data build --output {data_dir}")
    if not task.missing(data_dir):
        return Status("ready", "")
    begun = data_dir and any(is_begun(pattern, data_dir=data_dir) for pattern in task.files)
    before = "an earlier fetch did not finish: " if begun else ""
    fetch = f"spectrum-trl data fetch {source.name}"
    match source.access:
        case "fetch" if task.own:
            return Status(
                "can be fetched", f"{before}it is fetched when it is used, unless HF_HUB_OFFLINE is set"
            )
        case "fetch":
            return Status("can be fetched", before + fetch)
        case "consent":
            return Status("needs consent", f"{source.terms} {fetch} --accept")
        case "request":
            return Status("request", source.ask)
    return Status("manual", "; ".join(source.steps) or f"see {source.homepage}")


def changed_files(data_dir: Path) -> list[str]:
    """Return the fetched files that are not what was fetched any more, reading all of them."""
    return [
        path
        for path, known in read_lock(data_dir)["files"].items()
        if (place := data_dir / path).is_file() and sha256_of(place) != known["sha256"]
    ]
