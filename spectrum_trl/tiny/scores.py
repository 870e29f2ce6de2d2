"""Results of the tiny evaluation: the models that the demo compares, and their files, ours and lm-eval's."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from spectrum_trl.errors import UserError
from spectrum_trl.files import write_atomic, write_json
from spectrum_trl.metrics.intervals import by_cluster
from spectrum_trl.prompts.formats import Format
from spectrum_trl.prompts.scored import PlainTemplate
from spectrum_trl.strict.json import read_json
from spectrum_trl.tiny.evaluation_items import OUTPUTS

URN = "tiny_urn"
SEQUENCES = COIN, CATEGORICAL, NUMBERS = "tiny_coin", "tiny_categorical", "tiny_numbers"
SAMPLES = URNS, RANGES = "tiny_samples_of_urns", "tiny_samples_of_ranges"
# The metrics of each task that are kept.
METRICS = {
    URN: ("js_divergence", "mode_match", "coverage", "slope", "uniform_js_divergence", "uniform_mode_match"),
    **dict.fromkeys(SEQUENCES, ("loss", "loss_late")),
    **dict.fromkeys(
        SAMPLES,
        ("share_valid", "collision", "share_unique", "yield_count", "exact_unique")
        + ("exact_collision", "exact_yield", "even_collision", "even_yield"),
    ),
}
# In place of lm-eval's date in file names: there is one result per folder.
DATE = "tiny"
Count = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Row(BaseModel):
    """One urn, sequence or prompt.

    Attributes:
        doc_id: Its number.
        doc_hash: lm-eval's hash of its texts.
        values: Each metric's sum and count and, for dependent rows, their common cluster.
        prompt: The description.
        regrets: Of a sequence: the loss of each output above the Bayes-optimal one, in nats.
        first: Of samples: the first few, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    doc_id: int
    doc_hash: str
    values: dict[str, tuple[FiniteFloat, Count] | tuple[FiniteFloat, Count, str]]
    prompt: str
    regrets: list[FiniteFloat] = []
    first: list[str] = []


class TinyResult(BaseModel):
    """The measurements of one model.

    Attributes:
        seed: Seed of the worlds and the samples.
        fmt: Format of the prompts.
        part: The held-out part: ``evaluation``, or ``choice`` for choosing settings.
        higher_is_better: Task to metric to direction, for metrics that have one.
        rows: Task to rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    seed: int
    fmt: str
    part: Literal["evaluation", "choice"]
    higher_is_better: dict[str, dict[str, bool]]
    rows: dict[str, list[Row]]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for task, metrics in METRICS.items():
            rows = self.rows.get(task, [])
            if not rows or any(not {*metrics} <= row.values.keys() for row in rows):
                raise ValueError(f"{task}: rows or metrics are missing")
            if any(value[1] == 0 for row in rows for name, value in row.values.items() if name != "slope"):
                raise ValueError(f"{task}: a count of 0")
            if task in SEQUENCES and any(len(row.regrets) != OUTPUTS for row in rows):
                raise ValueError(f"{task}: expected {OUTPUTS} regrets in each row")
        return self

    def regret(self, task: str, positions: slice = slice(None)) -> NDArray[np.float64]:
        """Return the mean loss above optimal of each sequence, in nats, shape (sequences,)."""
        return np.array([row.regrets for row in self.rows[task]])[:, positions].mean(axis=1)

    def values(self, task: str, metric: str) -> NDArray[np.float64]:
        """Return a metric's sum over the outputs of each row, shape (rows,)."""
        return np.array([row.values[metric][0] for row in self.rows[task]])

    def mean(self, task: str, metric: str) -> float:
        """Return a metric's mean over all outputs of all rows."""
        return float(self.values(task, metric).sum() / sum(row.values[metric][1] for row in self.rows[task]))

    def clusters(self, task: str, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a metric's sums and counts over the rows of each cluster with a count, in their order."""
        sums, counts = by_cluster(row.values[metric] for row in self.rows[task])
        return np.array(sums), np.array(counts)


def measured_on(result: TinyResult) -> tuple[object, ...]:
    """Return what identifies the items of a result; results can be compared only if it is equal."""
    prompts = tuple(row.prompt for task in METRICS for row in result.rows[task])
    return result.seed, result.part, prompts


def save(result: TinyResult, path: str | Path) -> None:
    """Write a result as JSON, atomically."""
    write_json(as_json(result), Path(path))


def load(path: str | Path) -> TinyResult:
    """Read a result written by `save`.

    Raises:
        UserError: If there is no such file, or it is not a result.
    """
    try:
        return TinyResult.model_validate(read_json(Path(path)))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; expected a result of `spectrum-trl tiny`") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(
            f"{path}: not a result of this version's `spectrum-trl tiny`; run that again"
        ) from error


def as_json(result: TinyResult) -> dict[str, Any]:
    """Convert a result to mappings and lists."""
    return result.model_dump(mode="json", exclude_defaults=True)


def write_samples(result: TinyResult, folder: Path) -> list[Path]:
    """Write a result in lm-eval's format, so ``spectrum-trl compare`` can pair it with others.

    The folder is created if it does not exist; the written files are returned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"results_{DATE}.json"]
    for task, rows in result.rows.items():
        lines = [
            {"doc_id": row.doc_id, "doc_hash": row.doc_hash, "metrics": [*row.values], **row.values}
            for row in rows
        ]
        files.append(folder / f"samples_{task}_{DATE}.jsonl")
        with write_atomic(files[-1]) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    found = {
        "results": {
            task: {f"{metric},none": result.mean(task, metric) for metric in rows[0].values}
            for task, rows in result.rows.items()
        },
        "configs": {task: {"metadata": {"format": result.fmt}} for task in result.rows},
        "higher_is_better": result.higher_is_better,
    }
    write_json(found, files[0])
    return files


class Column(NamedTuple):
    """One model of the comparison: its heading in the table, and the format of its prompts."""

    title: str
    fmt: Format


PRETRAINED, BEST, INSTRUCT = "pretrained", "best_wording", "instruct"
ALL_TOKENS, TUNED = "all_tokens", "tuned"
# The design is the paper's: a pretrained model, its instruct sibling, the Spectrum-tuned pretrained model.
# In the order of the table; the keys name the files in a run's folder.
COLUMNS = {
    PRETRAINED: Column("pretrained", "colon"),
    BEST: Column("pretrained, best of 3 prompts", "colon"),
    INSTRUCT: Column("instruct", "chat_simple"),
    ALL_TOKENS: Column("all-token tuning", "spectrum"),
    TUNED: Column("Spectrum-tuned", "spectrum"),
}
# Subfolder of a run with one folder per model, in lm-eval's format.
COMPARE = "compare"
# Prompts for the pretrained model: the wording of a description and its plain-text template. The last is a
# layout that the model was pretrained on, which suits it best.
WORDINGS: tuple[tuple[str, PlainTemplate], ...] = (
    ("{}", "colon"),
    ("{} The draws, one per line.", "colon"),
    ("{}", "layouts/record"),
)


def best_of(results: Sequence[TinyResult]) -> TinyResult:
    """Return the best measurements of one model over several prompts, chosen separately for each task.

    They are chosen on the evaluation items, which favours this model over those it is compared with.
    """

    def badness(task: str, one: TinyResult) -> float:
        if task == URN:
            return one.mean(task, "js_divergence")
        return -one.mean(task, "share_valid") if task in SAMPLES else float(one.regret(task).mean())

    best = {task: min(results, key=partial(badness, task)).rows[task] for task in METRICS}
    return results[0].model_copy(update={"rows": best})


def is_run(folder: Path) -> bool:
    """Return whether a folder holds no results of an evaluation but those that a demo run leaves."""
    try:
        found = folder.glob("**/results_*.json") if folder.is_dir() else ()
        return folder.is_dir() and all(COMPARE in file.relative_to(folder).parts for file in found)
    except OSError:
        return False


def results_of(run: str) -> list[str]:
    """Return the results of every model of a demo run, each as NAME=PATH; of other folders, the folder."""
    folder = Path(run) / COMPARE
    if not (is_run(Path(run)) and folder.is_dir()):
        return [run]
    return [f"{name}={folder / name}" for name in COLUMNS if (folder / name).is_dir()] or [run]
