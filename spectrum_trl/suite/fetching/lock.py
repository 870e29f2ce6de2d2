"""The lock file of a data folder: what was fetched from where, with which sums; which terms were accepted."""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from filelock import FileLock

from spectrum_trl.errors import UserError
from spectrum_trl.files import write_json
from spectrum_trl.strict.json import read_json

NAME = "spectrum-data.lock.json"
EMPTY: dict[str, dict[str, Any]] = {"accepted": {}, "files": {}, "revisions": {}}


class Entry(NamedTuple):
    """What the lock file knows of one file.

    Attributes:
        sha256: Of the file as it lies in the data folder.
        bytes: Its size.
        fetched_sha256: Of the bytes that were sent: those of the archive, where it was unpacked from one.
        url: Where it came from.
    """

    sha256: str
    bytes: int
    fetched_sha256: str
    url: str


def read_lock(data_dir: Path) -> dict[str, dict[str, Any]]:
    """Return the lock file's contents, or its empty form where there is none.

    Raises:
        UserError: If it is damaged.
    """
    path = data_dir / NAME
    try:
        found = read_json(path)
        if not all(isinstance(found[part], dict) for part in EMPTY):
            raise ValueError
        if not all(_is_entry(known) for known in found["files"].values()):
            raise ValueError
        # They are removed when another file replaces them.
        if any(
            PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts
            for place in found["files"]
        ):
            raise ValueError
        if not all(isinstance(commit, str) for commit in found["revisions"].values()):
            raise ValueError
        return {part: dict(found[part]) for part in EMPTY}
    except FileNotFoundError:
        return {part: {} for part in EMPTY}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{path} is damaged: put back a copy, or remove it and fetch again (sums are then taken anew)"
        ) from None


@contextmanager
def changing_lock(data_dir: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """Yield the lock file's contents to change; written when the block ends, one process at a time."""
    with FileLock(data_dir / f".{NAME}.lock"):
        lock = read_lock(data_dir)
        yield lock
        write_json(lock, data_dir / NAME)


def _is_entry(known: Any) -> bool:
    kinds = {"sha256": str, "bytes": int, "fetched_sha256": str, "url": str}
    return (
        isinstance(known, dict)
        and known.keys() == kinds.keys()
        and all(isinstance(known[name], kind) for name, kind in kinds.items())
    )


def today() -> str:
    """Return the date in UTC, as 2026-01-31."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()
