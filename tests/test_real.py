"""`make real`: every command of it is one that runs; stopped by a kill, it goes on where it was."""

import os
import shlex
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from spectrum_trl.evaluation.options import select, task_manager
from spectrum_trl.recipe.read import read_recipe
from tests.real_models import real_model

ROOT = Path(__file__).parents[1]
# Instead of a command: says its words, and writes the page that they name.
SAYS = '#!/bin/sh\necho "$*"\nwhile [ $# -gt 1 ]; do [ "$1" = -o ] && touch "$2"; shift; done; true\n'
MODELS = {"real": {"gemma3_270m", "smollm2_135m"}, "real-small": {"smollm2_135m"}}


def commands(*words: str) -> list[list[str]]:
    """Return the commands that make would run, without those of installing."""
    # Folders of models come from the environment.
    given = {name: value for name, value in os.environ.items() if name != "SPECTRUM_MODELS"}
    done = subprocess.run(
        ["make", "-n", "--always-make", *words], cwd=ROOT, capture_output=True, text=True, env=given
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if "/bin/spectrum-trl" in line or "/bin/accelerate" in line]


@pytest.mark.parametrize("target", ["real", "real-small"])
def test_its_recipes_options_and_tasks_exist(target: str, tmp_path: Path) -> None:
    found = commands(target)
    trained = [words for words in found if "launch" in words]
    evaluated = [words for words in found if "eval" in words]
    reported = [words for words in found if "report" in words]
    columns, shares = Counter[str](), set()
    for words in trained:
        recipe = next(word for word in words if word.startswith("recipes/"))
        options = words[words.index(recipe) + 1 :]
        parsed = read_recipe(recipe, overrides=[*options, "--output_dir", str(tmp_path / "x")])
        assert parsed.data.leave_out_evaluated
        columns[Path(recipe).stem] += 1
        shares.add(str(parsed.data.held_out_share))
    assert columns.keys() >= MODELS[target] and len(reported) == len(columns)
    assert len(set(columns.values())) == 1
    known = task_manager([], metadata={})
    outputs = [words[words.index("--output") + 1] for words in evaluated]
    for words in evaluated:
        assert select(words[words.index("--tasks") + 1].split(","), manager=known)
        given = dict(each.split("=") for each in words[words.index("--metadata") + 1].split(","))
        # Nobody is evaluated whom a model was trained on.
        assert {given.get("held_out_share", *shares)} == shares
    # Each page shows every evaluation of its model, under a name of its own.
    shown = [word.partition("=")[2] for words in reported for word in words if "=" in word]
    assert sorted(shown) == sorted(outputs) and len(set(outputs)) == len(outputs)


@pytest.mark.parametrize("word", ["MODELS=smollm", "MODELS=", "REAL=", "REAL=/tmp/a b"])
def test_a_model_or_folder_that_cannot_be_is_refused_before_anything_runs(word: str) -> None:
    done = subprocess.run(["make", "-n", "real", word], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and word.partition("=")[0] in done.stderr and "launch" not in done.stdout


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ([], []),
        (["REAL_TRAINING=--seed 1"], ["launch", "eval", "report"]),
        (["REAL_EVALUATION=--limit 3"], ["eval", "report"]),
        (["-W", "recipes/smollm2_135m.yaml"], ["launch", "eval", "report"]),
    ],
)
def test_a_step_is_made_again_when_its_recipe_or_options_have_changed(
    changed: list[str], again: list[str], tmp_path: Path
) -> None:
    small = ["make", "-o", "setup", "real", f"REAL={tmp_path}", "MODELS=smollm2_135m"]
    (tmp_path / "bin").mkdir()
    for word in ("accelerate", "spectrum-trl"):
        (tmp_path / "bin" / word).write_text(SAYS)
        (tmp_path / "bin" / word).chmod(0o755)
    small.append(f"BIN={tmp_path / 'bin'}")
    first, second, third = (
        subprocess.run([*small, *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for words in ([], changed, changed)
    )
    assert all(word in first for word in ("launch", "eval", "report")), first
    verbs = [
        line.split()[0] for line in second.splitlines() if line.split()[0] in ("launch", "eval", "report")
    ]
    assert list(dict.fromkeys(verbs)) == again
    # -W says that a file is new each time.
    assert (third == second) == (changed[:1] in ([], ["-W"]))


def test_models_may_be_in_a_folder_with_spaces() -> None:
    found = commands("real", "SPECTRUM_MODELS=/my models")
    begun = [words[words.index("--model_name_or_path") + 1] for words in found if "launch" in words]
    begun += [words[words.index("eval") + 1] for words in found if "--format" in words]
    assert {Path(name).parent for name in begun} == {Path("/my models")}


@pytest.mark.nightly
def test_killed_in_training_and_in_evaluation_it_ends_in_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "real"
    models = str(real_model("smollm2-135m-instruct").parent)
    command = ["make", "real-small", f"REAL_SMALL={folder}"]
    given = {**os.environ, "SPECTRUM_MODELS": models, "HF_HUB_OFFLINE": "1"}
    log = tmp_path / "log"
    for sign in ("step 3/4", "results_lora", None):
        with log.open("a") as stream:
            running = subprocess.Popen(
                command, cwd=ROOT, env=given, stdout=stream, stderr=stream, start_new_session=True
            )
            while running.poll() is None and not (sign and sign in log.read_text()):
                time.sleep(0.2)
            if sign:
                assert running.poll() is None, log.read_text()[-2000:]
                os.killpg(running.pid, signal.SIGKILL)
        assert running.wait() == (-signal.SIGKILL if sign else 0), log.read_text()[-2000:]
    page = folder / "smollm2_135m" / "report.html"
    assert all(name in page.read_text() for name in ("start_chat", "all_tokens", "lora", "full"))
    assert "continuing from" in log.read_text()
