"""Fetch the files of sources into the data folder: in parallel, each once, sums kept in the lock file."""

import fnmatch
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from spectrum_trl.errors import Unreachable, UserError
from spectrum_trl.files import folder_problems
from spectrum_trl.suite.fetching.download import download, sha256_of
from spectrum_trl.suite.fetching.hub import fetch_from_hub
from spectrum_trl.suite.fetching.lock import Entry, changing_lock, entry, read_lock, today
from spectrum_trl.suite.fetching.unpack import unpack
from spectrum_trl.suite.source import Download, HubFiles, Source, checksums

PARALLEL = 4
# Where archives wait to be unpacked.
ARCHIVES = ".archives"
Told = Callable[[str, int], None]


class Fetched(NamedTuple):
    """What became of one source.

    Attributes:
        source: Its name.
        files: How many files came.
        kept: How many downloads were there already.
    """

    source: str
    files: int
    kept: int


def offline() -> bool:
    """Tell whether HF_HUB_OFFLINE asks for no network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def fetch(
    sources: Iterable[Source],
    *,
    data_dir: Path,
    accept: bool = False,
    told: Told = lambda name, n: None,
) -> list[Fetched]:
    """Fetch sources; what is there already is kept.

    Args:
        sources: Which.
        data_dir: The data folder, made if it is missing.
        accept: Whether the user accepts the terms of those that have some; kept in the lock file.
        told: Is called with a source's name and the number of bytes that came.

    Returns:
        What became of each.

    Raises:
        UserError: With what could not be fetched and why; what could is kept. `Unreachable` if nothing came
            from some address.
    """
    chosen = list(sources)
    if problems := list(folder_problems(data_dir)):
        raise UserError(*problems)
    check_access(chosen, data_dir=data_dir, accept=accept)
    if offline():
        raise UserError("HF_HUB_OFFLINE is set, so that nothing is fetched: unset it")
    data_dir.mkdir(parents=True, exist_ok=True)
    if accepted := [source.name for source in chosen if source.terms]:
        with changing_lock(data_dir) as lock:
            lock["accepted"] |= {name: today() for name in accepted if name not in lock["accepted"]}
    done: list[Fetched] = []
    failed: list[str] = []
    unreachable = False
    with ThreadPoolExecutor(PARALLEL) as pool:
        for source in chosen:
            try:
                done.append(_fetch(source, data_dir=data_dir, pool=pool, told=told))
            except UserError as error:
                failed += [f"{source.name}: {problem}" for problem in error.problems]
                unreachable |= isinstance(error, Unreachable)
            except OSError as error:
                failed.append(f"{source.name}: {data_dir} cannot be written: {error.strerror or error}")
    if failed:
        raise (Unreachable if unreachable else UserError)(*failed)
    return done


def check_access(sources: Iterable[Source], *, data_dir: Path, accept: bool) -> None:
    """Check that sources can be fetched, and that their terms are accepted.

    Raises:
        UserError: With everything that stands against it.
    """
    accepted = read_lock(data_dir)["accepted"]
    problems = []
    for source in sources:
        if source.access == "request":
            problems.append(f"{source.name} has to be asked for: {source.ask}")
        elif source.access == "manual":
            problems.append(f"{source.name} has to be got by hand: {'; '.join(source.steps)}")
        elif source.access == "generated":
            problems.append(f"{source.name} is generated: there is nothing to fetch")
        elif source.terms and not accept and source.name not in accepted:
            problems.append(f"{source.name}: {source.terms} Add --accept if you agree")
    if problems:
        raise UserError(*problems)


def _fetch(source: Source, *, data_dir: Path, pool: ThreadPoolExecutor, told: Told) -> Fetched:
    # Another process may be fetching the same source: the second finds its files.
    with FileLock(data_dir / f".{source.name}.fetching.lock"):
        lock = read_lock(data_dir)
        wanted = [each for each in source.downloads if not _present(each, data_dir=data_dir, lock=lock)]
        results = list(
            pool.map(lambda each: _attempt(each, source=source, data_dir=data_dir, told=told), wanted)
        )
        files = {path: known for found, _, _ in results for path, known in found.items()}
        with changing_lock(data_dir) as changed:
            changed["files"] |= {path: known._asdict() for path, known in files.items()}
            changed["revisions"] |= {repo: commit for _, revision, _ in results for repo, commit in revision}
        failed = [error for _, _, error in results if error]
        if failed:
            unreachable = any(isinstance(error, Unreachable) for error in failed)
            problems = [problem for error in failed for problem in error.problems]
            raise (Unreachable if unreachable else UserError)(*problems)
    return Fetched(source.name, len(files), len(source.downloads) - len(wanted))


class _Outcome(NamedTuple):
    files: dict[str, Entry]
    revisions: list[tuple[str, str]]
    error: UserError | None


def _attempt(wanted: Download | HubFiles, *, source: Source, data_dir: Path, told: Told) -> _Outcome:
    """Fetch one of a source's downloads; its problems are told with those of the others."""
    lock = read_lock(data_dir)
    try:
        if isinstance(wanted, HubFiles):
            commit, paths = fetch_from_hub(
                wanted, data_dir=data_dir, commit=lock["revisions"].get(wanted.repo)
            )
            address = f"hf://datasets/{wanted.repo}@{commit}"
            files = {_below(path, data_dir): _entry(path, fetched=None, url=address) for path in paths}
            check_published(files, data_dir=data_dir)
            told(source.name, sum(known.bytes for known in files.values()))
            return _Outcome(files, [(wanted.repo, commit)], None)
        return _Outcome(_web(wanted, source=source, data_dir=data_dir, told=told), [], None)
    except UserError as error:
        return _Outcome({}, [], error)


def check_published(files: Mapping[str, Entry], *, data_dir: Path) -> None:
    """Check files against the sums known in advance, and remove those that are others.

    Raises:
        UserError: Naming them.
    """
    published = checksums()
    wrong = [path for path, found in files.items() if published.get(path, found.sha256) != found.sha256]
    for path in wrong:
        (data_dir / path).unlink()
    if wrong:
        raise UserError(*(f"{path}: another file than the one published was sent" for path in wrong))


def _web(wanted: Download, *, source: Source, data_dir: Path, told: Told) -> dict[str, Entry]:
    place = data_dir / wanted.path
    if wanted.unpack:
        place = data_dir / ARCHIVES / wanted.path.replace("/", "_")
    known = next((e for e in _entries(wanted, data_dir=data_dir) if e.url == wanted.url), None)
    digest = download(
        wanted.url,
        place,
        sha256=wanted.sha256 or (known.fetched_sha256 if known else None),
        advance=lambda n: told(source.name, n),
    )
    paths = unpack(place, wanted, data_dir=data_dir) if wanted.unpack else [place]
    if wanted.unpack:
        place.unlink()
    return {_below(path, data_dir): _entry(path, fetched=digest, url=wanted.url) for path in paths}


def _entries(wanted: Download | HubFiles, *, data_dir: Path) -> list[Entry]:
    """Return what the lock file knows of a download's files."""
    files = read_lock(data_dir)["files"]
    inside = [path for path in files if path == wanted.path or path.startswith(f"{wanted.path}/")]
    return [Entry(**files[path]) for path in inside]


def _present(wanted: Download | HubFiles, *, data_dir: Path, lock: dict[str, dict]) -> bool:
    """Tell whether a download's files are there: those that the lock file lists, or one put there by hand."""
    if isinstance(wanted, HubFiles) or wanted.unpack in ("zip", "tar"):
        known = {path: e for path, e in lock["files"].items() if path.startswith(f"{wanted.path}/")}
        mine = {path for path, e in known.items() if _is_of(e["url"], wanted)}
        if mine:
            return all(
                (data_dir / path).is_file() and (data_dir / path).stat().st_size == known[path]["bytes"]
                for path in mine
            )
        folder = data_dir / wanted.path
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        patterns = wanted.files if isinstance(wanted, HubFiles) else wanted.members or ("*",)
        return all(fnmatch.filter(names, pattern) for pattern in patterns)
    place = data_dir / wanted.path
    found = entry(lock, wanted.path)
    return place.is_file() and (found is None or found.bytes == place.stat().st_size)


def _is_of(url: str, wanted: Download | HubFiles) -> bool:
    if isinstance(wanted, HubFiles):
        return url.startswith(f"hf://datasets/{wanted.repo}@")
    return url == wanted.url


def _entry(path: Path, *, fetched: str | None, url: str) -> Entry:
    digest = sha256_of(path)
    return Entry(digest, path.stat().st_size, fetched or digest, url)


def _below(path: Path, data_dir: Path) -> str:
    return path.relative_to(data_dir).as_posix()
