"""A prompt with many right answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spectrum_trl.suite.source import Download, HubFiles, Source
from spectrum_trl.suite.task import missing_files

Valid = Callable[[str], bool]


@dataclass(frozen=True, kw_only=True)
class DiversityTask:
    """One kind of text to generate.

    Attributes:
        name: For example ``car_brand``.
        description: What is to be generated.
        examples: Samples that a prompt shows, each of them valid.
        validator: Folder of the real data to the test of an answer in its canonical form.
        universe: All canonical answers, where there are finitely many and they are known, or None.
        max_new_tokens: Longest answer.
        source: Where the list of answers is from, or whose rule it is.
        canonical: An answer to the form in which equal ones are equal, for example without white space.
        files: Glob patterns below the data folder that must each match.
        licence: Of the data, or ``unstated``.
        url: Where to get the data.
        downloads: What is fetched where it is missing; empty where somebody has to get it by hand.
    """

    name: str
    description: str
    examples: tuple[str, ...]
    validator: Callable[[Path], Valid]
    universe: tuple[str, ...] | None
    max_new_tokens: int
    source: str
    canonical: Callable[[str], str] = str.strip
    files: tuple[str, ...] = ()
    licence: str = "unstated"
    url: str = ""
    downloads: tuple[Download | HubFiles, ...] = ()

    @property
    def origin(self) -> Source:
        """Where the data come from, in the form in which they are fetched."""
        return Source(
            name=self.name,
            title=self.source,
            homepage=self.url,
            licence=self.licence,
            downloads=self.downloads,
        )

    def missing(self, data_dir: Path | None) -> list[str]:
        """Return the patterns of ``files`` that match nothing below ``data_dir``; all without a folder."""
        return missing_files(self.files, data_dir=data_dir)
