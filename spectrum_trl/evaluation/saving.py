"""Write results and samples in lm-eval's own format, complete after each task."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lm_eval.loggers import EvaluationTracker
from lm_eval.loggers.utils import get_commit_from_path
from lm_eval.utils import handle_non_serializable, hash_string, sanitize_list

from spectrum_trl.files import finite, write_atomic, write_json, writing


class ResultsFolder:
    """The files of one evaluation; each write replaces the previous files."""

    def __init__(self, output: Path, *, backend: str, model: Mapping[str, Any]) -> None:
        """Determine the folder and the names of the files.

        Args:
            output: The user's folder; results are in a subfolder named after the model, as in lm-eval.
            backend: Model class of lm-eval.
            model: Its arguments.
        """
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
        """Write the finished tasks; earlier results of the same evaluation are replaced.

        Args:
            results: Results of all tasks so far, with ``samples``.

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
