"""The lock file of a data folder: origins and checksums of fetched files, and accepted terms."""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from filelock import FileLock

from spectrum_trl.errors import UserError
from spectrum_trl.files import write_json
from spectrum_trl.strict.json import read_json
from spectrum_trl.suite.building.manifest import has_types

NAME = "spectrum-data.lock.json"
EMPTY: dict[str, dict[str, Any]] = {"accepted": {}, "files": {}, "revisions": {}}


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
        places = map(PurePosixPath, found["files"])
        sound = (
            has_types(found, dict.fromkeys(EMPTY, dict))
            and all(_is_entry(known) for known in found["files"].values())
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


def _is_entry(known: Any) -> bool:
    kinds = Entry.__annotations__
    return isinstance(known, dict) and known.keys() == kinds.keys() and has_types(known, kinds)


def today() -> str:
    """Return the date in UTC, such as 2026-01-31."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()
