"""Fetch the files of sources into the data folder in parallel, with checksums in the lock file."""

import fnmatch
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from spectrum_trl.errors import Interrupted, Unreachable, UserError, refuse
from spectrum_trl.files import folder_problems, sha256_of
from spectrum_trl.suite.fetching.download import download, fetch_from_hub, unpack
from spectrum_trl.suite.fetching.lock import EMPTY, PREFIX, Entry, changing_lock, mark_of, read_lock, today
from spectrum_trl.suite.source import Download, HubFiles, Source, checksums
from spectrum_trl.suite.task import OWN

PARALLEL = 4
# Folder for archives until they are unpacked.
ARCHIVES = ".archives"
Progress = Callable[[str, int], None]


class Fetched(NamedTuple):
    """Result of fetching one source.

    Attributes:
        source: Its name.
        files: Number of files fetched.
        kept: Number of downloads already present.
    """

    source: str
    files: int
    kept: int


def offline() -> bool:
    """Return whether HF_HUB_OFFLINE forbids using the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def fetch(
    sources: Iterable[Source],
    *,
    data_dir: Path,
    accept: bool = False,
    again: bool = False,
    progress: Progress = lambda name, n: None,
) -> list[Fetched]:
    """Fetch sources; files already present are kept.

    Args:
        sources: The sources.
        data_dir: The data folder, created if missing.
        accept: Whether the user accepts the terms of those that have terms; recorded in the lock file.
        again: Whether to ignore what earlier fetches locked, and fetch the currently published files.
        progress: Called with a source's name and the number of bytes received.

    Returns:
        One result per source.

    Raises:
        UserError: With everything that could not be fetched and why; other files are kept. `Unreachable` if
            a server could not be reached.
    """
    chosen = list(sources)
    refuse(folder_problems(data_dir))
    check_access(chosen, data_dir=data_dir, accept=accept)
    if offline():
        raise UserError("HF_HUB_OFFLINE is set, so nothing is fetched: unset it")
    data_dir.mkdir(parents=True, exist_ok=True)
    if accepted := [source.name for source in chosen if source.terms]:
        with changing_lock(data_dir) as lock:
            lock["accepted"] |= {name: today() for name in accepted if name not in lock["accepted"]}
    done: list[Fetched] = []
    failed: list[UserError] = []
    with _workers(progress) as (pool, report):
        for source in chosen:
            try:
                done.append(_fetch(source, data_dir=data_dir, pool=pool, progress=report, again=again))
            except UserError as error:
                problems = [f"{source.name}: {problem}" for problem in error.problems]
                steps = [f"{source.name}, by hand: {'; '.join(source.steps)}"] if source.steps else []
                failed.append(type(error)(*problems, *steps))
            except OSError as error:
                place = error.filename2 or error.filename or data_dir
                reason = f"{place} cannot be written: {error.strerror or error}"
                failed.append(UserError(f"{source.name}: {reason}"))
    _raise(failed)
    return done


def _raise(failed: list[UserError]) -> None:
    """Raise all errors as one, if there are any."""
    if failed:
        unreachable = any(isinstance(error, Unreachable) for error in failed)
        problems = [problem for error in failed for problem in error.problems]
        raise (Unreachable if unreachable else UserError)(*problems)


@contextmanager
def _workers(progress: Progress) -> Iterator[tuple[ThreadPool, Progress]]:
    """Yield a thread pool and a progress callback that stops its threads after the block, as on Ctrl-C.

    Not an executor: the program could not exit while one of its threads waits for a silent server.
    """
    stop = threading.Event()

    def report(name: str, n: int) -> None:
        if stop.is_set():
            raise Interrupted("stopped: run the same command again to resume")
        progress(name, n)

    with ThreadPool(PARALLEL) as pool:
        try:
            yield pool, report
        finally:
            stop.set()


def check_access(sources: Iterable[Source], *, data_dir: Path, accept: bool) -> None:
    """Check that sources can be fetched, and that their terms are accepted.

    Raises:
        UserError: With every source that cannot be fetched.
    """
    accepted = read_lock(data_dir)["accepted"]
    problems = []
    for source in sources:
        if source.access == "request":
            problems.append(f"{source.name} is available on request: {source.ask}")
        elif source.access == "manual":
            problems.append(f"{source.name} must be downloaded by hand: {'; '.join(source.steps)}")
        elif source.access == "generated":
            problems.append(f"{source.name} is generated, so nothing is fetched")
        elif source.terms and not accept and source.name not in accepted:
            problems.append(f"{source.name}: {source.terms} Add --accept if you agree")
    refuse(problems)


def _fetch(source: Source, *, data_dir: Path, pool: ThreadPool, progress: Progress, again: bool) -> Fetched:
    # Another process may be fetching the same source; this one then finds its files.
    with FileLock(data_dir / f".{source.name}.fetching.lock"):
        lock = read_lock(data_dir)
        wanted = [
            each for each in source.downloads if again or not _present(each, data_dir=data_dir, lock=lock)
        ]
        results = pool.map(
            lambda each: _attempt(each, source=source, data_dir=data_dir, progress=progress, again=again),
            wanted,
        )
        _raise([result for result in results if isinstance(result, UserError)])
    return Fetched(
        source.name, sum(n for n in results if isinstance(n, int)), len(source.downloads) - len(wanted)
    )


def _attempt(
    wanted: Download | HubFiles, *, source: Source, data_dir: Path, progress: Progress, again: bool
) -> int | UserError:
    """Fetch and lock one of a source's downloads; return the number of files, or the error."""
    try:
        known = read_lock(data_dir) if not again else {part: {} for part in EMPTY}
        progress(source.name, 0)
        if not isinstance(wanted, HubFiles):
            files = _web(wanted, source=source, data_dir=data_dir, progress=progress, lock=known)
            _keep(wanted, files, data_dir=data_dir)
            return len(files)
        commit, paths = fetch_from_hub(
            wanted,
            data_dir=data_dir,
            commit=known["revisions"].get(f"{wanted.repo}@{wanted.revision}"),
            advance=lambda n: progress(source.name, n),
        )
        address = f"hf://datasets/{wanted.repo}@{commit}"
        files = {_below(path, data_dir): _entry(path, fetched=None, url=address) for path in paths}
        check_published(files, data_dir=data_dir)
        progress(source.name, sum(known.bytes for known in files.values()))
        _keep(wanted, files, data_dir=data_dir, commit=commit)
        return len(files)
    except UserError as error:
        return error


def _keep(
    wanted: Download | HubFiles, files: Mapping[str, Entry], *, data_dir: Path, commit: str = ""
) -> None:
    """Record fetched files in the lock file, delete those they replace, and remove the mark."""
    with changing_lock(data_dir) as lock:
        for path in _locked(wanted, lock).keys() - files.keys():
            del lock["files"][path]
            (data_dir / path).unlink(missing_ok=True)
        lock["files"] |= {path: known._asdict() for path, known in files.items()}
        if isinstance(wanted, HubFiles):
            lock["revisions"][f"{wanted.repo}@{wanted.revision}"] = commit
    if (mark := mark_of(wanted, data_dir=data_dir)).exists():
        mark.unlink()


def check_published(files: Mapping[str, Entry], *, data_dir: Path) -> None:
    """Check files against the checksums known in advance, and delete those that differ.

    Raises:
        UserError: With every file that differs.
    """
    published = checksums()
    wrong = [path for path, found in files.items() if published.get(path, found.sha256) != found.sha256]
    for path in wrong:
        (data_dir / path).unlink()
    refuse(f"{path}: the server sent a different file from the one published" for path in wrong)


def _web(
    wanted: Download, *, source: Source, data_dir: Path, progress: Progress, lock: dict[str, dict[str, Any]]
) -> dict[str, Entry]:
    archive = data_dir / ARCHIVES / wanted.path.replace("/", "_")
    place = archive if wanted.is_zip else data_dir / wanted.path
    known = next((e for e in _locked(wanted, lock).values() if e.url == wanted.url), None)
    name = "YOUR.yaml" if source.name == OWN else source.name
    digest = download(
        wanted.url,
        place,
        sha256=wanted.sha256 or (known.fetched_sha256 if known else None),
        way_out="" if wanted.sha256 else f"`spectrum-trl data fetch {name} --again` accepts the new file",
        advance=lambda n: progress(source.name, n),
    )
    try:
        paths = unpack(place, wanted, data_dir=data_dir) if wanted.is_zip else [place]
    finally:
        if wanted.is_zip:
            place.unlink()
    files = {_below(path, data_dir): _entry(path, fetched=digest, url=wanted.url) for path in paths}
    check_published(files, data_dir=data_dir)
    return files


def _locked(wanted: Download | HubFiles, lock: dict[str, dict[str, Any]]) -> dict[str, Entry]:
    """Return the lock file's entries for a download's files, by path below the data folder."""
    every = {path: Entry(**known) for path, known in lock["files"].items()}
    if isinstance(wanted, HubFiles):
        address = f"hf://datasets/{wanted.repo}@"
        return {
            path: known
            for path, known in every.items()
            if known.url.startswith(address)
            and any(fnmatch.fnmatch(path, f"{wanted.path}/{pattern}") for pattern in wanted.files)
        }
    if wanted.is_zip:
        folder = f"{wanted.path}/"
        return {p: known for p, known in every.items() if p.startswith(folder) and known.url == wanted.url}
    return {path: known for path, known in every.items() if path == wanted.path}


def _present(wanted: Download | HubFiles, *, data_dir: Path, lock: dict[str, dict[str, Any]]) -> bool:
    """Return whether a download's files are present: those in the lock file, or put there by hand."""
    if mark_of(wanted, data_dir=data_dir).exists():
        return False
    if known := _locked(wanted, lock):
        places = {data_dir / path: each.bytes for path, each in known.items()}
        return all(place.is_file() and place.stat().st_size == size for place, size in places.items())
    if isinstance(wanted, Download) and not wanted.is_zip:
        return (data_dir / wanted.path).is_file()
    folder = data_dir / wanted.path
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    # Not our own files, or those of the Hub's client.
    seen = [name for name in names if not name.startswith((".cache/", PREFIX))]
    patterns = wanted.files if isinstance(wanted, HubFiles) else ("*",)
    return all(fnmatch.filter(seen, pattern) for pattern in patterns)


def _entry(path: Path, *, fetched: str | None, url: str) -> Entry:
    digest = sha256_of(path)
    return Entry(digest, path.stat().st_size, fetched or digest, url)


def _below(path: Path, data_dir: Path) -> str:
    return path.relative_to(data_dir).as_posix()
