"""Locate the file of a user's table: on disk, on the web or on the Hub."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from spectrum_trl.errors import nearest
from spectrum_trl.suite.reading.encoding import PACKERS
from spectrum_trl.suite.source import Download, HubFiles, Source
from spectrum_trl.suite.task import OWN

TITLE = "the user's own"
ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
WEB, HUB = ("https://", "http://"), "hf://datasets/"
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# Leaves room for what is added to a file name during a fetch.
MOST_NAME_BYTES = 200


def on_web(file: str) -> bool:
    """Return whether a file is on the web."""
    return file.lower().startswith(WEB)


def address_problems(file: str, *, beside: Path) -> Iterator[str]:
    """Yield the problems with a file's location.

    Args:
        file: A path, a web URL, or a Hub URL (``hf://datasets/…``).
        beside: The YAML file that names it.
    """
    if on_web(file):
        yield from _web_problems(file)
    elif SCHEME.match(file) and not file.startswith(HUB):
        yield f"expected a path, a URL with https:// or http://, or {HUB}…, found {file!r}"
    elif not _ends_well(file):
        yield f"expected one of {', '.join(ENDINGS)}, found {file!r}"
    elif file.startswith(HUB):
        if file.removeprefix(HUB).count("/") < 2:
            yield f"expected {HUB}OWNER/NAME[@REVISION]/FILE, found {file!r}"
    else:
        path = beside.parent / file
        if path.is_dir():
            yield f"{path} is a folder; expected a file"
        elif not path.is_file():
            near = nearest(path.name, [other.name for other in path.parent.glob("*")])
            yield f"{path} does not exist.{near} Paths are relative to the YAML file"


def source_of(file: str, *, sha256: str | None, beside: Path, name: str) -> tuple[str, Source]:
    """Return the path of the rows, below the data folder or absolute, and the source to fetch them from.

    Args:
        file: A location without problems.
        sha256: SHA-256 of a file on the web, if known.
        beside: The YAML file that names it.
        name: Name of the task.
    """
    title = f"{TITLE} ({file})"
    # One folder per URL, so files of different URLs are never confused.
    folder = f"{OWN}/{name}-{hashlib.sha256(f'{file} {sha256}'.encode()).hexdigest()[:8]}"
    if on_web(file):
        place = f"{folder}/{PurePosixPath(urlsplit(file).path).name}"
        return place, _source(title, Download(path=place, url=file, sha256=sha256))
    if file.startswith(HUB):
        owner, repo, *inside = file.removeprefix(HUB).split("/")
        repo, _, revision = repo.partition("@")
        if revision == "refs":
            # As in hf://datasets/OWNER/NAME@refs/convert/parquet/FILE.
            revision, inside = "/".join((revision, *inside[:2])), inside[2:]
        pattern = "/".join(inside)
        repo, revision = f"{owner}/{repo}", revision or "main"
        files = HubFiles(path=folder, repo=repo, files=(pattern,), revision=revision)
        return f"{folder}/{pattern}", _source(title, files)
    return str((beside.parent / file).resolve()), Source(name=OWN, title=TITLE)


def _source(title: str, *downloads: Download | HubFiles) -> Source:
    return Source(name=OWN, title=title, downloads=downloads)


def _web_problems(file: str) -> Iterator[str]:
    try:
        parts = urlsplit(file)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        yield f"{file!r} is not a valid URL: {error}"
        return
    name = PurePosixPath(parts.path).name
    if not host or host.startswith(".") or not name:
        yield f"{file!r} is not the URL of a file: expected https://HOST/FILE"
    elif set(name) & set("*?["):
        yield f"expected the URL of one file, without any of *?[, found {file!r}"
    elif len(name.encode()) > MOST_NAME_BYTES:
        yield f"the file name has more than {MOST_NAME_BYTES} bytes; download it by hand under a shorter name"
    elif not _ends_well(name):
        yield f"expected one of {', '.join(ENDINGS)}, found {file!r}"


def _ends_well(name: str) -> bool:
    stem = next((name.removesuffix(end) for end in PACKERS if name.endswith(end)), name)
    # Parquet has its own compression.
    return stem.lower().endswith(ENDINGS if stem == name else ENDINGS[:-1])
