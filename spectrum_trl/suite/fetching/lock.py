"""The records of a data folder: a lock file, and marks of unfinished downloads.

The lock file holds origins and checksums of fetched files, and accepted terms. A mark lies in a folder that
may lack some of its files.
"""

import datetime
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, NamedTuple

from filelock import FileLock

from spectrum_trl.errors import UserError
from spectrum_trl.files import write_json
from spectrum_trl.strict.json import read_json
from spectrum_trl.suite.building.manifest import has_types
from spectrum_trl.suite.source import Download, HubFiles

PREFIX = ".unfinished-"
NAME = "spectrum-data.lock.json"
EMPTY: dict[str, dict[str, Any]] = {"accepted": {}, "files": {}, "revisions": {}}


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


class Entry(NamedTuple):
    """The lock file's entry for one file.

    Attributes:
        sha256: SHA-256 of the file in the data folder.
        bytes: Its size.
        fetched_sha256: SHA-256 of the bytes sent; of the archive, if the file was unpacked from one.
        url: Its origin.
    """

    sha256: str
    bytes: int
    fetched_sha256: str
    url: str


def read_lock(data_dir: Path) -> dict[str, dict[str, Any]]:
    """Return the lock file's contents, or empty contents if it does not exist.

    Raises:
        UserError: If it is damaged.
    """
    path = data_dir / NAME
    try:
        found = read_json(path)
        places, kinds = map(PurePosixPath, found["files"]), Entry.__annotations__
        sound = (
            has_types(found, dict.fromkeys(EMPTY, dict))
            and all(
                isinstance(known, dict) and known.keys() == kinds.keys() and has_types(known, kinds)
                for known in found["files"].values()
            )
            # These paths are deleted when other files replace them.
            and not any(place.is_absolute() or ".." in place.parts for place in places)
            and all(isinstance(commit, str) for commit in found["revisions"].values())
        )
        if not sound:
            raise ValueError
        return {part: found[part] for part in EMPTY}
    except FileNotFoundError:
        return {part: {} for part in EMPTY}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{path} is damaged: restore a copy, or delete it and fetch again (which renews checksums)"
        ) from None


@contextmanager
def changing_lock(data_dir: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """Yield the lock file's contents for changes, written at the end of the block; one process at a time."""
    with FileLock(data_dir / f".{NAME}.lock"):
        lock = read_lock(data_dir)
        yield lock
        write_json(lock, data_dir / NAME)


def today() -> str:
    """Return the date in UTC, such as 2026-01-31."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()
