"""Survey mode: tables in and out, and scores equal to the metrics computed by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spectrum_trl import SpectrumModel
from spectrum_trl.ask.batch import BLOCK
from spectrum_trl.ask.survey import DESCRIPTION, answers, check_description, read_table, survey
from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.results import LOWEST_COVERAGE
from spectrum_trl.metrics.distributional import compare
from spectrum_trl.paths import TINY_BASE_NAME
from tests.messages import named, naming
from tests.small_models import Learnt

TABLE = pd.DataFrame(
    {
        "group": ["North", "South", "North", "South"],
        "question": ["More trees?", "More trees?", "Which?", "Which?"],
        "options": [["yes", "no"], '["yes", "no"]', "a | b |c", "a|b|c"],
        "shares": [[30, 10], '{"no": 0.5, "yes": 0.5}', None, "[0, 1, 1]"],
    }
)


@pytest.fixture
def asked(learnt: Learnt, world_tokenizer: Any) -> SpectrumModel:
    return SpectrumModel(learnt.model, world_tokenizer)


def test_shares_are_the_normalised_probabilities_of_the_letters(asked: SpectrumModel) -> None:
    found = survey(read_table(TABLE), model=asked)
    alone = asked.probabilities(
        ["A", "B"],
        description=DESCRIPTION.format(group="South"),
        input="More trees?\nAnswers:\nA. yes\nB. no",
    )
    row = found.wide.iloc[1]
    np.testing.assert_allclose([row.A, row.B], alone.normalised, rtol=1e-4)
    assert row.coverage == pytest.approx(alone.coverage, rel=1e-4) and np.isnan(row.C)
    long = found.long[(found.long.group == "South") & (found.long.question == "More trees?")]
    assert list(long.option) == ["yes", "no"] and list(long.true_share) == [0.5, 0.5]
    np.testing.assert_allclose(long.share, alone.normalised, rtol=1e-4)
    assert len(found.long) == 10 and len(found.wide) == 4


def test_scores_are_means_over_the_rows_with_true_shares(asked: SpectrumModel) -> None:
    found = asked.survey(TABLE)
    scores = found.scores.set_index("score")
    by_hand = []
    for n, true in ((0, [0.75, 0.25]), (1, [0.5, 0.5]), (3, [0, 0.5, 0.5])):
        row = found.wide.iloc[n]
        by_hand.append(compare(true, [row[letter] for letter in "ABC"[: len(true)]]))
    assert scores.model["js_divergence"] == pytest.approx(np.mean([one.js_divergence for one in by_hand]))
    uniform = [compare(true, np.full(len(true), 1 / len(true))) for true in ([3, 1], [1, 1], [0, 1, 1])]
    expected = np.mean([one.js_divergence for one in uniform])
    assert scores.uniform_guess["js_divergence"] == pytest.approx(expected)
    assert np.isnan(scores.low["js_divergence"]), "two questions are too few for an interval"
    assert scores.rows["js_divergence"] == 3 and scores.questions["js_divergence"] == 2


def test_low_coverage_is_said_beside_every_share_and_score(
    asked: SpectrumModel, caplog: pytest.LogCaptureFixture
) -> None:
    found = asked.survey(TABLE)
    low = found.wide.coverage < LOWEST_COVERAGE
    assert list(found.wide.low_coverage) == list(low) and low.any()
    assert (found.long.low_coverage == (found.long.coverage < LOWEST_COVERAGE)).all()
    assert set(found.scores.low_coverage_rows) == {int(low[[0, 1, 3]].sum())}
    assert named(caplog.text, "low coverage", f"{low.sum()} of 4")


def test_without_true_shares_there_are_no_scores(asked: SpectrumModel) -> None:
    found = survey(read_table(TABLE.drop(columns="shares")), model=asked)
    assert found.scores.empty and "true_share" not in found.long


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"options": "yes"}, "2 to 26"),
    ({"options": "yes|yes"}, "named twice"),
    ({"options": "[1"}, "not valid JSON"),
    ({"shares": [1]}, "2 numbers"),
    ({"shares": [-1, 2]}, "2 numbers"),
    ({"shares": [0, 0]}, "all are 0"),
    ({"shares": '{"maybe": 1}'}, "'maybe' is no option"),
    ({"group": " "}, "not empty"),
    ({"question": 3}, "expected texts"),
]


def test_every_wrong_row_is_told_with_its_number() -> None:
    good = {"group": "N", "question": "Q?", "options": "yes|no", "shares": "[1, 2]"}
    table = pd.DataFrame([good, *({**good, **change} for change, _ in WRONG)])
    with pytest.raises(UserError) as caught:
        read_table(table)
    assert len(caught.value.problems) == len(WRONG)
    for number, (problem, (_, expected)) in enumerate(
        zip(caught.value.problems, WRONG, strict=True), start=2
    ):
        assert problem.startswith(f"row {number}: ") and expected in problem
    with pytest.raises(UserError, match=naming("'group'", "'groups'")):
        read_table(TABLE.rename(columns={"group": "groups"}))
    for description in ("no slot", "{group} {question}", "{group", "{group.x}"):
        with pytest.raises(UserError):
            check_description(description)


def test_the_command_writes_tables_and_prints_scores_beside_the_uniform_guess(
    run_here: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    rows = [
        {"land": f"L{n % 5}", "q": f"Is {n // 5} even?", "options": "yes|no", "shares": [n % 3 + 1, 2]}
        for n in range(150)
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["survey", TINY_BASE_NAME, tmp_path / "t.jsonl", "--format", "spectrum", "-o", tmp_path / "out"]
    wrong = run_here(*words)
    assert wrong.returncode == 2 and named(wrong.stderr, "t.jsonl", "'group'")
    done = run_here(*words, "--group", "land", "--question", "q")
    assert done.returncode == 0 and named(done.stdout, 150, 30)
    assert "js_divergence" in done.stdout and "uniform guess" in done.stdout
    assert len(pd.read_csv(tmp_path / "out" / "long.csv")) == 300
    assert len(pd.read_csv(tmp_path / "out" / "wide.csv")) == 150
    scores = pd.read_csv(tmp_path / "out" / "scores.csv").set_index("score")
    assert (scores.low < scores.model).all() and (scores.model < scores.high).all()


def test_an_interrupted_survey_goes_on_where_it_was_and_ends_with_the_same_bytes(
    run_here: Callable[..., CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"group": f"L{n % 5}", "question": f"Is {n} even?", "options": "yes|no", "shares": [n % 3 + 1, 2]}
        for n in range(2 * BLOCK + 3)
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(name: str, *more: str) -> CompletedProcess[str]:
        words = ["survey", TINY_BASE_NAME, tmp_path / "t.jsonl", "--format", "spectrum"]
        return run_here(*words, "-o", tmp_path / name, *more)

    assert run("whole").returncode == 0
    blocks = list[int]()

    def noted(asked: Any, questions: Any, *, model: Any) -> Any:
        blocks.append(len(asked))
        if len(blocks) == 2:
            raise KeyboardInterrupt
        return answers(asked, questions, model=model)

    monkeypatch.setattr("spectrum_trl.ask.survey.answers", noted)
    stopped = run("killed")
    assert stopped.returncode == 130 and "repeat the same command" in stopped.stderr
    other = run("killed", "--description", "Of {group}.")
    assert other.returncode == 2 and "--fresh" in other.stderr
    assert run("killed").returncode == 0 and blocks == [BLOCK, BLOCK, BLOCK, 3]
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "killed").iterdir())
    assert {"long.csv", "wide.csv", "scores.csv"} <= set(names)
    for name in names:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_values_of_numpy_are_read_and_a_row_that_cannot_be_asked_is_named_before_any_is(
    asked: SpectrumModel,
) -> None:
    table = pd.DataFrame({"group": ["N"] * 2, "question": ["Q?"] * 2})
    table["options"] = [np.array(["yes", "no"]), ["yes", "<|im_end|>"]]
    table["shares"] = [np.array([1, 3]), [np.int64(1), np.int64(1)]]
    read = read_table(table)
    assert read[0].shares == (0.25, 0.75) and read[1].shares == (0.5, 0.5)
    with pytest.raises(UserError, match=r"^row 2: .*control token"):
        survey(read, model=asked)


def test_a_survey_does_not_replace_its_own_table(
    run_here: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "long.csv").write_text("group,question,options\nN,Q?,yes|no\n")
    done = run_here("survey", TINY_BASE_NAME, tmp_path / "long.csv", "-o", tmp_path)
    assert done.returncode == 2 and named(done.stderr, tmp_path / "long.csv", "replaced")
    done = run_here("survey", TINY_BASE_NAME, tmp_path / "long.csv", "-o", "-")
    assert done.returncode == 2 and "name a folder" in done.stderr
    done = run_here(
        "survey", TINY_BASE_NAME, tmp_path / "long.csv", "-o", tmp_path / "out", "--format", "colon"
    )
    assert done.returncode == 0 and not (tmp_path / "out" / "scores.csv").exists()
