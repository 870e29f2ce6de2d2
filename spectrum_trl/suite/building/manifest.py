"""The manifest of a folder of built tasks, which distinguishes it from a data folder."""

from pathlib import Path
from typing import Any

from spectrum_trl.errors import UserError
from spectrum_trl.strict.json import read_json

MANIFEST = "manifest.json"
FORMAT = "spectrum-suite-1"
# A truncated manifest can be identified by its first bytes.
HEAD_BYTES = 100


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a folder that `build_suite` wrote, or None for any other folder.

    Raises:
        UserError: If the manifest is damaged.
    """
    path = folder / MANIFEST
    damaged = UserError(f"{path} is damaged: delete it, and build again into that folder")
    try:
        found = read_json(path)
    except OSError:
        return None
    except ValueError:
        if FORMAT.encode() in path.read_bytes()[:HEAD_BYTES]:
            raise damaged from None
        return None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return None
    tasks = found.get("tasks")
    sound = isinstance(tasks, dict) and all(
        is_record(record) and record["task"] == name for name, record in tasks.items()
    )
    if not sound or not has_types(found, {"version": str, "seed": int, "sampling": str}):
        raise damaged
    return found


def is_record(found: Any) -> bool:
    """Return whether a value is the record of a built file."""
    return (
        isinstance(found, dict)
        and has_types(found, {"task": str, "dropped": dict, "sha256": str, "sequences": int, "outputs": int})
        and all(type(n) is int for n in found["dropped"].values())
    )


def has_types(found: dict[str, Any], kinds: dict[str, type]) -> bool:
    """Return whether a mapping has the keys, with values of exactly these types."""
    return all(type(found.get(name)) is kind for name, kind in kinds.items())
