"""Unpack downloads into the data folder: all files or none."""

import bz2
import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from spectrum_trl.errors import UserError
from spectrum_trl.files import write_atomic
from spectrum_trl.suite.fetching.unfinished import begin
from spectrum_trl.suite.source import Download

PACKED: dict[str, Callable[..., Any]] = {"gz": gzip.open, "bz2": bz2.open}
PART_BYTES = 2**20
# Up to this size anything is unpacked; beyond it, at most this many times the size of the archive.
ALWAYS_BYTES, MOST_SHRUNK = 2**30, 200
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError)


def unpack(archive: Path, wanted: Download, *, data_dir: Path) -> list[Path]:
    """Unpack an archive or a compressed file.

    Args:
        archive: The downloaded file; temporary files are written beside it.
        wanted: Its declaration: the members, and where they go.
        data_dir: The data folder.

    Returns:
        The paths of the unpacked files.

    Raises:
        UserError: If it is damaged, lacks a member, is suspiciously large, or would write outside its folder.
    """
    target = data_dir / wanted.path
    try:
        if wanted.unpack in PACKED:
            target.parent.mkdir(parents=True, exist_ok=True)
            with write_atomic(target) as temporary, PACKED[wanted.unpack](archive, "rb") as packed:
                with open(temporary, "wb") as file:
                    size = 0
                    while part := packed.read(PART_BYTES):
                        size += len(part)
                        _check_size(size, archive, wanted)
                        file.write(part)
            return [target]
        return _members(archive, wanted, data_dir=data_dir)
    except RuntimeError as error:
        # A password, or a compression method that Python does not support.
        raise UserError(
            f"{wanted.url} sent a {wanted.unpack} archive that cannot be unpacked ({error}): get the files "
            f"by hand, and put them into {target}"
        ) from None
    except DAMAGED as error:
        # Errors of the operating system have a number, those of decompressors have none.
        if isinstance(error, OSError) and error.errno:
            raise
        raise UserError(
            f"{wanted.url} sent a damaged {wanted.unpack} archive ({error}): fetch it again"
        ) from None


def _members(archive: Path, wanted: Download, *, data_dir: Path) -> list[Path]:
    scratch = archive.with_name(f"{archive.name}.unpacked")
    # May be left by a killed process.
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        if wanted.unpack == "zip":
            with zipfile.ZipFile(archive) as packed:
                names = [name for name in packed.namelist() if not name.endswith("/")]
                chosen = _chosen(names, wanted)
                _check_size(sum(packed.getinfo(name).file_size for name in chosen), archive, wanted)
                packed.extractall(scratch, members=chosen)
        else:
            with tarfile.open(archive) as packed_tar:
                members = {member.name: member for member in packed_tar.getmembers() if member.isfile()}
                chosen = _chosen(list(members), wanted)
                _check_size(sum(members[name].size for name in chosen), archive, wanted)
                packed_tar.extractall(scratch, members=[members[name] for name in chosen], filter="data")
        begin(wanted, data_dir=data_dir)
        places = [data_dir / wanted.path / name for name in chosen]
        for name, place in zip(chosen, places, strict=True):
            place.parent.mkdir(parents=True, exist_ok=True)
            Path(scratch, name).replace(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return places


def _check_size(size: int, archive: Path, wanted: Download) -> None:
    """Reject decompression bombs; tables compress by less than a factor of 100."""
    if size > max(ALWAYS_BYTES, MOST_SHRUNK * archive.stat().st_size):
        raise UserError(
            f"{wanted.url}: its archive unpacks to more than {MOST_SHRUNK} times its size "
            f"({size:,} bytes): if that is right, download and unpack it by hand"
        )


def _chosen(names: list[str], wanted: Download) -> list[str]:
    chosen = [name for name in names if not wanted.members or _matches(name, wanted.members)]
    lacking = [m for m in wanted.members if not any(_matches(name, (m,)) for name in names)]
    if lacking or not chosen:
        raise UserError(
            f"{wanted.url}: its archive has no {', '.join(lacking) or 'files'}, but {', '.join(names[:4])}"
        )
    if outside := [name for name in chosen if name.startswith("/") or ".." in PurePosixPath(name).parts]:
        raise UserError(f"{wanted.url}: its archive would write outside its folder ({outside[0]})")
    if both := _clash(chosen):
        raise UserError(
            f"{wanted.url}: its archive has {both} twice, or as a file and a folder: download it by hand"
        )
    return chosen


def _clash(names: list[str]) -> str:
    """Return a name shared by two members, or by a file and a folder; else an empty string."""
    paths = Counter(PurePosixPath(name) for name in names)
    folders = {folder for path in paths for folder in path.parents}
    return next((str(path) for path, n in paths.items() if n > 1 or path in folders), "")


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(PurePosixPath(name).match(pattern) for pattern in patterns)
