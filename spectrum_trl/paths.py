"""Paths of the files beside the code: templates, recipes, tasks, the tiny models, the user's data."""

import os
from pathlib import Path

from spectrum_trl.errors import MissingData, UserError

PACKAGE = Path(__file__).parent
# The models bundled with the package: the names that users write, and their folders.
TINY_BASE_NAME, TINY_INSTRUCT_NAME = "spectrum-trl/tiny-base", "spectrum-trl/tiny-instruct"
TINY_BASE, TINY_INSTRUCT = PACKAGE / "tiny" / "base_model", PACKAGE / "tiny" / "instruct_model"
EMBEDDED = {TINY_BASE_NAME: TINY_BASE, TINY_INSTRUCT_NAME: TINY_INSTRUCT}


def bundled(name: str) -> Path:
    """Return the path of ``chat_templates``, ``recipes``, ``tasks`` or ``constraints.txt``.

    They lie in the package of an installed wheel, or in the clone.
    """
    installed = PACKAGE / "_bundled" / name
    return installed if installed.exists() else PACKAGE.parent / name


def cache_folder() -> Path:
    """Return the cache folder: ``SPECTRUM_CACHE``, or ``~/.cache/spectrum-trl``."""
    chosen = os.environ.get("SPECTRUM_CACHE")
    return _expanded(chosen, "SPECTRUM_CACHE") if chosen else Path("~/.cache/spectrum-trl").expanduser()


def data_dir(folder: str | os.PathLike[str] | None = None, *, to_fill: bool = False) -> Path:
    """Return the folder that holds the real data sets.

    Args:
        folder: A path, or None for the environment variable ``SPECTRUM_DATA``, or else the cache folder.
        to_fill: Whether data will be fetched into it, which creates it; otherwise a named folder must exist.

    Returns:
        The folder. The default one in the cache need not exist yet.

    Raises:
        MissingData: If a named folder does not exist.
    """
    chosen = folder or os.environ.get("SPECTRUM_DATA")
    if not chosen:
        return cache_folder() / "data"
    where = "data_dir" if folder else "SPECTRUM_DATA"
    path = _expanded(chosen, where)
    if not to_fill and not os.path.isdir(path):
        raise MissingData(f"{where}: {path} is not a folder; name the folder of the data sets")
    return path


def _expanded(folder: str | os.PathLike[str], where: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError:
        raise UserError(f"{where}: {folder}: there is no such user; give the full path") from None
