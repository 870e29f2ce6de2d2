"""Publish a build on the Hugging Face Hub, with a card that names sources and licences."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from spectrum_trl.errors import UserError, nearest, refuse
from spectrum_trl.suite.building.manifest import MANIFEST, read_manifest
from spectrum_trl.suite.building.record import is_whole
from spectrum_trl.suite.building.stats import cell
from spectrum_trl.suite.catalogue import suite_tasks


def push(folder: Path, repo: str, *, public: bool = False) -> str:
    """Publish a build.

    Args:
        folder: Folder that ``spectrum-trl data build`` wrote.
        repo: Dataset id on the Hub, as ``owner/name``.
        public: Whether the dataset is public; otherwise private.

    Returns:
        The URL of the commit.

    Raises:
        UserError: If it is not a build, holds data that may not be redistributed, or cannot be published.
    """
    return upload(partial(stage, folder, repo=repo, public=public), repo, kind="dataset", public=public)


def upload(
    staging: Callable[[Path], object], repo: str, *, kind: Literal["dataset", "model"], public: bool
) -> str:
    """Publish a folder, and return the URL of the commit.

    Args:
        staging: Writes the files to publish into an empty folder.
        repo: Id on the Hub; created if it does not exist.
        kind: What the repository holds.
        public: Whether it is public; otherwise private.

    Raises:
        UserError: If it cannot be published.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            staging(Path(scratch))
            api.create_repo(repo, repo_type=kind, private=not public, exist_ok=True)
            # An existing repository keeps its visibility.
            if not public and not api.repo_info(repo, repo_type=kind).private:
                raise UserError(f"{repo} is public: add --public, or name another")
            info = api.upload_folder(repo_id=repo, repo_type=kind, folder_path=scratch)
    except HFValidationError as error:
        raise UserError(f"{repo}: {' '.join(str(error).split())}") from None
    except (HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{repo} could not be published ({reason}); log in with `hf auth login`") from None
    return str(info.commit_url)


def stage(folder: Path, target: Path, *, repo: str, public: bool = False) -> None:
    """Copy the files to publish into a folder: parquet files, the manifest, and the card.

    Args:
        folder: The build.
        target: An empty folder.
        repo: Dataset id on the Hub, for the card.
        public: Whether it will be public, which data without a licence must not be.

    Raises:
        UserError: If it is not a build, or holds data that may not be redistributed.
    """
    manifest = read_manifest(folder)
    if manifest is None or not manifest["tasks"]:
        raise UserError(
            f"{folder} holds no build: create one with `spectrum-trl data build --output {folder}`"
        )
    refuse(_problems(manifest["tasks"], folder, public=public))
    (target / "data").mkdir()
    for name in manifest["tasks"]:
        shutil.copyfile(folder / f"{name}.parquet", target / "data" / f"{name}.parquet")
    shutil.copyfile(folder / MANIFEST, target / MANIFEST)
    (target / "README.md").write_text(_card(manifest, repo=repo), encoding="utf-8")


def _problems(tasks: dict[str, Any], folder: Path, *, public: bool) -> Iterator[str]:
    known = suite_tasks()
    for name, record in tasks.items():
        if not is_whole(folder / f"{name}.parquet", record):
            yield f"{folder / name}.parquet is missing or damaged: build it again into that folder"
        if name not in known:
            near = nearest(name, known)
            yield f"{name}: no such task, so its licence is unknown.{near} Build the others again"
        elif known[name].source.forbids:
            yield (
                f"{name}: its terms do not allow redistribution ({known[name].source.forbids}). Build the "
                "other tasks into another folder"
            )
        elif public and known[name].source.is_unlicensed:
            yield (
                f"{name}: no licence allows publishing it ({known[name].source.licence}). Leave "
                "--public out, or build the other tasks into another folder"
            )


def _card(manifest: dict[str, Any], *, repo: str) -> str:
    from huggingface_hub import DatasetCardData

    tasks = suite_tasks()
    configs = [
        {"config_name": name, "data_files": [{"split": tasks[name].split, "path": f"data/{name}.parquet"}]}
        for name in manifest["tasks"]
    ]
    data = DatasetCardData(configs=configs, license="other", tags=["spectrum-tuning"])
    rows = [
        f"| `{name}` | {record['sequences']:,} | {record['outputs']:,} | {cell(tasks[name].source.title)} | "
        f"{cell(tasks[name].source.licence)} |"
        for name, record in manifest["tasks"].items()
    ]
    citations = sorted({tasks[name].source.citation for name in manifest["tasks"]} - {""})
    return "\n".join(
        [
            "---",
            data.to_yaml(),
            "---",
            f"# {repo.rpartition('/')[2]}",
            "",
            "Sequences of exchangeable samples for Spectrum Tuning (arXiv 2510.06084), built by spectrum-trl "
            f"{manifest['version']} with seed {manifest['seed']} and {manifest['sampling']} sampling. Each "
            "task keeps the licence of its source.",
            "",
            "| task | sequences | outputs | source | licence |",
            "| --- | ---: | ---: | --- | --- |",
            *rows,
            "",
            *(f"- {citation}" for citation in citations),
            "",
        ]
    )
