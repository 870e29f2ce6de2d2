"""Marks of downloads into folders that were begun: some of their files may be there, and others not yet."""

import hashlib
from pathlib import Path, PurePath

from spectrum_trl.suite.source import Download, HubFiles

PREFIX = ".unfinished-"


def mark_of(wanted: Download | HubFiles, *, data_dir: Path) -> Path:
    """Return where the mark of a download is; it is there from the first file until the last is locked."""
    origin = wanted.repo if isinstance(wanted, HubFiles) else wanted.url
    files = wanted.files if isinstance(wanted, HubFiles) else wanted.members
    digest = hashlib.sha256(repr((origin, files)).encode()).hexdigest()[:8]
    return data_dir / wanted.path / f"{PREFIX}{digest}"


def begin(wanted: Download | HubFiles, *, data_dir: Path) -> None:
    """Mark a download as begun; its folder is made."""
    mark = mark_of(wanted, data_dir=data_dir)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(
        "Files of this folder are not all there: fetch them again. If you put all of them here by hand, "
        "remove this file.\n",
        encoding="utf-8",
    )


def is_begun(pattern: str, *, data_dir: Path) -> bool:
    """Tell whether what a path or glob below the data folder names belongs to a download that was begun."""
    path = PurePath(pattern)
    # The last parent is the data folder itself, into which no download goes.
    folders = [] if path.is_absolute() else list(path.parents)[:-1]
    return any(next((data_dir / folder).glob(f"{PREFIX}*"), None) for folder in folders)
