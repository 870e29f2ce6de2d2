"""The files of an evaluation: results and samples in lm-eval's format, and finished tasks, to be resumed."""

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lm_eval.api.task import Task
from lm_eval.loggers import EvaluationTracker
from lm_eval.loggers.utils import get_commit_from_path
from lm_eval.utils import handle_non_serializable, hash_string, sanitize_list

from spectrum_trl.evaluation.own.tasks import own_file
from spectrum_trl.files import finite, sha256_of, write_atomic, write_json, writing
from spectrum_trl.models.folder import SMALL_FILES, contents, fingerprints
from spectrum_trl.models.load import base_of
from spectrum_trl.models.weights import evaluation_device
from spectrum_trl.scoring.store import CannotCache

PACKAGES = ("spectrum-trl", "lm-eval", "transformers", "tokenizers", "torch")


class ResultsFolder:
    """The files of one evaluation; each write replaces the previous files."""

    def __init__(self, output: Path, *, backend: str, model: Mapping[str, Any]) -> None:
        """Name the files; they lie in a subfolder of the user's, named after the model as in lm-eval."""
        self._tracker = EvaluationTracker(output_path=str(output)).general_config_tracker
        self._tracker.log_experiment_args(
            model_source=backend,
            model_args=dict(model),
            system_instruction=None,
            chat_template=None,
            fewshot_as_multiturn=False,
        )
        self._folder = output / str(self._tracker.model_name_sanitized)
        self._date = datetime.now().isoformat().replace(":", "-")
        self._hashes: dict[str, str] = {}

    def write(self, results: Mapping[str, Any]) -> None:
        """Write the results of all tasks so far, with ``samples``; they replace those of earlier calls.

        Raises:
            UserError: If they cannot be written; earlier results stay.
        """
        self._tracker.log_end_time()
        with writing(self._folder, way_out="make room or choose another --output, and run the same command"):
            self._folder.mkdir(parents=True, exist_ok=True)
            for task, rows in results.get("samples", {}).items():
                if task not in self._hashes:
                    self._write_samples(task, rows)
                    self._hashes[task] = hash_string(
                        "".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows)
                    )
            found = {key: value for key, value in results.items() if key != "samples"}
            found |= _environment() | {"task_hashes": self._hashes} | asdict(self._tracker)
            write_json(strict(found), self._folder / f"results_{self._date}.json")

    def _write_samples(self, task: str, rows: list[dict[str, Any]]) -> None:
        with (
            write_atomic(self._folder / f"samples_{task}_{self._date}.jsonl") as temporary,
            temporary.open("w", encoding="utf-8") as stream,
        ):
            for row in rows:
                arguments = {
                    f"gen_args_{n}": {f"arg_{i}": part for i, part in enumerate(arguments)}
                    for n, arguments in enumerate(row["arguments"])
                }
                answers = {key: sanitize_list(row[key]) for key in ("resps", "filtered_resps")}
                line = row | answers | {"arguments": arguments, "target": str(row["target"])}
                stream.write(json.dumps(strict(line), ensure_ascii=False, allow_nan=False) + "\n")


def strict(value: Any) -> Any:
    """Convert any result of lm-eval to plain JSON values; NaN and infinity become null."""
    return finite(json.loads(json.dumps(value, default=handle_non_serializable)))


@cache
def _environment() -> dict[str, Any]:
    # lm-eval would run git, which prints an error outside a clone, and pip, slower than a small task.
    return {
        "git_hash": get_commit_from_path(Path.cwd()),
        "transformers_version": version("transformers"),
        "lm_eval_version": version("lm_eval"),
        "python_version": platform.python_version(),
        "platform": platform.platform(),
        "torch_version": version("torch"),
    }


def identity(backend: str, model: Mapping[str, Any]) -> str:
    """Return a short hash that identifies a model, its arguments, and the libraries that run it."""
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
    return short_hash(parts + [_fingerprint(name, revision=revision) for name in names])


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
    hashes = [f"{file.name} {sha256_of(file)}" for file in files]
    return short_hash([*parts, hashes, list(_judges(own))])


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
            names = dict.fromkeys((judge, base_of(judge, revision=revision)))
            yield [_fingerprint(one, revision=revision) for one in names]


def _fingerprint(name: str, *, revision: str) -> list[Any]:
    """Return fingerprints of a model's folder, or its commit on the Hub."""
    return [fingerprints(name, revision=revision), *contents(name, *SMALL_FILES)]
