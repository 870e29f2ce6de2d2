"""Spectrum Suite: what is sampled, where it comes from, and how it becomes sequences."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset


def load(
    task: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    split: str | None = None,
    seed: int = 0,
    paper: bool = False,
) -> "Dataset":
    """Return a task's sequences as a data set, built at the first call and read from the cache afterwards.

    Args:
        task: Name in the catalogue, or a YAML file of your own.
        data_dir: Folder of the real data, or one that ``spectrum-trl data build`` wrote; None for
            ``SPECTRUM_DATA``, or the user's cache folder. What needs no consent is fetched.
        split: ``train`` or ``test``; None for whatever the task has. Suite tasks have one split, your own
            tables have both where they set ``test_share``.
        seed: The only source of randomness.
        paper: Whether to sample as many as the paper does.

    Returns:
        Columns ``sequence_id``, ``task``, ``source``, ``kind``, ``split``, ``n_outputs`` and ``messages``
        (a list of ``{"role", "content"}``), one row per sequence, each with its description.

    Raises:
        UserError: If there is no such task or split, or its files cannot be read.
        MissingData: If its files are not there and cannot be fetched; says how to get them.
    """
    # Imported here, so that the tasks alone are light.
    from spectrum_trl.suite.building.load import load_task

    return load_task(task, data_dir=data_dir, split=split, seed=seed, paper=paper)
