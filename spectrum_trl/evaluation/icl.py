"""Steerability: loss and accuracy of each output given those before it, as an lm-evaluation-harness task.

Source: Spectrum Tuning (arXiv 2510.06084), in-context steerability.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from spectrum_trl.catalogue import tasks
from spectrum_trl.evaluation import aggregates
from spectrum_trl.evaluation.harness import HarnessTask, Missing, logger
from spectrum_trl.evaluation.options import data_folder
from spectrum_trl.evaluation.own_tasks import own_sequences
from spectrum_trl.evaluation.sequences import choose
from spectrum_trl.metrics.calibration import calibration_error
from spectrum_trl.suite.draws import Draw, Draws
from spectrum_trl.suite.task import Task

CURVE = tuple(2**n for n in range(10))
# Direction of each metric that has an interval.
HIGHER = {
    "loss": False,
    "regret": False,
    "accuracy": True,
    "first_token_accuracy": True,
    "token_accuracy": True,
}
ALL = ("loss_first", "loss_all", "loss_last", "accuracy_all", "accuracy_last")


class Icl(HarnessTask):
    """One Suite task.

    The headline ``loss`` is the mean over outputs after the first of the summed loss of their tokens in
    nats, end of turn included. Losses of a first output count only after a description.
    """

    def rows(self) -> list[dict[str, Any]] | Missing:
        """Return one row per sequence."""
        task, folder = self._task(), data_folder(self.options)
        absent = list(task.files) if folder is None else task.missing(folder)
        if absent:
            return Missing(", ".join(absent), f"Get {task.source}, and set SPECTRUM_DATA to the data folder")
        measure = self.options.k_tokenizer
        chosen = choose(
            task,
            folder=folder or Path(),
            seed=self.options.seed,
            most=self.options.sequences,
            max_tokens=self.options.max_tokens,
            yardstick=_yardstick(measure) if measure else None,
            prompts=self.prompts,
            context=self.options.context(),
        )
        self.config.metadata |= {"k": chosen.k, "left_out": dict(chosen.dropped)}
        logger.info(
            "%s: %d sequences with %d examples before the last output; left out: %s",
            self.config.task,
            len(chosen.sequences),
            chosen.k,
            dict(chosen.dropped) or "none",
        )
        return [{"id": sequence_id, "messages": messages} for sequence_id, messages in chosen.sequences]

    def _task(self) -> Task:
        if set(self.own) == {"task"}:
            return tasks()[self.own["task"]]
        source = self.config.metadata.get("config_source", "")
        return own_sequences(self.own, file=source, name=str(self.config.task))

    def requests(self, row: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the requests of each output."""
        for scored in self.prompts.outputs(row["messages"])[_first(row) :]:
            yield from self.scored_apart(scored.context, scored.output)

    def score(self, row: dict[str, Any], answers: Sequence[Any]) -> dict[str, Any]:
        """Return sums over a sequence's outputs, with their numbers."""
        first = _first(row)
        n = sum(message["role"] == "output" for message in row["messages"]) - first
        step = len(answers) // n
        whole, spaces = answers[::step], answers[1::2] if step == 2 else [(0.0, True)] * n
        loss = np.array([s[0] - w[0] for w, s in zip(whole, spaces, strict=True)])
        later = slice(1 - first, None)
        found: dict[str, Any] = aggregates.with_interval("loss", _pair(loss[later]))
        found |= {"loss_all": _pair(loss), "loss_last": _pair(loss[-1:]), "sequences": 1}
        # Every row has every metric, a sum over nothing where it has no such output.
        found["loss_first"] = _pair(loss[: 1 - first])
        found |= {f"loss_at_{k}": _pair(loss[k - first : k - first + 1]) for k in CURVE if k < n + first}
        found |= self._regret(row, loss, first=first)
        if all(hasattr(answer, "correct") for answer in answers):
            found |= _accuracies(whole, spaces, later=later)
        return found

    def _regret(self, row: dict[str, Any], loss: np.ndarray, *, first: int) -> dict[str, Any]:
        name = self.own.get("task", "")
        build = tasks()[name].build if name else None
        if not isinstance(build, Draws):
            return {}
        # The exact predictive is that of a reader of the description.
        optimal = None if first else _optimal(_draws(name, self.options.seed)[row["id"]], n=len(loss))
        excess = np.array([]) if optimal is None else loss[1:] - optimal[1:]
        return aggregates.with_interval("regret", _pair(excess))

    def aggregation(self) -> aggregates.Aggregation:
        """Return means over outputs, with intervals clustered by sequence."""
        found = aggregates.aggregations(*HIGHER, plain=(*ALL, *(f"loss_at_{k}" for k in CURVE)))
        return found | {"sequences": aggregates.total, "calibration_error": calibration_error}

    def higher_is_better(self) -> dict[str, bool]:
        """Return the direction of each metric."""
        return aggregates.directions(HIGHER) | {
            name: not name.startswith("loss") for name in (*ALL, *(f"loss_at_{k}" for k in CURVE))
        }


def _first(row: dict[str, Any]) -> int:
    """Return the number of the first output that is scored: 0 only after a description."""
    return 0 if row["messages"][0]["role"] == "description" else 1


def _pair(values: np.ndarray) -> list[float]:
    return [float(np.sum(values)), len(values)]


def _accuracies(whole: Sequence[Any], spaces: Sequence[Any], *, later: slice) -> dict[str, Any]:
    """Return accuracies, and the log-probabilities that calibration is computed from."""
    skipped = [len(getattr(space, "correct", ())) for space in spaces]
    correct = [answer.correct[n:] for answer, n in zip(whole, skipped, strict=True)]
    right = np.array([all(tokens) for tokens in correct], dtype=float)
    found: dict[str, Any] = {"accuracy_all": _pair(right), "accuracy_last": _pair(right[-1:])}
    for name, values in (
        ("accuracy", right),
        ("first_token_accuracy", np.array([tokens[0] for tokens in correct], dtype=float)),
        ("token_accuracy", np.array([np.mean(tokens) for tokens in correct])),
    ):
        found |= aggregates.with_interval(name, _pair(values[later]))
    chosen = list(zip(whole, skipped, strict=True))[later]
    found["calibration_error"] = {
        "correct": [p for answer, n in chosen for p in answer.log_probabilities[n:]],
        "rivals": [p for answer, n in chosen for token in answer.rivals[n:] for p in token],
    }
    return found


@cache
def _draws(name: str, seed: int) -> dict[str, Draw]:
    build = tasks()[name].build
    assert isinstance(build, Draws)
    return dict(build.draws(seed=seed))


def _optimal(draw: Draw, *, n: int) -> np.ndarray | None:
    """Return the losses in nats of a draw's first outputs under its exact predictive; None where unknown."""
    if draw.predictive is None:
        return None
    seen = [draw.predictive(draw.outputs[:index]).pmf(draw.outputs[index]) for index in range(n)]
    return -np.log(seen)


def _yardstick(name: str) -> Any:
    from spectrum_trl.models.load import load_tokenizer

    return load_tokenizer(name)
