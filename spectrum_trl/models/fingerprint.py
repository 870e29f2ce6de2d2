"""Tell models apart by what they hold, not by their names."""

import hashlib
from pathlib import Path

from spectrum_trl.models.load import load_config, model_path

# Bytes.
PIECE = 2**20


def fingerprints(name: str, *, revision: str = "main") -> dict[str, str]:
    """Return what tells a model: its commit on the Hub, or hashes of its weights.

    Of a large file only the size and three pieces are read.

    Args:
        name: Folder or Hub id.
        revision: Of a Hub repository.
    """
    folder = Path(model_path(name))
    if not folder.is_dir():
        return {"commit of the model": str(load_config(name, revision=revision)._commit_hash)}
    return {f"{file.name} of the model": _fingerprint(file) for file in sorted(folder.glob("*.safetensors"))}


def _fingerprint(file: Path) -> str:
    size, digest = file.stat().st_size, hashlib.sha256()
    with file.open("rb") as stream:
        for start in (0, size // 2, max(0, size - PIECE)):
            stream.seek(start)
            digest.update(stream.read(PIECE))
    return f"{size:,} bytes, sha256 of pieces {digest.hexdigest()[:12]}"
