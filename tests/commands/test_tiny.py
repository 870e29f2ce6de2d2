"""`spectrum-trl tiny`: each embedded model in the formats that its tokenizer allows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spectrum_trl.tiny import scores
from tests.messages import named
from tests.processes import run_command
from tests.small_models import FEW


# The README's command has the format spectrum and all items; its test runs that.
@pytest.mark.parametrize(("model", "format"), [("tiny-base", "colon"), ("tiny-instruct", "chat_simple")])
@pytest.mark.slow
def test_an_embedded_model_is_measured(
    model: str, format: str, tmp_path: Path, run_here: Callable[..., Any], few_items: None
) -> None:
    words = ["--format", format, "--part", "choice", "--output", tmp_path / "found.json"]
    done = run_here("tiny", f"spectrum-trl/{model}", *words)
    assert done.returncode == 0, done.stderr
    assert "described urns" in done.stdout and "uniform guess" in done.stdout
    found = scores.load(tmp_path / "found.json")
    assert (found.fmt, found.part) == (format, "choice")
    n_items = len(found.rows[scores.URN]), len(found.rows[scores.COIN]), len(found.rows[scores.URNS])
    assert n_items == (FEW["URNS"], FEW["SEQUENCES"], FEW["PROMPTS"])


def test_a_format_that_a_model_lacks_is_one_message(tmp_path: Path) -> None:
    done = run_command("tiny", "spectrum-trl/tiny-base", "--format", "chat")
    assert done.returncode == 2 and named(done.stderr, "format", "chat", "format=colon")
    assert "Traceback" not in done.stderr
