"""What everybody answers stands beside the losses of outputs, computed without a model."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spectrum_trl.evaluation.population import population
from spectrum_trl.suite.building.held_out import is_held_out
from spectrum_trl.suite.task import Data, GroupedId, Message
from tests.evaluation.harness import load

NAMES = ("marginal_loss", "marginal_counting_loss")
PEOPLE = 60


def answer(person: int, film: int) -> str:
    return str((person * person + film) % 7 // 3)


@pytest.fixture
def task(tmp_path: Path, world_tokenizer) -> Any:
    """Load a task of people who rate four films."""

    def loaded(people: int = PEOPLE, films: int = 4, **options: Any) -> Any:
        rows = [f"p{n},f{k},{answer(n, k)}" for n in range(people) for k in range(films)]
        (tmp_path / "a.csv").write_text("\n".join(["user,film,stars", *rows]))
        keys = "{file: a.csv, group_by: user, input: film, output: stars, descriptions: [x]}"
        text = f"task: mine\nclass: !function spectrum_trl.evaluation.icl.Icl\nspectrum: {keys}\n"
        (tmp_path / "mine.yaml").write_text(text)
        return load(str(tmp_path / "mine.yaml"), world_tokenizer, **options)

    return loaded


def baselines(task: Any, row: dict[str, Any]) -> dict[str, Any]:
    return task._baselines(row, task._scored(row).chosen)


def outputs(row: dict[str, Any]) -> list[str]:
    return [m["content"] for m in row["messages"] if m["role"] == "output"]


def by_hand(answers: Counter[str], given: list[str]) -> float:
    shares = {label: (answers[label] + 1) / (answers.total() + 3) for label in "012"}
    return -sum(np.log(shares[output]) for output in given[1:])


def test_the_marginal_is_of_the_individuals_that_training_keeps(task) -> None:
    found = task(held_out_share=0.3)
    kept = [n for n in range(PEOPLE) if not is_held_out(f"p{n}", source="own", share=0.3)]
    answers = Counter(answer(n, k) for n in kept for k in range(4))
    assert 0 < len(found.eval_docs) == PEOPLE - len(kept)
    for row in found.eval_docs:
        expected = by_hand(answers, outputs(row))
        assert baselines(found, row)["marginal_loss"] == [pytest.approx(expected), 3]
    assert "not held out" in found.config.metadata["marginal"]


def test_without_a_held_out_share_it_is_of_the_other_evaluated_individuals(task) -> None:
    found = task(sequences=10)
    rows = list(found.eval_docs)
    every = sum((Counter(outputs(row)) for row in rows), Counter())
    assert len(rows) == 10
    for row in rows:
        expected = by_hand(every - Counter(outputs(row)), outputs(row))
        assert baselines(found, row)["marginal_loss"] == [pytest.approx(expected), 3]
    assert "other evaluated" in found.config.metadata["marginal"]


def test_all_sequences_of_an_individual_are_left_out(task) -> None:
    def twice(_: Data) -> Iterator[tuple[str, list[Message]]]:
        for n, label in enumerate("aabbc"):
            yield GroupedId(str(n), group=label), [{"role": "output", "content": f" {label}"}] * 3

    built = replace(task()._task, build=twice, name="twice")
    rows = [{"id": name, "messages": messages} for name, messages in twice(Data(Path(), 0, Counter()))]
    found = population(built, rows, folder=Path(), seed=0, held_out_share=None)
    assert found.others("0") == found.others("1") == {"b": 6, "c": 3}
    assert found.others("4") == {"a": 6, "b": 6}


def test_where_there_is_nobody_else_there_is_none_and_why(task, world_tokenizer) -> None:
    coinflip = load("spectrum_icl_coinflip", world_tokenizer, sequences=20, max_tokens=100)
    for found, why in ((task(people=1, films=20), "single individual"), (coinflip, "synthetic")):
        assert why in found.config.metadata["marginal"]
        values = baselines(found, found.eval_docs[0])
        assert [values[name] for name in NAMES] == [None, None] and values["counting_loss"]


@pytest.mark.parametrize(
    ("name", "counting", "marginal"),
    [
        ("lewidi_csc_sarcasm_detection_individual", 1.6735, 1.5662),
        ("lewidi_mp_irony_detection_individual", 0.7328, 0.6365),
        pytest.param("polis_vote", 0.9399, 0.8750, marks=pytest.mark.slow),
    ],
)
def test_real_people_are_predicted_better_by_what_everybody_answers_than_by_their_own_counts(
    name: str, counting: float, marginal: float, suite_data: Path, world_tokenizer
) -> None:
    options = {"sequences": 40, "max_tokens": 512, "max_length": 1 << 20, "data_dir": str(suite_data)}
    found = load(f"spectrum_icl_{name}", world_tokenizer, held_out_share=0.1, **options)
    rows = [baselines(found, row) for row in found.eval_docs]
    for metric, expected in (("counting_loss", counting), ("marginal_loss", marginal)):
        total, n = np.sum([row[metric] for row in rows], axis=0)
        # Figures of a reader who wrote lines of his own.
        assert total / n == pytest.approx(expected, abs=1e-4)
