"""Tell models apart by what they hold, not by their names."""

from collections.abc import Iterator
from pathlib import Path

from spectrum_trl.files import sha256_of
from spectrum_trl.models.load import load_config, model_path

# What is loaded as weights; every byte of it counts. Half a gigabyte takes about a third of a second.
WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf")
# Beside the weights: configuration, tokenizer, templates, code.
SMALL_FILES = ("*.json", "*.jinja", "*.model", "*.txt", "*.py", "additional_chat_templates/*.jinja")


def fingerprints(name: str, *, revision: str = "main") -> dict[str, str]:
    """Return what tells a model: its commit on the Hub, or hashes of its weights.

    Nothing is remembered: a file that was written anew within one tick of the clock, or with its old time set
    again, would be taken for the old one.

    Args:
        name: Folder or Hub id.
        revision: Of a Hub repository.
    """
    folder = Path(model_path(name))
    if not folder.is_dir():
        return {"commit of the model": str(load_config(name, revision=revision)._commit_hash)}
    return {f"{file.name} of the model": _fingerprint(file) for file in weights(folder)}


def weights(folder: Path) -> Iterator[Path]:
    """Yield the files of weights in a folder."""
    for pattern in WEIGHTS:
        yield from sorted(file for file in folder.glob(pattern) if file.is_file())


def contents(name: str, *patterns: str) -> tuple[str, ...]:
    """Return names and hashes of files in a model's folder; nothing for a Hub id, which a revision tells.

    Args:
        name: Folder or Hub id.
        *patterns: Globs of the files, in the folder.
    """
    folder = Path(model_path(name))
    files = [file for pattern in patterns for file in sorted(folder.glob(pattern)) if file.is_file()]
    return tuple(f"{file.name} {sha256_of(file)}" for file in files) if folder.is_dir() else ()


def _fingerprint(file: Path) -> str:
    return f"{file.stat().st_size:,} bytes, sha256 {sha256_of(file)}"
