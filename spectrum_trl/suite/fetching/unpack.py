"""Unpack what was downloaded into the data folder: all of it or nothing."""

import bz2
import gzip
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from spectrum_trl.errors import UserError
from spectrum_trl.files import write_atomic
from spectrum_trl.suite.source import Download

PACKED: dict[str, Callable[..., Any]] = {"gz": gzip.open, "bz2": bz2.open}


def unpack(archive: Path, wanted: Download, *, data_dir: Path) -> list[Path]:
    """Unpack an archive or a packed file.

    Args:
        archive: What was downloaded.
        wanted: Says what it holds and where that goes.
        data_dir: The data folder.

    Returns:
        The files that came of it, below the data folder.

    Raises:
        UserError: If it is damaged, lacks a member, or wants to write outside its folder.
    """
    target = data_dir / wanted.path
    try:
        if wanted.unpack in PACKED:
            target.parent.mkdir(parents=True, exist_ok=True)
            with write_atomic(target) as temporary, PACKED[wanted.unpack](archive, "rb") as packed:
                with open(temporary, "wb") as file:
                    shutil.copyfileobj(packed, file)
            return [target]
        return _members(archive, wanted, target=target)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        # What the system refuses has a number, what a packer refuses has none.
        if isinstance(error, OSError) and error.errno:
            raise
        raise UserError(
            f"{wanted.url} sent a damaged {wanted.unpack} archive ({error}): fetch it again"
        ) from None


def _members(archive: Path, wanted: Download, *, target: Path) -> list[Path]:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".unpacking-") as scratch:
        if wanted.unpack == "zip":
            with zipfile.ZipFile(archive) as packed:
                names = [name for name in packed.namelist() if not name.endswith("/")]
                chosen = _chosen(names, wanted)
                packed.extractall(scratch, members=chosen)
        else:
            with tarfile.open(archive) as packed_tar:
                members = {member.name: member for member in packed_tar.getmembers() if member.isfile()}
                chosen = _chosen(list(members), wanted)
                packed_tar.extractall(scratch, members=[members[name] for name in chosen], filter="data")
        found = []
        for name in chosen:
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            Path(scratch, name).replace(place)
            found.append(place)
    return found


def _chosen(names: list[str], wanted: Download) -> list[str]:
    chosen = [name for name in names if not wanted.members or _matches(name, wanted.members)]
    lacking = [m for m in wanted.members if not any(_matches(name, (m,)) for name in names)]
    if lacking or not chosen:
        raise UserError(
            f"{wanted.url}: its archive has no {', '.join(lacking) or 'files'}, but {', '.join(names[:4])}"
        )
    if outside := [name for name in chosen if name.startswith("/") or ".." in PurePosixPath(name).parts]:
        raise UserError(f"{wanted.url}: its archive would write outside its folder ({outside[0]})")
    return chosen


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(PurePosixPath(name).match(pattern) for pattern in patterns)
