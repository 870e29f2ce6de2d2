"""Marks of unfinished downloads into folders, some of whose files may be missing."""

import hashlib
from pathlib import Path, PurePath

from spectrum_trl.suite.source import Download, HubFiles

PREFIX = ".unfinished-"


def mark_of(wanted: Download | HubFiles, *, data_dir: Path) -> Path:
    """Return the path of a download's mark, which exists from its first file until the last is locked."""
    origin = wanted.repo if isinstance(wanted, HubFiles) else wanted.url
    files = wanted.files if isinstance(wanted, HubFiles) else ()
    digest = hashlib.sha256(repr((origin, files)).encode()).hexdigest()[:8]
    return data_dir / wanted.path / f"{PREFIX}{digest}"


def begin(wanted: Download | HubFiles, *, data_dir: Path) -> None:
    """Mark a download as begun, and create its folder."""
    mark = mark_of(wanted, data_dir=data_dir)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(
        "Some files of this folder are missing: fetch them again. If you put all of them here by hand, "
        "delete this file.\n",
        encoding="utf-8",
    )


def is_begun(pattern: str, *, data_dir: Path) -> bool:
    """Return whether a path or glob below the data folder belongs to an unfinished download."""
    path = PurePath(pattern)
    # The last parent is the data folder itself, into which no download goes.
    folders = [] if path.is_absolute() else list(path.parents)[:-1]
    return any(next((data_dir / folder).glob(f"{PREFIX}*"), None) for folder in folders)
