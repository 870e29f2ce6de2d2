"""What is kept of an evaluation, so that the same command goes on where it stopped."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lm_eval.api.task import Task

from spectrum_trl.evaluation.own_file import own_file
from spectrum_trl.models.fingerprint import fingerprints
from spectrum_trl.models.load import base_of, model_path

PACKAGES = ("spectrum-trl", "lm-eval", "transformers", "tokenizers", "torch")
# Of a model's folder, beside the weights: configuration, tokenizer, templates.
SMALL_FILES = ("*.json", "*.jinja", "*.model")


def identity(backend: str, model: Mapping[str, Any]) -> str:
    """Return what tells a model and the libraries that run it, in a few letters.

    Args:
        backend: Model class of lm-eval.
        model: Its arguments.
    """
    revision = str(model.get("revision", "main"))
    names = [str(model[key]) for key in ("pretrained", "peft", "tokenizer") if model.get(key)]
    names += [base for name in names if (base := base_of(name, revision=revision)) != name]
    parts: list[Any] = [backend, dict(model), [importlib.metadata.version(name) for name in PACKAGES]]
    for name in names:
        folder = Path(model_path(name))
        parts.append(fingerprints(name, revision=revision))
        parts += [_content(file) for pattern in SMALL_FILES for file in sorted(folder.glob(pattern))]
    return short_hash(parts)


def key(task: Task, *, options: Mapping[str, Any], limit: int | None, model: str) -> str:
    """Return what tells one task's figures: the model, the options, and all that the task is made of."""
    own = getattr(task, "own", {})
    # A task of ours has no files of the user's.
    mine = bool(own) and set(own) != {"task"}
    beside = Path(own_file(task.config, own)).parent if mine else Path()
    parts = [model, dict(options), limit, own, list(task.eval_docs)]
    return short_hash([*parts, [_content(file) for file in _files(own, beside)]])


def read(file: Path) -> dict[str, Any] | None:
    """Return the results of a finished task, or None where they are not there or damaged."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("results"), dict) else None


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
