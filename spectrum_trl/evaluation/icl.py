"""Steerability as an lm-evaluation-harness task: loss and accuracy of each output given those before it.

Source: Spectrum Tuning (arXiv 2510.06084), in-context steerability.
"""

from collections.abc import Iterator, Sequence
from functools import cache, cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation import aggregates
from spectrum_trl.evaluation.aggregates import Metric
from spectrum_trl.evaluation.harness import HarnessTask, Missing, logger
from spectrum_trl.evaluation.icl_sequences import choose, output_lengths
from spectrum_trl.evaluation.own.tasks import own_icl
from spectrum_trl.evaluation.population import Population, outputs_of, population
from spectrum_trl.evaluation.results import HELD_OUT_SHARE, LOW_COVERAGE, RARE_LONG
from spectrum_trl.known_tasks import tasks
from spectrum_trl.metrics.calibration import calibration_error, calibration_error_by_chance
from spectrum_trl.metrics.icl import (
    LabelBaselines,
    MarginalBaselines,
    label_baselines,
    marginal_baselines,
    share_right,
    unigram_losses,
)
from spectrum_trl.metrics.intervals import has_rare_far
from spectrum_trl.paths import data_dir
from spectrum_trl.suite.building.cache import missing
from spectrum_trl.suite.fetching.status import ensure, status
from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.sequences.declared import Declared
from spectrum_trl.suite.sequences.generators import Draw, Draws
from spectrum_trl.suite.task import Message, Task

# Most labels of a task that outputs can be scored among.
MOST_LABELS = 30
# Labels come so often on average; the outputs of a task without labels seldom come twice.
OFTEN = 5
# Share of the labels that occur in a sequence, on average, or of its outputs if these are fewer.
SHARED = 0.5
CURVE = tuple(2**n for n in range(10))
METRICS = {
    "loss": Metric(False, (0.0, np.inf)),
    "regret": Metric(False, (-np.inf, np.inf)),
    "accuracy": Metric(True),
    "first_token_accuracy": Metric(True),
    "token_accuracy": Metric(True),
    "loss_restricted": Metric(False, (0.0, np.inf)),
    "accuracy_restricted": Metric(True),
    "coverage": Metric(None),
    "accuracy_all": Metric(True),
    "accuracy_last": Metric(True),
    **dict.fromkeys(
        ("loss_first", "loss_all", "loss_last", *(f"loss_at_{k}" for k in CURVE)),
        Metric(False, (0.0, np.inf)),
    ),
}
UNIGRAM = "unigram_loss"
# What needs no model: of tasks with few labels, and of all others.
BASELINES = {
    **dict.fromkeys(
        (*LabelBaselines._fields, *MarginalBaselines._fields, UNIGRAM), Metric(None, (0.0, np.inf))
    ),
    "majority_accuracy": Metric(None),
}


class Scored(NamedTuple):
    """Which outputs of a sequence are scored; numbers are counted from 0.

    Attributes:
        every: All of them, ascending.
        chosen: Those that the headline averages: all after the first, or a random choice of these.
        has_first: Whether the first output is scored, as it is after a description.
        last: Number of the last output.
    """

    every: list[int]
    chosen: list[int]
    has_first: bool
    last: int


class Icl(HarnessTask):
    """One Suite task.

    The headline ``loss`` is the mean over outputs after the first of the sum of their token losses in nats,
    end of turn included. Losses of a first output count only after a description.
    """

    def rows(self) -> list[dict[str, Any]] | Missing:
        """Return one row per sequence."""
        task, folder = self._task, data_dir(self.options.data_dir)
        failed = ensure([task], data_dir=folder)
        if absent := missing(task, data_dir=folder):
            how = "; ".join(failed) or status(task, data_dir=folder).how
            return Missing(", ".join(absent), f"{task.source.title}: {how}")
        chosen = choose(task, folder=folder, options=self.options, prompts=self.prompts)
        self.config.metadata |= {"k": chosen.k, "left_out": dict(chosen.dropped)}
        if task.synthetic:
            # It evaluates all its sequences.
            self.config.metadata.pop(HELD_OUT_SHARE, None)
        logger.info(
            "%s: %d sequences with %d examples before the last output; left out: %s",
            self.config.task,
            len(chosen.sequences),
            chosen.k,
            dict(chosen.dropped) or "none",
        )
        return [{"id": sequence_id, "messages": messages} for sequence_id, messages in chosen.sequences]

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Build the rows, and record whose answers are the marginal baseline, and rare long outputs."""
        super().download(dataset_kwargs, **kwargs)
        if not self.missing:
            if self._is_closed:
                self.config.metadata["marginal"] = self._population.said
            if self._has_rare_long:
                self.config.metadata[RARE_LONG] = True

    @cached_property
    def _has_rare_long(self) -> bool:
        """Whether rare long outputs decide the mean losses, so that no interval of these is reliable."""
        if self.missing or self._task.synthetic:
            return False
        folder, k = data_dir(self.options.data_dir), self.config.metadata["k"]
        lengths = output_lengths(self._task, folder=folder, options=self.options, k=k)
        return has_rare_far(lengths, n=len(self.dataset["test"]))

    @cached_property
    def _population(self) -> Population:
        options = self.options
        return population(
            self._task,
            self.dataset["test"].to_list(),
            folder=data_dir(options.data_dir),
            seed=options.seed,
            held_out_share=options.held_out_share,
        )

    @cached_property
    def _task(self) -> Task:
        """The Suite's task or the user's own; the file is read once."""
        task: Task = self.defined(tasks(), partial(own_icl, name=str(self.config.task)))
        return task

    def requests(self, row: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the requests of each scored output."""
        outputs = self.prompts.outputs(self.messages(row))
        for n in self._scored(row).every:
            others = [text for text in self._labels if text != outputs[n].output]
            yield from self.scored_apart(outputs[n].context, outputs[n].output, *others)

    def messages(self, row: dict[str, Any]) -> list[Message]:
        """Return the conversation of a row."""
        messages: list[Message] = row["messages"]
        return messages

    def _scored(self, row: dict[str, Any]) -> Scored:
        n = sum(message["role"] == "output" for message in row["messages"])
        chosen = list(range(1, n))
        if len(chosen) > self.options.outputs:
            name = str(self.config.task)
            rng = stream(self.options.seed, task=name, purpose="outputs", id=row["id"])
            chosen = sorted(rng.choice(chosen, size=self.options.outputs, replace=False).tolist())
        first = [0] if row["messages"][0]["role"] == "description" else []
        curve = [k for k in CURVE if k < n]
        return Scored(sorted({*first, *chosen, *curve, n - 1}), chosen, bool(first), n - 1)

    def score(self, row: dict[str, Any], answers: Sequence[Any]) -> dict[str, Any]:
        """Return sums over a sequence's outputs, with the number of outputs."""
        scored = self._scored(row)
        step, n_others = len(answers) // len(scored.every), max(0, len(self._labels) - 1)
        whole = dict(zip(scored.every, answers[::step], strict=True))
        has_lead = step > 1 + n_others
        leads = dict(zip(scored.every, answers[step - 1 :: step], strict=True)) if has_lead else {}
        loss = {n: (leads[n][0] if leads else 0.0) - whole[n][0] for n in scored.every}
        outputs = {
            "loss": scored.chosen,
            "loss_first": [0] * scored.has_first,
            "loss_all": [0] * scored.has_first + scored.chosen,
            "loss_last": [scored.last],
        }
        found: dict[str, Any] = {"sequences": 1, "outputs": len(scored.chosen)}
        for k in self._curve:
            found[f"sequences_at_{k}"] = int(k <= scored.last)
            outputs[f"loss_at_{k}"] = [k] if k <= scored.last else []
        for name, numbers in outputs.items():
            found |= aggregates.with_interval(name, _sum(loss, numbers))
        found |= self._regret(row, loss, scored) | self._baselines(row, scored.chosen)
        if self._labels:
            others = {n: answers[i * step + 1 : i * step + 1 + n_others] for i, n in enumerate(scored.every)}
            found |= _restricted(whole, others, scored.chosen, loss=loss)
        if all(hasattr(answer, "correct") for answer in answers):
            found |= _accuracies(whole, leads, scored)
        return found

    @cached_property
    def _curve(self) -> list[int]:
        """Numbers of examples on the curve that some sequence reaches."""
        longest = max(self._scored(row).last for row in self.dataset["test"])
        return [k for k in CURVE if k <= longest]

    @cached_property
    def _labels(self) -> list[str]:
        """The task's labels as the format writes them, if outputs are also scored among them."""
        if not self.options.restricted:
            return []
        found = {self.prompts.answer(text) for text in self._texts}
        if len(found) > MOST_LABELS:
            raise UserError(
                f"{self.config.task}: restricted takes at most {MOST_LABELS} different outputs, but there "
                f"are {len(found)}; leave restricted out for this task"
            )
        return sorted(found)

    @cached_property
    def _texts(self) -> set[str]:
        """The different outputs of the task, and its labels that do not occur in these rows."""
        rows, build = self.dataset["test"]["messages"], self._task.build
        labels = set(build.labels.values()) if isinstance(build, Declared) else set()
        # Like outputs, without leading white space.
        return {label.lstrip() for label in labels} | {text for row in rows for text in outputs_of(row)}

    @cached_property
    def _is_closed(self) -> bool:
        """Whether all sequences share few labels: declared ones, or outputs that come in most of them."""
        rows = [outputs_of(messages) for messages in self.dataset["test"]["messages"]]
        n_labels, build = len(self._texts), self._task.build
        if n_labels > MOST_LABELS:
            return False
        if isinstance(build, Declared) and build.labels:
            return True
        # Each sequence may have labels of its own, such as the answers to one question.
        shared = [len(set(row)) / min(len(row), n_labels) for row in rows]
        return sum(map(len, rows)) >= OFTEN * n_labels and float(np.mean(shared)) >= SHARED

    def _baselines(self, row: dict[str, Any], chosen: list[int]) -> dict[str, Any]:
        outputs, found = outputs_of(row["messages"]), dict[str, Any]()
        if self._is_closed:
            found = label_baselines(outputs, n_labels=len(self._texts))._asdict()
            if everyone := self._population.answers:
                others, n_labels = self._population.others(row["id"]), len(self._texts.union(everyone))
                found |= marginal_baselines(outputs, others=others, n_labels=n_labels)._asdict()
        else:
            tokenizer, texts = self.prompts.tokenizer, map(self.prompts.answer, outputs)
            ids = tokenizer([*texts], add_special_tokens=False)["input_ids"]
            found[UNIGRAM] = unigram_losses(ids, vocabulary=len(tokenizer))
        values = {name: _sum(found[name], chosen) if name in found else None for name in BASELINES}
        return {
            key: v
            for name, value in values.items()
            for key, v in aggregates.with_interval(name, value).items()
        }

    def _regret(self, row: dict[str, Any], loss: dict[int, float], scored: Scored) -> dict[str, Any]:
        name = self.own.get("task", "")
        build = tasks()[name].build if name else None
        if not isinstance(build, Draws):
            return {}
        draw = _draws(name, self.options.seed)[row["id"]]
        # The exact predictive assumes that the description is known.
        if not scored.has_first or (predictive := draw.predictive) is None:
            return aggregates.with_interval("regret", None)
        likely = {n: predictive(draw.outputs[:n]).pmf(draw.outputs[n]) for n in scored.chosen}
        excess = {n: loss[n] + float(np.log(likely[n])) for n in scored.chosen}
        return aggregates.with_interval("regret", _sum(excess, scored.chosen))

    def aggregation(self) -> aggregates.Aggregation:
        """Return means over outputs, with intervals clustered by sequence."""
        counts = ("sequences", "outputs", *(f"sequences_at_{k}" for k in CURVE))
        found = aggregates.aggregations(METRICS | BASELINES) | dict.fromkeys(counts, aggregates.total)
        if self._has_rare_long:
            losses = (name for name, one in (METRICS | BASELINES).items() if np.isinf(one.within[1]))
            found |= {f"{name}_{end}": _no_end for name in losses for end in ("low", "high")}
        return found | {
            "calibration_error": _calibration_error,
            "calibration_error_by_chance": _calibration_error_by_chance,
            LOW_COVERAGE: aggregates.is_low,
        }

    def higher_is_better(self) -> dict[str, bool]:
        """Return the direction of each metric."""
        return aggregates.directions(METRICS)


def _no_end(rows: list[aggregates.Row]) -> None:
    """Return nothing in place of the end of an unreliable interval."""


def _sum(values: Any, chosen: list[int]) -> list[float] | None:
    """Return the sum of the chosen outputs' values and their number; None if none is chosen."""
    return [float(sum(values[n] for n in chosen)), len(chosen)] if chosen else None


def _restricted(
    whole: dict[int, Any], others: dict[int, Sequence[Any]], chosen: list[int], *, loss: dict[int, float]
) -> dict[str, Any]:
    """Return loss and accuracy of outputs among the labels only, and the probability of all labels."""
    logs = {n: np.array([whole[n][0], *(other[0] for other in others[n])]) for n in chosen}
    # The probability of text before the labels cancels out.
    among = {n: float(logsumexp(values) - values[0]) for n, values in logs.items()}
    right = {n: share_right(values, right=0) for n, values in logs.items()}
    # Rounding can push a sum of probabilities just past 1.
    coverage = {n: min(1.0, float(np.exp(among[n] - loss[n]))) for n in chosen}
    found: dict[str, Any] = {LOW_COVERAGE: _sum(coverage, chosen)}
    for name, values in (("loss_restricted", among), ("accuracy_restricted", right), ("coverage", coverage)):
        found |= aggregates.with_interval(name, _sum(values, chosen))
    return found


def _accuracies(whole: dict[int, Any], leads: dict[int, Any], scored: Scored) -> dict[str, Any]:
    """Return accuracies, and the log-probabilities for calibration."""
    skipped = {n: len(leads[n].correct) if leads else 0 for n in whole}
    correct = {n: answer.correct[skipped[n] :] for n, answer in whole.items()}
    right = {n: float(all(tokens)) for n, tokens in correct.items()}
    found: dict[str, Any] = {}
    for name, values, numbers in (
        ("accuracy", right, scored.chosen),
        ("accuracy_all", right, [0] * scored.has_first + scored.chosen),
        ("accuracy_last", right, [scored.last]),
        ("first_token_accuracy", {n: float(tokens[0]) for n, tokens in correct.items()}, scored.chosen),
        ("token_accuracy", {n: float(np.mean(tokens)) for n, tokens in correct.items()}, scored.chosen),
    ):
        found |= aggregates.with_interval(name, _sum(values, numbers))
    found["calibration_error"] = {
        "correct": [p for n in scored.chosen for p in whole[n].log_probabilities[skipped[n] :]],
        "rivals": [token for n in scored.chosen for token in whole[n].rivals[skipped[n] :]],
    }
    found["calibration_error_by_chance"] = found["calibration_error"]
    return found


def _calibration_error(rows: list[dict[str, list[Any]] | None]) -> float:
    correct, rivals = _tokens(rows)
    return calibration_error(correct, [p for token in rivals for p in token])


def _calibration_error_by_chance(rows: list[dict[str, list[Any]] | None]) -> float:
    return calibration_error_by_chance(*_tokens(rows))


def _tokens(rows: list[dict[str, list[Any]] | None]) -> tuple[list[float], list[list[float]]]:
    filled = [row for row in rows if row]
    correct, rivals = ([token for row in filled for token in row[name]] for name in ("correct", "rivals"))
    return correct, rivals


@cache
def _draws(name: str, seed: int) -> dict[str, Draw]:
    build = tasks()[name].build
    assert isinstance(build, Draws)
    return dict(build.draws(seed=seed))
