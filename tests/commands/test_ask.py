"""``spectrum-trl ask``: what it prints for people and machines, and refuses before a model is loaded."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from spectrum_trl import SpectrumModel
from spectrum_trl.paths import TINY_BASE_NAME
from tests.messages import named

Run = Callable[..., CompletedProcess[str]]
DESCRIPTION = "In the urn: 3 red and 2 blue balls."
ASK = ["ask", TINY_BASE_NAME, "--format", "spectrum", "--description", DESCRIPTION]


@pytest.fixture(scope="module")
def model() -> SpectrumModel:
    return SpectrumModel.from_pretrained(TINY_BASE_NAME, format="spectrum")


def test_answers_have_probabilities_and_coverage(run_here: Run, model: SpectrumModel) -> None:
    done = run_here(*ASK, "--example", "red", "--answers", 'red, blue, "red, blue"', "--json")
    found = json.loads(done.stdout)
    answers = ["red", "blue", "red, blue"]
    known = model.probabilities(answers, description=DESCRIPTION, examples=["red"])
    assert [one["answer"] for one in found["answers"]] == answers
    assert [one["probability"] for one in found["answers"]] == pytest.approx(known.probabilities)
    assert found["coverage"] == pytest.approx(known.coverage)


def test_people_get_bars_and_are_told_of_low_coverage(run_here: Run) -> None:
    done = run_here(*ASK, "--answers", "qqq,[red]x[/]")
    assert done.returncode == 0 and "█" in done.stdout and "[red]x[/]" in done.stdout
    assert named(done.stdout, "coverage", "low")


@pytest.mark.slow
def test_samples_tokens_likeliest_answers_and_schemas_are_tables_too(
    run_here: Run, model: SpectrumModel, tmp_path: Path
) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"enum": [1, "x\x1b[31m"]}))
    likeliest = ["--format", "colon", "--max-new-tokens", "4"]
    for words in (["--sample", "4"], ["--top", "3"], likeliest, ["--schema", str(schema)]):
        shown = run_here(*ASK, *words)
        assert shown.returncode == 0 and "█" in shown.stdout and "\x1b[31m" not in shown.stdout
        rows = list(csv.DictReader(io.StringIO(run_here(*ASK, *words, "--csv").stdout)))
        assert rows and all(None not in row.values() for row in rows)
    drawn = json.loads(run_here(*ASK, "--sample", "4", "--seed", "7", "--json").stdout)["samples"]
    known = model.sample(4, seed=7, description=DESCRIPTION)
    assert [one["text"] for one in drawn] == [one.text for one in known]


def test_a_table_is_answered_row_by_row(run_here: Run, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("n,colour\n3,red\n2\n2,blue\n")
    words = ["ask", TINY_BASE_NAME, "--format", "spectrum", "--questions", tmp_path / "q.csv"]
    words += ["--description", "In the urn: {n} {colour} balls.", "--answers", "red,blue"]
    done = run_here(*words, "-o", tmp_path / "out.jsonl")
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert done.returncode == 2 and named(done.stderr, 1, "row")
    assert [one["row"] for one in found] == [1, 2, 3]
    assert "1 cell," in found[1]["error"] and found[0]["coverage"] > 0
    for output in ([], ["-o", "-"]):
        assert run_here(*words, *output).stdout == (tmp_path / "out.jsonl").read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--answers", "a", "--sample", "2"], "give only one of --answers, --sample"),
        (["--answers-file", "no.txt"], "cannot be read"),
        (["--schema", "no.json"], "cannot be read"),
        (["--json", "--csv"], "either --json or --csv"),
        (["--output", "x.jsonl"], "--output: only answers to --questions"),
        (["--questions", "no.csv"], "there is no file no.csv"),
        (["--answers", ""], "an answer is empty"),
        (["--answers", "yes,"], "an answer is empty"),
        (["--answers", "a\nb"], "of several lines"),
        (["--answers-file", "empty.txt"], "is empty"),
        (["--questions", "q.jsonl", "-o", "q.jsonl"], "itself would be replaced"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(
    run_here: Run, words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "q.jsonl").write_text("{}\n")
    done = run_here("ask", "no/such/model", *words)
    assert done.returncode == 2 and expected in done.stderr and "no/such/model" not in done.stderr


def test_a_model_without_a_template_is_told_how_to_ask_it(run_here: Run) -> None:
    done = run_here("ask", TINY_BASE_NAME, "--description", DESCRIPTION)
    assert done.returncode == 2 and 'format="colon"' in done.stderr


def test_what_is_wrong_for_every_row_is_told_once(run_here: Run, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"description": "x"}\n' * 3)
    (tmp_path / "schema.json").write_text('{"type": "string"}')
    words = ["ask", TINY_BASE_NAME, "--format", "spectrum", "--questions", tmp_path / "q.jsonl"]
    for wrong, expected in (
        (["--answers", "a,a"], "answers 1 and 2 are the same"),
        (["--schema", tmp_path / "schema.json"], "cannot be listed"),
    ):
        done = run_here(*words, *wrong, "-o", tmp_path / "out.jsonl")
        assert done.returncode == 2 and done.stderr.count(expected) == 1
        assert not (tmp_path / "out.jsonl").exists()


def test_a_row_may_have_answers_of_its_own(run_here: Run, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"description": "x", "answers": ["a", "b"]}\n{"description": "x"}\n')
    words = ["ask", TINY_BASE_NAME, "--format", "colon", "--questions", tmp_path / "q.jsonl"]
    own, searched = map(json.loads, run_here(*words, "--max-new-tokens", "3").stdout.splitlines())
    assert [one["answer"] for one in own["answers"]] == ["a", "b"] and "coverage" in own
    assert "mass" in searched
    _, shared = map(json.loads, run_here(*words, "--answers", "c,d").stdout.splitlines())
    assert [one["answer"] for one in shared["answers"]] == ["c", "d"]
