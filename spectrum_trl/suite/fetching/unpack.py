"""Unpack ZIP archives into the data folder: all files or none."""

import shutil
import zipfile
import zlib
from collections import Counter
from pathlib import Path, PurePosixPath

from spectrum_trl.errors import UserError
from spectrum_trl.suite.fetching.unfinished import begin
from spectrum_trl.suite.source import Download

# Up to this size anything is unpacked; beyond it, at most this many times the size of the archive.
ALWAYS_BYTES, MOST_SHRUNK = 2**30, 200


def unpack(archive: Path, wanted: Download, *, data_dir: Path) -> list[Path]:
    """Unpack an archive.

    Args:
        archive: The downloaded file; temporary files are written beside it.
        wanted: Its declaration: where its members go.
        data_dir: The data folder.

    Returns:
        The paths of the unpacked files.

    Raises:
        UserError: If it is damaged, empty, suspiciously large, or would write outside its folder.
    """
    scratch = archive.with_name(f"{archive.name}.unpacked")
    # May be left by a killed process.
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as packed:
            names = [name for name in packed.namelist() if not name.endswith("/")]
            size = sum(packed.getinfo(name).file_size for name in names)
            if problem := _problem(names, size=size, packed_size=archive.stat().st_size):
                raise UserError(f"{wanted.url}: its archive {problem}")
            packed.extractall(scratch, members=names)
        begin(wanted, data_dir=data_dir)
        places = [data_dir / wanted.path / name for name in names]
        for name, place in zip(names, places, strict=True):
            place.parent.mkdir(parents=True, exist_ok=True)
            Path(scratch, name).replace(place)
    except RuntimeError as error:
        # A password, or a compression method that Python does not support.
        raise UserError(
            f"{wanted.url} sent a zip archive that cannot be unpacked ({error}): get the files by hand, and "
            f"put them into {data_dir / wanted.path}"
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        # Errors of the operating system have a number, those of decompressors have none.
        if isinstance(error, OSError) and error.errno:
            raise
        raise UserError(f"{wanted.url} sent a damaged zip archive ({error}): fetch it again") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return places


def _problem(names: list[str], *, size: int, packed_size: int) -> str:
    """Return why an archive of such members is not unpacked, or an empty string."""
    if not names:
        return "has no files"
    if outside := [name for name in names if name.startswith("/") or ".." in PurePosixPath(name).parts]:
        return f"would write outside its folder ({outside[0]})"
    paths = Counter(PurePosixPath(name) for name in names)
    folders = {folder for path in paths for folder in path.parents}
    if both := next((path for path, n in paths.items() if n > 1 or path in folders), None):
        return f"has {both} twice, or as a file and a folder: download it by hand"
    # Tables compress by less than a factor of 100.
    if size > max(ALWAYS_BYTES, MOST_SHRUNK * packed_size):
        return (
            f"unpacks to more than {MOST_SHRUNK} times its size ({size:,} bytes): if that is right, "
            "download and unpack it by hand"
        )
    return ""
