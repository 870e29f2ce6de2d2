"""Download one file: retried, resumed where the connection broke, checked, and moved into place as a whole.

pooch retries, checks and moves; that it goes on with a partial file is added through its ``downloader``
argument, since it begins anew by itself (fatiando/pooch has no option for it).
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spectrum_trl.errors import Unreachable, UserError

RETRIES = 4
# What a broken connection loses at the most.
CHUNK_BYTES = 2**15
TIMEOUT_SECONDS = 30
# What a page begins with that is sent in place of a file: a log-in form, an error, a licence to accept.
PAGES = (b"<!doctype html", b"<html", b'<?xml version="1.0" encoding="utf-8"?><error', b"<head>")
Advance = Callable[[int], None]


def download(url: str, path: Path, *, sha256: str | None, advance: Advance = lambda n: None) -> str:
    """Download a file.

    Args:
        url: Its address.
        path: Where it goes; its folder is made. What is there is replaced only by a checked file.
        sha256: Of the bytes, or None where it is not known.
        advance: Is told the number of bytes that came.

    Returns:
        The SHA-256 of what came.

    Raises:
        UserError: If it cannot be had, or is not what it should be; says how to go on.
    """
    import pooch
    import requests

    path.parent.mkdir(parents=True, exist_ok=True)
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
        raise UserError(f"{url}: {_refused(error)}") from None
    except requests.RequestException as error:
        raise Unreachable(
            f"{url} cannot be reached ({_reason(error)}). Check the connection and run the same command "
            "again: it goes on where it stopped"
        ) from None
    except ValueError:
        raise UserError(
            f"{url} sent another file than the one published (expected sha256 {sha256}). Run the command "
            "again; if this stays, its publisher has changed it, or somebody between has"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        fresh.unlink(missing_ok=True)
    return found


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Resuming:
    """A downloader for pooch that goes on with what an interrupted one left."""

    def __init__(self, part: Path, *, checked: bool, advance: Advance) -> None:
        """Take where the bytes go, whether their hash is checked later, and who is told of progress."""
        self.part, self.checked, self.advance = part, checked, advance
        self.tag = part.with_suffix(".tag")

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        """Download to the part, then move it to where pooch wants it."""
        import requests

        start, tag = self._left()
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-"} | ({"If-Range": tag} if tag else {})
        with requests.get(url, stream=True, timeout=TIMEOUT_SECONDS, headers=headers) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self._forget()
                raise requests.ConnectionError("the file is shorter now than what was fetched of it")
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            self._remember(response.headers.get("ETag", ""))
            with open(self.part, "ab" if resumed else "wb") as file:
                for chunk in response.iter_content(CHUNK_BYTES):
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
        with open(self.part, "rb") as file:
            begins = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        if begins.startswith(PAGES):
            self._forget()
            raise UserError(
                f"{url} sent a web page in place of the file. It may ask for a log-in or for consent: open "
                "the address in a browser, and put the file into the data folder by hand"
            )


def _refused(error: Any) -> str:
    status = error.response.status_code
    if status in (401, 403):
        return f"access refused ({status}). Log in or ask for access, or get the file by hand"
    if status in (404, 410):
        return f"the file is not there any more ({status}). Get it by hand, or look for a new address"
    return f"the server answered {status}. Run the same command again later"


def _reason(error: Exception) -> str:
    return type(error).__name__ if len(str(error)) > 120 else " ".join(str(error).split())
