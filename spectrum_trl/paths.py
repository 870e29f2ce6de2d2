"""Where the files beside the code are: templates, recipes, tasks, the tiny model, the user's data."""

import os
from pathlib import Path

from spectrum_trl.errors import MissingData

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


def data_dir(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder that holds the real data sets.

    Args:
        folder: A path, or None for the environment variable ``SPECTRUM_DATA``.

    Returns:
        An existing folder.

    Raises:
        MissingData: If neither is given or the folder does not exist.
    """
    chosen = folder or os.environ.get("SPECTRUM_DATA")
    if not chosen:
        raise MissingData(
            "no data folder: set the environment variable SPECTRUM_DATA (or data_dir in the recipe) to the "
            "folder that holds the data sets, or train on the synthetic tasks only"
        )
    path = Path(chosen).expanduser()
    if not os.path.isdir(path):
        raise MissingData(
            f"data folder {path} does not exist: correct SPECTRUM_DATA (or data_dir in the recipe)"
        )
    return path
