"""Report whether a task's data are present and how to get them, and fetch those that need no consent."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from spectrum_trl.errors import Unreachable, UserError
from spectrum_trl.files import sha256_of
from spectrum_trl.suite.building.manifest import read_manifest
from spectrum_trl.suite.fetching.fetch import fetch, offline
from spectrum_trl.suite.fetching.lock import is_begun, read_lock
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import Task

State = Literal["ready", "can be fetched", "needs consent", "manual", "request"]
logger = logging.getLogger(__name__)


class Status(NamedTuple):
    """Status of a task's data.

    Attributes:
        state: Whether the data are present, or else how they can be obtained.
        how: What to do, in words; empty for a task that is ready.
    """

    state: State
    how: str


def status(task: Task, *, data_dir: Path | None) -> Status:
    """Return the status of a task's data.

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
        case "fetch":
            own = "it is fetched on first use, unless HF_HUB_OFFLINE is set"
            return Status("can be fetched", before + (own if task.own else fetch))
        case "consent":
            return Status("needs consent", f"{source.terms} {fetch} --accept")
        case "request":
            return Status("request", source.ask)
    return Status("manual", "; ".join(source.steps) or f"see {source.homepage}")


def changed_files(data_dir: Path) -> list[str]:
    """Return the files that changed since they were fetched; reads all of them."""
    return [
        path
        for path, known in read_lock(data_dir)["files"].items()
        if (place := data_dir / path).is_file() and sha256_of(place) != known["sha256"]
    ]


def ensure(tasks: Iterable[Task], *, data_dir: Path) -> list[str]:
    """Fetch the sources of tasks whose files are missing, unless they need consent.

    Nothing is fetched if ``HF_HUB_OFFLINE`` is set, or if the folder holds built tasks.

    Args:
        tasks: The tasks.
        data_dir: The data folder.

    Returns:
        One message per file that could not be fetched, with the reason.
    """
    # Deduplicated by the sources themselves, not their names: all user tables have the same name.
    wanted = dict.fromkeys(task.source for task in tasks if task.missing(data_dir))
    return ensure_sources(wanted, data_dir=data_dir)


def ensure_sources(sources: Iterable[Source], *, data_dir: Path) -> list[str]:
    """Fetch sources whose files are missing; arguments and results as for `ensure`."""
    if offline() or read_manifest(data_dir):
        return []
    failed: list[str] = []
    for source in (source for source in sources if source.access == "fetch"):
        logger.warning("fetching %s (%s) into %s", source.name, source.licence, data_dir)
        try:
            fetch([source], data_dir=data_dir)
        except Unreachable as error:
            return [*failed, error.problems[0], "set HF_HUB_OFFLINE=1 to skip fetching"]
        except UserError as error:
            failed += error.problems
    return failed
