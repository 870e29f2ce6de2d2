"""Third-party data that evaluation tasks require."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from spectrum_trl.suite.fetching.status import ensure_sources
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import missing_files


class Missing(NamedTuple):
    """Missing data.

    Attributes:
        files: Their paths or patterns.
        how: How to get them.
    """

    files: str
    how: str


@dataclass(frozen=True, kw_only=True)
class NeedsData:
    """An evaluation task with the source of its questions or answers.

    Attributes:
        name: Name of the task, for example ``nytimes``.
        source: Source of the data, or of the rule.
        files: Glob patterns below the data folder that must each match; empty if no data are read.
    """

    name: str
    source: Source
    files: tuple[str, ...] = ()

    def absent(self, data_dir: Path) -> Missing | None:
        """Fetch missing files that need no consent into ``data_dir``; return the data still missing."""
        if not self.missing(data_dir):
            return None
        failed = ensure_sources([self.source], data_dir=data_dir)
        if not (patterns := self.missing(data_dir)):
            return None
        how = f"Get {self.source.title} ({self.source.homepage}), and set SPECTRUM_DATA"
        return Missing(", ".join(patterns), "; ".join(failed) or how)

    def missing(self, data_dir: Path | None) -> list[str]:
        """Return the patterns of ``files`` without a match below ``data_dir``; all if there is no folder."""
        return missing_files(self.files, data_dir=data_dir)
