"""Spectrum Suite: its tasks, their sources, and how rows become sequences."""

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
    """Return a task's sequences as a dataset, built on first use and then cached.

    Args:
        task: Name in the catalogue, or a YAML file of your own.
        data_dir: Folder of the real data, or one that ``spectrum-trl data build`` wrote; None for
            ``SPECTRUM_DATA``, or the user's cache folder. Data that need no consent are fetched.
        split: ``train`` or ``test``; None for all. Suite tasks have one split; your own tables have both if
            they set ``test_share``.
        seed: The only source of randomness.
        paper: Whether to sample as many as the paper does.

    Returns:
        Columns ``sequence_id``, ``task``, ``source``, ``kind``, ``split``, ``n_outputs``, ``messages`` (a
        list of ``{"role", "content"}``) and ``individual`` (null for pooled rows), one row per sequence, each
        with its description.

    Raises:
        UserError: If there is no such task or split, or its files cannot be read.
        MissingData: If its files are missing and cannot be fetched; says how to get them.
    """
    # Imported here to keep importing the tasks light.
    from spectrum_trl.suite.building.load import load_task

    return load_task(task, data_dir=data_dir, split=split, seed=seed, paper=paper)
