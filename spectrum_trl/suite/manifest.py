"""The list of tasks in a folder of built ones, which tells such a folder from one of data."""

from pathlib import Path
from typing import Any

from spectrum_trl.errors import UserError
from spectrum_trl.strict.json import read_json

MANIFEST = "manifest.json"
FORMAT = "spectrum-suite-1"


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a folder that `build_suite` wrote, or None if it is another folder.

    Raises:
        UserError: If it is such a manifest, and damaged.
    """
    path = folder / MANIFEST
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return None
    tasks = found.get("tasks")
    sound = isinstance(tasks, dict) and all(map(is_record, tasks.values()))
    if not sound or not {"version", "seed", "sampling"} <= found.keys():
        raise UserError(f"{path} is damaged: remove it, and build again into that folder")
    return found


def is_record(found: Any) -> bool:
    """Tell whether a value is the record of a built file."""
    return (
        isinstance(found, dict)
        and {"task", "dropped", "sha256"} <= found.keys()
        and isinstance(found["dropped"], dict)
    )
