"""Fetch what tasks need before they are built, as users of datasets and lm-eval expect."""

import logging
from collections.abc import Iterable
from pathlib import Path

from spectrum_trl.errors import Unreachable, UserError
from spectrum_trl.suite.fetching.fetch import fetch, offline
from spectrum_trl.suite.manifest import read_manifest
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import Task

logger = logging.getLogger(__name__)


def ensure(tasks: Iterable[Task], *, data_dir: Path) -> list[str]:
    """Fetch the sources of tasks whose files are missing, if nobody has to consent to anything.

    Nothing is fetched while ``HF_HUB_OFFLINE`` is set, or into a folder of built tasks.

    Args:
        tasks: Which.
        data_dir: The data folder.

    Returns:
        What could not be fetched, and why.
    """
    # Each once, and not by their names: all of a user's own tables have the same.
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
            return [*failed, error.problems[0], "HF_HUB_OFFLINE=1 keeps from trying"]
        except UserError as error:
            failed += error.problems
    return failed
