"""Download one file: retried, resumed where the connection broke, checked, and moved into place as a whole.

pooch retries, checks and moves; that it goes on with a partial file is added through its ``downloader``
argument, since it begins anew by itself (fatiando/pooch has no option for it).
"""

import codecs
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spectrum_trl.errors import Unreachable, UserError
from spectrum_trl.files import sha256_of, target_of
from spectrum_trl.strict.json import strict_json

RETRIES = 4
# What a broken connection loses at the most.
CHUNK_BYTES = 2**15
TIMEOUT_SECONDS = 30
# Answers that another try does not change.
FINAL = (401, 403, 404, 410)
# What stands near the beginning of a page that is sent in place of a file: a log-in form, an error, a
# licence to accept.
PAGE = re.compile(r"\s*(?=<).*?(<!doctype html|<html|<head|<title|<script|<error)", re.IGNORECASE | re.DOTALL)
LOOKED_AT = 2048
PAGES, JSONS = (".html", ".htm", ".xhtml", ".xml"), (".json", ".jsonl", ".ndjson")
Advance = Callable[[int], None]


def download(
    url: str, path: Path, *, sha256: str | None, way_out: str = "", advance: Advance = lambda n: None
) -> str:
    """Download a file.

    Args:
        url: Its address.
        path: Where it goes; its folder is made. What is there is replaced only by a checked file.
        sha256: Of the bytes, or None where it is not known.
        way_out: How another file can be taken, where the sum is that of an earlier fetch.
        advance: Is told the number of bytes that came.

    Returns:
        The SHA-256 of what came.

    Raises:
        UserError: If it cannot be had, or is not what it should be; says how to go on.
    """
    import pooch
    import requests

    path.parent.mkdir(parents=True, exist_ok=True)
    # A link to where there is room stays one.
    path = target_of(path)
    part = path.with_name(f".{path.name}.part")
    # Not the file itself: pooch would keep one that is there, where its sum is not known.
    fresh = path.with_name(f".{path.name}.fetched")
    fresh.unlink(missing_ok=True)
    store = pooch.create(fresh.parent, base_url="", registry={fresh.name: sha256}, urls={fresh.name: url})
    store.retry_if_failed = RETRIES
    pooch.get_logger().setLevel("ERROR")
    try:
        store.fetch(fresh.name, downloader=_Resuming(part, checked=sha256 is not None, advance=advance))
        found = sha256_of(fresh)
        fresh.replace(path)
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        raise UserError(f"{url}: {_refused(status)}") from None
    except requests.RequestException as error:
        raise Unreachable(
            f"{url} cannot be reached ({_reason(error)}). Check the connection and run the same command "
            "again: it goes on where it stopped"
        ) from None
    except ValueError:
        which = "fetched before" if way_out else "published"
        raise UserError(
            f"{url} sent another file than the one {which} (expected sha256 {sha256}). Run the command "
            "again; if this stays, its publisher has changed it, or somebody between has"
            + (f": {way_out}" if way_out else "")
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        fresh.unlink(missing_ok=True)
    return found


class _Resuming:
    """A downloader for pooch that goes on with what an interrupted one left."""

    def __init__(self, part: Path, *, checked: bool, advance: Advance) -> None:
        """Take where the bytes go, whether their hash is checked later, and who is told of progress."""
        self.part, self.checked, self.advance = part, checked, advance
        self.tag = part.with_suffix(".tag")

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        """Download to the part, then move it to where pooch wants it."""
        import requests

        self.advance(0)
        start, tag = self._left()
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-"} | ({"If-Range": tag} if tag else {})
        with requests.get(url, stream=True, timeout=TIMEOUT_SECONDS, headers=headers) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self._forget()
                raise requests.ConnectionError("the file is shorter now than what was fetched of it")
            if response.status_code in FINAL:
                raise UserError(f"{url}: {_refused(response.status_code)}")
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            if resumed and not _goes_on(response.headers, start):
                self._forget()
                raise requests.ConnectionError("the server sent another part of the file than asked for")
            self._remember(response.headers.get("ETag", ""))
            with open(self.part, "ab" if resumed else "wb", buffering=0) as file:
                for chunk in _chunks(response):
                    file.write(chunk)
                    self.advance(len(chunk))
        self._check_kind(url)
        shutil.move(self.part, output_file)
        self._forget()

    def _left(self) -> tuple[int, str]:
        """Return how many bytes an earlier try left, and the version they are of; none if it is not known."""
        tag = self.tag.read_text("utf-8") if self.tag.is_file() else ""
        # A weak tag does not promise the same bytes.
        strong = tag if tag and not tag.startswith("W/") else ""
        usable = self.part.is_file() and (strong or self.checked)
        return (self.part.stat().st_size if usable else 0), strong

    def _remember(self, tag: str) -> None:
        self.tag.write_text(tag, encoding="utf-8")

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
                f"{url} sent a web page in place of the file. It may ask for a log-in or for consent: open "
                "the address in a browser, and put the file into the data folder by hand"
            )
        if kind not in JSONS and len(begins) < LOOKED_AT and _is_message(begins):
            self._forget()
            raise UserError(f"{url} sent a message in place of the file ({_text(begins)[:100]}): try later")


def _text(content: bytes) -> str:
    marks = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    return content.decode(marks.get(content[:2], "utf-8-sig"), errors="ignore")


def _is_message(content: bytes) -> bool:
    """Tell whether a whole file is one JSON object, as services send it that refuse."""
    try:
        return isinstance(strict_json(content, finite=False), dict)
    except ValueError:
        return False


def _goes_on(headers: Any, start: int) -> bool:
    """Tell whether part of a file goes on where it was asked to, and is sent as it is."""
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return bool(found and int(found[1]) == start and not headers.get("Content-Encoding"))


def _chunks(response: Any) -> Iterator[bytes]:
    """Yield what comes as soon as it does, so that a slow download can be stopped."""
    import requests
    import urllib3

    try:
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            yield chunk
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(str(error)) from None


def _refused(status: int) -> str:
    if status in (401, 403):
        return f"access refused ({status}). Log in or ask for access, or get the file by hand"
    if status in (404, 410):
        return f"the file is not there any more ({status}). Get it by hand, or look for a new address"
    return f"the server answered {status}. Run the same command again later"


def _reason(error: Exception) -> str:
    return type(error).__name__ if len(str(error)) > 120 else " ".join(str(error).split())
