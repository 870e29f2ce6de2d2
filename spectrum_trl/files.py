"""Atomic file writes, and checks that a path can be written."""

import glob
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from spectrum_trl.errors import UserError, refuse

STDOUT = Path("/dev/stdout")


@contextmanager
def write_atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside ``path`` that replaces it when the block ends without an error.

    Args:
        path: The file to write; its folder must exist. A link is followed; permissions stay.

    Raises:
        UserError: If the path is not a regular file, for example a device.
    """
    target = target_of(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def remove_left(path: Path) -> None:
    """Remove what processes left of a file that were killed while they wrote it with `write_atomic`."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        pid = left.name.split(".")[-2]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            left.unlink(missing_ok=True)


def target_of(path: Path) -> Path:
    """Return the file to write for a path, which may be a link and need not exist yet.

    Raises:
        UserError: If the path is not a regular file, which must not be replaced.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise UserError(f"{path} is a folder; name a file")
    # Only a link to itself is still a link here; that of /dev/stdout to a pipe ends in a name without a file.
    if target.is_symlink() or (path.exists() and not path.is_file()):
        raise UserError(f"{path} is not a regular file (a device or a pipe, for example); name another")
    # A file that the shell redirected to, perhaps with >>, would lose what was printed.
    if path.exists() and STDOUT.exists() and path.samefile(STDOUT):
        raise UserError(f"{path} is standard output; name another file")
    return target


def write_json(value: Any, path: Path) -> None:
    """Write JSON atomically; NaN and infinity become null."""
    text = json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    with write_atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON lacks, by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    return [finite(part) for part in value] if isinstance(value, list | tuple) else value


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing(path: Path, *, way_out: str = "name another") -> Iterator[None]:
    """Turn an ``OSError`` while writing ``path`` into a ``UserError`` whose message ends with ``way_out``."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}; {way_out}") from error


def check_writable(file: Path) -> None:
    """Check that a file in an existing folder can be written, before the long work that produces it.

    Raises:
        UserError: If it cannot.
    """
    with writing(file):
        target = target_of(file)
        if not target.parent.is_dir():
            raise UserError(f"{file} cannot be written: there is no folder {target.parent}; create it first")
    refuse(folder_problems(target.parent))


def check_new_folder(out: Path) -> None:
    """Check that a folder to be written by `new_folder` is empty or does not exist, and can be created.

    Raises:
        UserError: If not.
    """
    with writing(out):
        taken = out.is_symlink() or out.is_file() or (out.is_dir() and any(out.iterdir()))
    if taken or out.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise UserError(f"{out} is not an empty folder; name a new one")
    # It is written beside ``out`` first, then renamed.
    refuse(f"{out}: {problem}" for problem in folder_problems(out.parent))


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder to fill, which becomes ``out`` when the block ends without an error.

    It lies beside ``out`` and is cleared of whatever a killed process left in it.

    Raises:
        UserError: If another process is writing to ``out``.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    side = out.parent / f".{out.name}.unfinished"
    side.mkdir(exist_ok=True)
    lock = FileLock(side / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"{out} is being written by another process; wait for it to finish") from error
    try:
        shutil.rmtree(side / "folder", ignore_errors=True)
        (side / "folder").mkdir()
        yield side / "folder"
        # Replaces an empty folder, and fails if the folder has been filled in the meantime.
        (side / "folder").rename(out)
    finally:
        shutil.rmtree(side, ignore_errors=True)
        lock.release()


def folder_problems(folder: Path) -> Iterator[str]:
    """Yield the reasons why a folder, which may be missing with its parents, cannot be created or written."""
    try:
        present = next(
            path for path in (folder, *folder.absolute().parents) if path.is_symlink() or path.exists()
        )
        if not present.exists():
            yield f"{present} is a link to {os.readlink(present)}, which does not exist; name another folder"
        elif not present.is_dir():
            yield f"{present} is a file; name a folder"
        elif not os.access(present, os.W_OK | os.X_OK):
            yield f"{present} cannot be written; name another folder, or change its permissions"
    except OSError as error:
        yield f"{error.strerror}; name another folder"
