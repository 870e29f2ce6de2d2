"""Identify models by their contents, not by their names."""

from collections.abc import Iterator
from pathlib import Path

from spectrum_trl.files import sha256_of
from spectrum_trl.models.load import load_config, model_path

# Weight files, hashed in full. Half a gigabyte takes about a third of a second.
WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf")
# Beside the weights: configuration, tokenizer, templates, code.
SMALL_FILES = ("*.json", "*.jinja", "*.model", "*.txt", "*.py", "additional_chat_templates/*.jinja")


def fingerprints(name: str, *, revision: str = "main") -> dict[str, str]:
    """Return what identifies a model: its commit on the Hub, or the hashes of its weight files.

    Hashes are not cached: a file rewritten within one clock tick, or with its old modification time restored,
    would be mistaken for the previous one.

    Args:
        name: Folder or Hub id.
        revision: Revision of the Hub repository.
    """
    folder = Path(model_path(name))
    if not folder.is_dir():
        return {"commit of the model": str(load_config(name, revision=revision)._commit_hash)}
    return {
        f"{file.name} of the model": f"{file.stat().st_size:,} bytes, sha256 {sha256_of(file)}"
        for file in weights(folder)
    }


def weights(folder: Path) -> Iterator[Path]:
    """Yield the weight files in a folder."""
    for pattern in WEIGHTS:
        yield from sorted(file for file in folder.glob(pattern) if file.is_file())


def contents(name: str, *patterns: str) -> tuple[str, ...]:
    """Return names and hashes of files in a model folder; empty for a Hub id, which its revision identifies.

    Args:
        name: Folder or Hub id.
        *patterns: Globs of the files, relative to the folder.
    """
    folder = Path(model_path(name))
    files = [file for pattern in patterns for file in sorted(folder.glob(pattern)) if file.is_file()]
    return tuple(f"{file.name} {sha256_of(file)}" for file in files) if folder.is_dir() else ()
