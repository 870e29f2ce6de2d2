"""Folders of two real language models, made once from packages that ship them, or a reason to skip."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

GET = Path(__file__).parents[2] / "shared" / "models" / "get.py"


def real_model(name: str) -> Path:
    """Return the folder of a real model; the test is skipped where it is not there and cannot be made."""
    folder = Path(os.environ.get("SPECTRUM_MODELS", "~/.cache/spectrum-models")).expanduser()
    if not (folder / name / "model.safetensors").is_file() and (problem := _make(name)):
        pytest.skip(problem)
    return folder / name


@cache
def _make(name: str) -> str | None:
    if not GET.is_file():
        return f"no {name}: set SPECTRUM_MODELS to the folder that has it (there is no {GET} to make it)"
    done = subprocess.run([sys.executable, GET, name], capture_output=True, text=True)
    return f"{GET} failed: {done.stderr[-200:]}" if done.returncode else None
