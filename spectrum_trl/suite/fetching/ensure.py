"""Fetch the files that tasks need before building them, as users of datasets and lm-eval expect."""

import logging
from collections.abc import Iterable
from pathlib import Path

from spectrum_trl.errors import Unreachable, UserError
from spectrum_trl.suite.building.manifest import read_manifest
from spectrum_trl.suite.fetching.fetch import fetch, offline
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import Task

logger = logging.getLogger(__name__)


def ensure(tasks: Iterable[Task], *, data_dir: Path) -> list[str]:
    """Fetch the sources of tasks whose files are missing, unless they need consent.

    Nothing is fetched if ``HF_HUB_OFFLINE`` is set, or if the folder holds built tasks.

    Args:
        tasks: The tasks.
        data_dir: The data folder.

    Returns:
        One message per file that could not be fetched, with the reason.
    """
    # Deduplicated by the sources themselves, not their names: all user tables have the same name.
    wanted = dict.fromkeys(task.source for task in tasks if task.missing(data_dir))
    return ensure_sources(wanted, data_dir=data_dir)


def ensure_sources(sources: Iterable[Source], *, data_dir: Path) -> list[str]:
    """Fetch sources whose files are missing; arguments and results as for `ensure`."""
    if offline() or read_manifest(data_dir):
        return []
    failed: list[str] = []
    for source in (source for source in sources if source.access == "fetch"):
        logger.warning("fetching %s (%s) into %s", source.name, source.licence, data_dir)
        try:
            fetch([source], data_dir=data_dir)
        except Unreachable as error:
            return [*failed, error.problems[0], "set HF_HUB_OFFLINE=1 to skip fetching"]
        except UserError as error:
            failed += error.problems
    return failed
