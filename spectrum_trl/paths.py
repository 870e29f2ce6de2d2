"""Where the files beside the code are: templates, recipes, tasks, the tiny model, the user's data."""

import os
from pathlib import Path

from spectrum_trl.errors import MissingData, UserError

PACKAGE = Path(__file__).parent
# The models that come with the package: the names that users write, and their folders.
TINY_BASE_NAME, TINY_INSTRUCT_NAME = "spectrum-trl/tiny-base", "spectrum-trl/tiny-instruct"
TINY_BASE, TINY_INSTRUCT = PACKAGE / "tiny" / "base_model", PACKAGE / "tiny" / "instruct_model"
EMBEDDED = {TINY_BASE_NAME: TINY_BASE, TINY_INSTRUCT_NAME: TINY_INSTRUCT}


def bundled(folder: str) -> Path:
    """Return ``chat_templates``, ``recipes`` or ``tasks``: inside an installed wheel, else in the clone.

    Args:
        folder: One of the three names.

    Returns:
        The folder's path.
    """
    installed = PACKAGE / "_bundled" / folder
    return installed if installed.is_dir() else PACKAGE.parent / folder


def cache_folder() -> Path:
    """Return the folder for what can be got or made again: ``SPECTRUM_CACHE``, or one of the user's."""
    chosen = os.environ.get("SPECTRUM_CACHE")
    return _expanded(chosen, "SPECTRUM_CACHE") if chosen else Path("~/.cache/spectrum-trl").expanduser()


def data_dir(folder: str | os.PathLike[str] | None = None, *, to_fill: bool = False) -> Path:
    """Return the folder that holds the real data sets.

    Args:
        folder: A path, or None for the environment variable ``SPECTRUM_DATA``, or the user's cache folder.
        to_fill: Whether it is made when something is fetched; otherwise a named folder must exist.

    Returns:
        The folder. The one in the user's cache need not exist: nothing was fetched yet.

    Raises:
        MissingData: If a folder that was named does not exist.
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
        raise UserError(f"{where}: {folder}: there is no such user; name the folder in full") from None
