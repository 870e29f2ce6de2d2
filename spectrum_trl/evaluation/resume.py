"""Cache finished tasks, so the same command resumes an interrupted evaluation."""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lm_eval.api.task import Task

from spectrum_trl.evaluation.own.tasks import own_file
from spectrum_trl.files import sha256_of, write_json
from spectrum_trl.models.device import evaluation_device
from spectrum_trl.models.fingerprint import SMALL_FILES, contents, fingerprints
from spectrum_trl.models.load import base_of
from spectrum_trl.scoring.store import CannotCache

PACKAGES = ("spectrum-trl", "lm-eval", "transformers", "tokenizers", "torch")


def identity(backend: str, model: Mapping[str, Any]) -> str:
    """Return a short hash that identifies a model and the libraries that run it.

    Args:
        backend: Model class of lm-eval.
        model: Its arguments.
    """
    revision = str(model.get("revision", "main"))
    names = [str(model[key]) for key in ("pretrained", "peft", "tokenizer") if model.get(key)]
    # Other arguments may also name files: a merged delta, a subfolder, a draft model.
    others = [str(value) for key, value in model.items() if key != "device"]
    if names and model.get("subfolder"):
        others.append(os.path.join(names[0], str(model["subfolder"])))
    names += [name for name in dict.fromkeys(others) if os.path.isdir(name) and name not in names]
    names += [base for name in names if (base := base_of(name, revision=revision)) != name]
    # Unless a number type is given, a model computes in a different one on a GPU.
    device = evaluation_device(model.get("device")).split(":")[0]
    parts: list[Any] = [
        backend,
        {**model, "device": device},
        [importlib.metadata.version(name) for name in PACKAGES],
    ]
    return short_hash(parts + [_held(name, revision=revision) for name in names])


def key(task: Task, *, options: Mapping[str, Any], limit: int | None, model: str) -> str:
    """Return a hash that identifies one task's results: of model, options, and everything the task reads."""
    own = getattr(task, "own", {})
    # Our own tasks read no files of the user's.
    mine = bool(own) and set(own) != {"task"}
    beside = Path(own_file(task.config, own)).parent if mine else Path()
    # The configuration holds all other keys of the file, such as prompts and metrics of lm-eval's own tasks.
    config = task.config.to_dict(keep_callable=False) if hasattr(task.config, "to_dict") else {}
    parts = [model, dict(options), limit, own, config, list(task.eval_docs)]
    files = [*_files(own, beside), *getattr(task, "files_beside_rows", ())]
    held = [f"{file.name} {sha256_of(file)}" for file in files]
    return short_hash([*parts, held, list(_judges(own))])


def read(file: Path) -> dict[str, Any] | None:
    """Return what `write` wrote, or None if the file is missing, damaged or changed."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("value"), dict):
        return None
    return found["value"] if found.get("checksum") == _checksum(found["value"], file) else None


def write(value: dict[str, Any], file: Path) -> None:
    """Write JSON values with their checksum.

    Raises:
        CannotCache: If the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json({"value": value, "checksum": _checksum(value, file)}, file)
    except OSError as error:
        raise CannotCache(
            f"{file} cannot be written: {error.strerror or error}; make room or choose another --output, "
            "then run the same command again"
        ) from error


def _checksum(value: Any, file: Path) -> str:
    # The name holds the key: what was cached under another one is of another task or model.
    return _hash([file.name, value])


def short_hash(value: Any) -> str:
    """Return a hash of JSON-like values."""
    return _hash(value)[:16]


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _files(value: Any, folder: Path) -> Iterator[Path]:
    """Yield the files that a user's task names: lists, tables, and modules with functions."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _files(part, folder)
    elif isinstance(value, str) and len(value) < 256 and "\0" not in value:
        module = value.partition(":")[0].replace(".", "/")
        for path in (folder / value, folder / f"{module}.py"):
            if path.is_file():
                yield path


def _judges(value: Any) -> Iterator[list[Any]]:
    """Yield the contents of local models that judge a user's task."""
    for name, part in value.items() if isinstance(value, Mapping) else ():
        yield from _judges(part)
        if name == "judge" and isinstance(part, Mapping) and part.get("model") and not part.get("endpoint"):
            judge, revision = str(part["model"]), str(part.get("revision") or "main")
            yield [_held(one, revision=revision) for one in {judge: 0, base_of(judge, revision=revision): 0}]


def _held(name: str, *, revision: str) -> list[Any]:
    """Return fingerprints of a model's folder, or its commit on the Hub."""
    return [fingerprints(name, revision=revision), *contents(name, *SMALL_FILES)]
