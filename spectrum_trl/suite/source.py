"""Where data come from, how to get them, and on which terms: facts that a source's file declares."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

# Licence of what is drawn from a seed.
GENERATED = "none needed"
CHECKSUMS = Path(__file__).parent / "sources" / "checksums.txt"
Access = Literal["generated", "fetch", "consent", "manual", "request"]


@dataclass(frozen=True, kw_only=True)
class Download:
    """One file on the web.

    Attributes:
        path: Where it goes, below the data folder; of an archive the folder that it is unpacked into.
        url: Its address, of a pinned version where there is one.
        sha256: Of the bytes that are sent, or None where it is not known in advance: then the first fetch
            writes it into the lock file.
        unpack: How the bytes become files: as they are, members of an archive, or one packed file.
        members: Of an archive: the members to unpack; empty for all.
    """

    path: str
    url: str
    sha256: str | None = None
    unpack: Literal["", "zip", "tar", "gz", "bz2"] = ""
    members: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HubFiles:
    """Files of a data set on the Hugging Face Hub.

    Attributes:
        path: Folder below the data folder that they go into, under their names in the data set.
        repo: Name on the Hub.
        files: Names in the data set, or patterns in which ``*`` stands for anything, slashes too.
        revision: A commit, or a branch where no commit is known: then the first fetch writes the commit into
            the lock file.
    """

    path: str
    repo: str
    files: tuple[str, ...]
    revision: str = "main"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One origin of data, which can feed several tasks.

    Attributes:
        name: What users type, for example ``polis``.
        title: Its name in full, or the repository that publishes it.
        homepage: Address of its documentation.
        licence: Of the data, or ``unstated``.
        citation: Authors, title, year, and where it was published.
        downloads: What can be fetched; empty where somebody has to get it by hand.
        terms: What users must accept before it is fetched, in a sentence or two; empty if nothing is asked.
        steps: How to get it by hand, step by step; empty where it can be fetched.
        ask: Whom to ask for it; empty where nobody needs to be asked.
        size: Of the files, in bytes, where it is known; else 0.
        private: Whether its authors ask that it be stored and published nowhere in the open: then it is built
            in memory only.
        unchecked: What of the files' schema nobody could check on real files; empty if all was.
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

    @property
    def access(self) -> Access:
        """How to get it: nothing to get, fetched, fetched after consent, by hand, or by asking somebody."""
        if self.downloads:
            return "consent" if self.terms else "fetch"
        return "request" if self.ask else "manual" if self.steps else "generated"


def github(repo: str, commit: str, files: Mapping[str, str]) -> tuple[Download, ...]:
    """Return the downloads of files of a GitHub repository at a commit.

    Args:
        repo: Owner and name.
        commit: All 40 digits.
        files: Path below the data folder to path in the repository.
    """
    address = f"https://raw.githubusercontent.com/{repo}/{commit}"
    return tuple(
        Download(path=path, url=f"{address}/{inside}", sha256=checksums().get(path))
        for path, inside in files.items()
    )


@cache
def checksums() -> dict[str, str]:
    """Return the SHA-256 of published files that are known in advance, by path below the data folder."""
    rows = (line.split("  ", 1) for line in CHECKSUMS.read_text(encoding="utf-8").splitlines())
    return {path: digest for digest, path in rows}


# Drawn as the paper defines them.
SUITE = Source(name="suite", title="Spectrum Suite, arXiv 2510.06084", licence=GENERATED)
