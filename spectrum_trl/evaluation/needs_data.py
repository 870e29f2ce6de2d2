"""The third parties' data that a task of the evaluations is made from."""

from dataclasses import dataclass
from pathlib import Path

from spectrum_trl.suite.source import Download, HubFiles, Source
from spectrum_trl.suite.task import missing_files


@dataclass(frozen=True, kw_only=True)
class NeedsData:
    """What questions or answers come from.

    Attributes:
        name: Of the task, for example ``nytimes``.
        source: Where the data are from, or whose rule it is.
        files: Glob patterns below the data folder that must each match; empty where nothing is read.
        licence: Of the data, or ``unstated``.
        url: Where to get the data.
        downloads: What is fetched where it is missing; empty where somebody has to get it by hand.
    """

    name: str
    source: str
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
