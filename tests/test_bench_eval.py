"""What `make bench-eval` compares: the three ways answer alike, and the table names them."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests import bench_eval


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny: dict[str, Any] = {"vocab_size": 800, "hidden_size": 128, "num_hidden_layers": 1}
    monkeypatch.setattr(bench_eval, "SHAPES", {"tiny": tiny})


def test_the_works_have_the_size_that_they_are_said_to_have(small: None) -> None:
    model, tokenizer = bench_eval.model_of("tiny")
    steerability = bench_eval.icl(model, tokenizer)
    assert len(steerability.requests) == 2 * bench_eval.OUTPUTS
    context, answer = steerability.requests[-2].args
    assert 850 < len(tokenizer(context + answer)["input_ids"]) < 1150
    several = bench_eval.candidates(model, tokenizer)
    assert len({request.args for request in several.requests}) == bench_eval.CANDIDATES + 1
    assert 700 < len(tokenizer(several.requests[0].args[0])["input_ids"]) < 900
    assert len(bench_eval.samples(model, tokenizer).requests) == bench_eval.SAMPLES


@pytest.mark.slow
def test_all_ways_answer_alike_and_the_table_names_them(small: None, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(bench_eval.main)
    output = tmp_path / "result.json"
    done = CliRunner().invoke(app, ["--rounds", "1", "--no-memory", "--output", str(output)])
    assert done.exit_code == 0, done.output
    works = json.loads(output.read_text())["works"]
    assert set(works) == {f"tiny {kind}" for kind in bench_eval.WORKS}
    assert all(seconds > 0 for work in works.values() for seconds in work["seconds"].values())
    assert all(kind in done.output for kind in bench_eval.WORKS)
