"""Fetch a file from the web, unpacked if it is an archive, or files from the Hugging Face Hub.

A file from the web is fetched with retries, resumption and a checksum, and moved into place atomically. pooch
retries, verifies and moves it, but always downloads it from the start and has no option to resume; its
``downloader`` argument adds that.
"""

import codecs
import errno
import os
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from spectrum_trl.console import visible
from spectrum_trl.errors import Unreachable, UserError
from spectrum_trl.files import sha256_of, target_of
from spectrum_trl.strict.json import strict_json
from spectrum_trl.suite.fetching.lock import begin
from spectrum_trl.suite.reading.files import DAMAGED
from spectrum_trl.suite.source import Download, HubFiles

RETRIES = 4
# The most that a broken connection loses.
CHUNK_BYTES = 2**15
TIMEOUT_SECONDS = 30
# Responses that a retry does not change.
FINAL = (401, 403, 404, 410)
# Marks near the beginning of a page sent instead of a file: a login form, an error, a licence to accept.
PAGE = re.compile(r"\s*(?=<).*?(<!doctype html|<html|<head|<title|<script|<error)", re.IGNORECASE | re.DOTALL)
LOOKED_AT = 2048
PAGES, JSONS = (".html", ".htm", ".xhtml", ".xml"), (".json", ".jsonl", ".ndjson")
Advance = Callable[[int], None]
# Up to this size anything is unpacked; beyond it, at most this many times the size of the archive.
ALWAYS_BYTES, MOST_SHRUNK = 2**30, 200
# What file systems allow, in bytes, and how much of a longer name a message shows, in characters.
LONGEST_NAME, SHOWN = 255, 40


def download(
    url: str, path: Path, *, sha256: str | None, way_out: str = "", advance: Advance = lambda n: None
) -> str:
    """Download a file.

    Args:
        url: Its URL.
        path: Where to save it; its folder is created. An existing file is replaced only by a verified one.
        sha256: Expected SHA-256, or None if unknown.
        way_out: How to accept another file, if the checksum is that of an earlier fetch.
        advance: Called with the number of bytes received.

    Returns:
        The SHA-256 of the file.

    Raises:
        UserError: If it cannot be downloaded, or is not the expected file; says what to do.
    """
    import pooch
    import requests

    path.parent.mkdir(parents=True, exist_ok=True)
    # Keep a symbolic link, for example to a larger disk.
    path = target_of(path)
    part = path.with_name(f".{path.name}.part")
    # Not in the file's folder: without a checksum pooch would keep an existing file, and if killed it leaves
    # files whose names we do not know.
    folder = path.with_name(f".{path.name}.fetched")
    shutil.rmtree(folder, ignore_errors=True)
    store = pooch.create(folder, base_url="", registry={path.name: sha256}, urls={path.name: url})
    store.retry_if_failed = RETRIES
    pooch.get_logger().setLevel("ERROR")
    try:
        downloader = _Resuming(part, checked=sha256 is not None, advance=advance)
        fresh = Path(store.fetch(path.name, downloader=downloader))
        found = sha256_of(fresh)
        fresh.replace(path)
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        raise UserError(f"{url}: {_refused(status)}") from None
    except requests.RequestException as error:
        reason = type(error).__name__ if len(str(error)) > 120 else " ".join(str(error).split())
        raise Unreachable(
            f"{url} cannot be reached ({reason}). Check the connection and run the same command "
            "again: it resumes the download"
        ) from None
    except ValueError:
        which = "fetched earlier" if way_out else "published"
        raise UserError(
            f"{url} sent a different file from the one {which} (expected sha256 {sha256}). Run the command "
            "again; if this persists, the file was changed by its publisher or on the way"
            + (f": {way_out}" if way_out else "")
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


class _Resuming:
    """A downloader for pooch that resumes an interrupted download."""

    def __init__(self, part: Path, *, checked: bool, advance: Advance) -> None:
        """Set the partial file, whether its hash is verified later, and the progress callback."""
        self.part, self.checked, self.advance = part, checked, advance
        self.tag = part.with_suffix(".tag")

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        """Download to the partial file, then move it to where pooch expects it."""
        import requests

        self.advance(0)
        start, tag = self._left()
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-"} | ({"If-Range": tag} if tag else {})
        with requests.get(url, stream=True, timeout=TIMEOUT_SECONDS, headers=headers) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self._forget()
                raise requests.ConnectionError("the file is now shorter than its partial download")
            if response.status_code in FINAL:
                raise UserError(f"{url}: {_refused(response.status_code)}")
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            if resumed and not _goes_on(response.headers, start):
                self._forget()
                raise requests.ConnectionError("the server sent a different part of the file than requested")
            self.tag.write_text(response.headers.get("ETag", ""), encoding="utf-8")
            with open(self.part, "ab" if resumed else "wb", buffering=0) as file:
                for chunk in _chunks(response):
                    file.write(chunk)
                    self.advance(len(chunk))
        self._check_kind(url)
        shutil.move(self.part, output_file)
        self._forget()

    def _left(self) -> tuple[int, str]:
        """Return the size of the partial file and its ETag; size 0 if its version is unknown."""
        tag = self.tag.read_text("utf-8") if self.tag.is_file() else ""
        # A weak ETag does not guarantee the same bytes.
        strong = tag if tag and not tag.startswith("W/") else ""
        usable = self.part.is_file() and (strong or self.checked)
        return (self.part.stat().st_size if usable else 0), strong

    def _forget(self) -> None:
        self.tag.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def _check_kind(self, url: str) -> None:
        kind = self.part.with_suffix("").suffix.lower()
        with open(self.part, "rb") as file:
            begins = file.read(LOOKED_AT)
        if kind not in PAGES and PAGE.match(_text(begins)):
            self._forget()
            raise UserError(
                f"{url} sent a web page instead of the file. It may ask for a login or for consent: open "
                "the URL in a browser, and put the file into the data folder by hand"
            )
        if kind not in JSONS and len(begins) < LOOKED_AT and _is_message(begins):
            self._forget()
            raise UserError(f"{url} sent a message instead of the file ({_text(begins)[:100]}): try later")


def _text(content: bytes) -> str:
    marks = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    return content.decode(marks.get(content[:2], "utf-8-sig"), errors="ignore")


def _is_message(content: bytes) -> bool:
    """Return whether a file is one JSON object, as services send with an error."""
    try:
        return isinstance(strict_json(content, finite=False), dict)
    except ValueError:
        return False


def _goes_on(headers: Any, start: int) -> bool:
    """Return whether a partial response starts at the requested byte and is not encoded."""
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return bool(found and int(found[1]) == start and not headers.get("Content-Encoding"))


def _chunks(response: Any) -> Iterator[bytes]:
    """Yield bytes as soon as they arrive, so a slow download can be interrupted."""
    import requests
    import urllib3

    try:
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            yield chunk
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(str(error)) from None


def _refused(status: int) -> str:
    if status in (401, 403):
        return f"access refused ({status}). Log in or request access, or download the file by hand"
    if status in (404, 410):
        return f"the file is no longer there ({status}). Look for a new URL, and download it by hand"
    return f"the server answered {status}. Run the same command again later"


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
    except (zipfile.BadZipFile, ValueError, *DAMAGED) as error:
        # Decompressors' errors have no number, and a wrong place in the archive is an invalid argument;
        # other errors are the disk's.
        if isinstance(error, OSError) and (error.filename or error.errno not in (None, errno.EINVAL)):
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
    if wrong := next((path for path in paths if not path.name), None):
        return f"has a file named {str(wrong)!r}: download and unpack it by hand"
    if long := next((p for path in paths for p in path.parts if len(p.encode()) > LONGEST_NAME), None):
        return (
            f"has a name longer than {LONGEST_NAME} bytes ({long[:SHOWN]}…): download and unpack it by hand"
        )
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


def fetch_from_hub(
    wanted: HubFiles, *, data_dir: Path, commit: str | None, advance: Callable[[int], None] = lambda n: None
) -> tuple[str, list[Path]]:
    """Fetch the files that match the patterns.

    Args:
        wanted: The dataset and its files.
        data_dir: The data folder.
        commit: Commit of an earlier fetch, or None for the newest one of the declared revision.
        advance: Called with the number of bytes received.

    Returns:
        The commit, and the paths of the files.

    Raises:
        UserError: If they cannot be fetched; says what to do.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import httpx

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        return _fetch(api, wanted, data_dir=data_dir, commit=commit or wanted.revision, advance=advance)
    except GatedRepoError:
        raise UserError(
            f"{wanted.repo} is gated: accept its terms at {wanted.origin}, then log in with `hf auth login`"
        ) from None
    except RevisionNotFoundError:
        raise UserError(
            f"{wanted.repo} has no revision {commit or wanted.revision}: correct it, or if its history was "
            "rewritten, add --again to `spectrum-trl data fetch` to fetch the newest one"
        ) from None
    except RepositoryNotFoundError:
        raise UserError(
            f"{wanted.repo} does not exist or is private: see {wanted.origin}, or run `hf auth login`"
        ) from None
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, httpx.HTTPError):
        raise Unreachable(
            f"{wanted.repo} cannot be reached: check the connection, and HF_HUB_OFFLINE"
        ) from None
    except (HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{wanted.repo} could not be fetched ({reason}). Run the command again") from None


def _fetch(
    api: Any, wanted: HubFiles, *, data_dir: Path, commit: str, advance: Callable[[int], None]
) -> tuple[str, list[Path]]:
    from huggingface_hub.utils import filter_repo_objects

    info = api.dataset_info(wanted.repo, revision=commit)
    names = [sibling.rfilename for sibling in info.siblings or []]
    chosen = list(filter_repo_objects(names, allow_patterns=list(wanted.files)))
    if not chosen:
        raise UserError(
            f"{wanted.repo} at {str(info.sha)[:7]} has no {' or '.join(wanted.files)}. It has: "
            f"{', '.join(visible(name[:100]) for name in names[:10])}. If its files were renamed, put them "
            f"into {data_dir / wanted.path} by hand"
        )
    if outside := [each for each in chosen if each.startswith("/") or ".." in PurePosixPath(each).parts]:
        raise UserError(f"{wanted.repo} would write outside its folder ({visible(outside[0][:100])})")
    folder = data_dir / wanted.path
    begin(wanted, data_dir=data_dir)
    api.snapshot_download(
        wanted.repo,
        repo_type="dataset",
        revision=info.sha,
        allow_patterns=chosen,
        local_dir=folder,
        tqdm_class=_reporting(advance),
    )
    return str(info.sha), [folder / name for name in chosen]


def _reporting(advance: Callable[[int], None]) -> Any:
    """Return a progress bar that calls ``advance`` at each update, so a download can be interrupted."""
    from huggingface_hub.utils import tqdm

    class Reporting(tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            advance(0)
            return super().update(n)

    return Reporting
