"""Write files so that nobody ever sees half of one."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def write_atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside ``path`` that replaces it when the block ends without an error.

    Args:
        path: The file to write; its folder must exist.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(value: Any, path: Path) -> None:
    """Write JSON, replacing the file only when all of it is written."""
    with write_atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
