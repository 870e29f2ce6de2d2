"""What is kept of an evaluation, so that the same command goes on where it stopped."""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lm_eval.api.task import Task

from spectrum_trl.evaluation.own_file import own_file
from spectrum_trl.files import write_json
from spectrum_trl.models.fingerprint import SMALL_FILES, contents, fingerprints
from spectrum_trl.models.load import base_of
from spectrum_trl.scoring.store import CannotKeep

PACKAGES = ("spectrum-trl", "lm-eval", "transformers", "tokenizers", "torch")


def identity(backend: str, model: Mapping[str, Any]) -> str:
    """Return what tells a model and the libraries that run it, in a few letters.

    Args:
        backend: Model class of lm-eval.
        model: Its arguments.
    """
    revision = str(model.get("revision", "main"))
    names = [str(model[key]) for key in ("pretrained", "peft", "tokenizer") if model.get(key)]
    # Other arguments may name files, too: a merged delta, a subfolder, a draft model.
    inside = os.path.join(names[0], str(model.get("subfolder") or "")) if names else ""
    others = [inside, *(str(value) for key, value in model.items() if key != "device")]
    names += [name for name in dict.fromkeys(others) if os.path.isdir(name) and name not in names]
    names += [base for name in names if (base := base_of(name, revision=revision)) != name]
    parts: list[Any] = [backend, dict(model), [importlib.metadata.version(name) for name in PACKAGES]]
    for name in names:
        parts.append(fingerprints(name, revision=revision))
        parts += contents(name, *SMALL_FILES)
    return short_hash(parts)


def key(task: Task, *, options: Mapping[str, Any], limit: int | None, model: str) -> str:
    """Return what tells one task's figures: the model, the options, and all that the task is made of."""
    own = getattr(task, "own", {})
    # A task of ours has no files of the user's.
    mine = bool(own) and set(own) != {"task"}
    beside = Path(own_file(task.config, own)).parent if mine else Path()
    # The configuration holds what a file says beside our key, prompts and metrics of lm-eval's own tasks too.
    config = task.config.to_dict(keep_callable=False) if hasattr(task.config, "to_dict") else {}
    parts = [model, dict(options), limit, own, config, list(task.eval_docs)]
    files = [*_files(own, beside), *getattr(task, "files_beside_rows", ())]
    return short_hash([*parts, [_content(file) for file in files]])


def read(file: Path) -> dict[str, Any] | None:
    """Return what `write` wrote, or None where it is not there, damaged, or was changed since."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("kept"), dict):
        return None
    return found["kept"] if found.get("checksum") == _checksum(found["kept"]) else None


def write(value: dict[str, Any], file: Path) -> None:
    """Keep JSON values with their checksum.

    Raises:
        CannotKeep: If the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json({"kept": value, "checksum": _checksum(value)}, file)
    except OSError as error:
        raise CannotKeep(
            f"{file} cannot be written: {error.strerror or error}; make room or name another --output, "
            "then give the same command again"
        ) from error


def _checksum(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def short_hash(value: Any) -> str:
    """Return a hash of JSON-like values."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _files(value: Any, folder: Path) -> Iterator[Path]:
    """Yield the files that a user's task names: lists, tables, and modules of functions."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _files(part, folder)
    elif isinstance(value, str) and len(value) < 256 and "\0" not in value:
        module = value.partition(":")[0].replace(".", "/")
        for path in (folder / value, folder / f"{module}.py"):
            if path.is_file():
                yield path


def _content(file: Path) -> str:
    return f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}"
