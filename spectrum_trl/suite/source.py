"""Where data come from, how to get them, and on which terms, as declared by each source module."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

# Licence of data generated from a seed.
GENERATED = "none needed"
CHECKSUMS = Path(__file__).parent / "sources" / "checksums.txt"
Access = Literal["generated", "fetch", "consent", "manual", "request"]


@dataclass(frozen=True, kw_only=True)
class Download:
    """One file on the web.

    Attributes:
        path: Path below the data folder; for an archive, the folder to unpack it into.
        url: Its URL, pinned to a version where possible.
        sha256: SHA-256 of the bytes sent, or None if it is not known in advance; the first fetch then records
            it in the lock file.
        is_zip: Whether it is a ZIP archive to unpack.
    """

    path: str
    url: str
    sha256: str | None = None
    is_zip: bool = False

    @property
    def origin(self) -> str:
        """URL of the GitHub repository that it is in; empty for other files."""
        found = re.match(r"https://raw\.githubusercontent\.com/([^/]+/[^/]+)/", self.url)
        return f"https://github.com/{found[1]}" if found else ""


@dataclass(frozen=True, kw_only=True)
class HubFiles:
    """Files of a dataset on the Hugging Face Hub.

    Attributes:
        path: Folder below the data folder; the files keep their names in the dataset.
        repo: Dataset id on the Hub.
        files: Names in the dataset, or patterns in which ``*`` matches anything, including slashes.
        revision: A commit, or a branch if no commit is known; the first fetch then records the commit in the
            lock file.
    """

    path: str
    repo: str
    files: tuple[str, ...]
    revision: str = "main"

    @property
    def origin(self) -> str:
        """URL of the dataset."""
        return f"https://huggingface.co/datasets/{self.repo}"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One origin of data, which can provide several tasks.

    Attributes:
        name: The name users type, for example ``polis``.
        title: Its full name, or the repository that publishes it.
        homepage: URL of its documentation; by default, the origin of its downloads.
        licence: Licence of the data, or ``unstated``.
        citation: Authors, title, year, and where it was published.
        downloads: Files that can be fetched; empty if they must be obtained by hand.
        terms: Terms to accept before fetching, in a sentence or two; empty if there are none.
        steps: How to get it by hand, step by step; empty if it can be fetched.
        ask: Whom to ask for access; empty if access is open.
        size: Size of the files in bytes; 0 if unknown.
        private: Whether its authors ask not to store or publish it in the open; it is then built in memory
            only.
        unchecked: Parts of the files' schema not checked on real files; empty if all were.
    """

    name: str
    title: str
    homepage: str = ""
    licence: str = "unstated"
    citation: str = ""
    downloads: tuple[Download | HubFiles, ...] = ()
    terms: str = ""
    steps: tuple[str, ...] = ()
    ask: str = ""
    size: int = 0
    private: bool = False
    unchecked: str = ""

    def __post_init__(self) -> None:
        """Set the homepage if it is not given."""
        if self.downloads and not self.homepage:
            object.__setattr__(self, "homepage", self.downloads[0].origin)

    @property
    def forbids(self) -> str:
        """Why its data, and what is made of them, may not be passed on; empty if they may."""
        closed = self.private or self.terms or self.ask
        return (self.terms or self.ask or self.licence) if closed else ""

    @property
    def is_unlicensed(self) -> bool:
        """Whether no licence allows publishing its data."""
        return self.licence.startswith("unstated")

    @property
    def access(self) -> Access:
        """How to get it: generated, fetched, fetched after consent, by hand, or on request."""
        if self.downloads:
            return "consent" if self.terms else "fetch"
        return "request" if self.ask else "manual" if self.steps else "generated"


def github(repo: str, commit: str, files: Mapping[str, str]) -> tuple[Download, ...]:
    """Return the downloads for files of a GitHub repository at a commit.

    Args:
        repo: Owner and name, as ``owner/name``.
        commit: All 40 digits.
        files: Path in the repository, by path below the data folder.
    """
    address = f"https://raw.githubusercontent.com/{repo}/{commit}"
    return tuple(
        Download(path=path, url=f"{address}/{inside}", sha256=checksums().get(path))
        for path, inside in files.items()
    )


def hub(repo: str, revision: str, path: str, *files: str) -> tuple[HubFiles, ...]:
    """Return the downloads for files of a dataset on the Hub, see `HubFiles`; they may be paths in it."""
    names = tuple(file.removeprefix(f"{path}/") for file in files)
    return (HubFiles(path=path, repo=repo, files=names, revision=revision),)


@cache
def checksums() -> dict[str, str]:
    """Return the SHA-256 sums known in advance, by path below the data folder."""
    rows = (line.split("  ", 1) for line in CHECKSUMS.read_text(encoding="utf-8").splitlines())
    return {path: digest for digest, path in rows}


# Tasks generated as the paper defines them.
SUITE = Source(name="suite", title="Spectrum Suite, arXiv 2510.06084", licence=GENERATED)
KIT = Source(name="kit", title="generated by this kit", licence=GENERATED)
