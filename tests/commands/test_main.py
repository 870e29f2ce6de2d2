"""Every verb runs, and a mistake on the command line ends with exit code 2."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spectrum_trl.commands.main import main
from tests.processes import ROOT, run_command

LONG = "x" * 300
# A command that reads a compressed file that was cut short, or asks, and has no message of its own.
CUT = """
from spectrum_trl.commands.main import app, main

@app.command()
def cut():
    {line}

main()
"""
RECIPE = """
from spectrum_trl.errors import user_errors

with user_errors():
    {line}
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


def test_help_lists_the_verbs_without_loading_the_heavy_libraries() -> None:
    # The console script itself, and what it imports before a verb runs.
    script = Path(sys.executable).with_name("spectrum-trl")
    command = [sys.executable, "-X", "importtime", script, "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for verb in ("train", "preview", "data", "eval", "compare", "judge", "tiny", "report", "merge"):
        assert verb in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "spectrum_trl.commands.data" in imported
    assert not imported & {"torch", "transformers", "trl", "pandas", "scipy", "numpy", "pydantic"}


def test_preview_by_bare_name_from_any_folder(tmp_path: Path) -> None:
    words = ["--samples", "1", "--max_sequences", "3", "--tasks", "coinflip"]
    done = run_command("preview", "demo", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "coinflip" in done.stdout and "<|im_start|>" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("recipe", ["qlora", "full_ft"])
def test_a_recipe_for_gpus_can_be_looked_at_without_one_and_without_bitsandbytes(
    recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    # What an import of a package that is not installed meets.
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    words = ["--model_name_or_path", "spectrum-trl/tiny-base", "--copy_role_tokens_from", ""]
    words += ["--tasks", "coinflip", "--max_sequences", "3", "--samples", "1"]
    monkeypatch.setattr(sys, "argv", ["spectrum-trl", "preview", recipe, *words])
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code in (None, 0)
    assert "coinflip" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("trian", "demo"), "trian"),
        (("preview", "dmo"), "Did you mean 'demo'"),
        (("preview", "nowhere/demo.yaml"), "Did you mean 'demo'"),
        (("train", "demo", "--learning_rte", "1"), "Did you mean 'learning_rate'"),
        (("data", "status", "--data-dir", "nowhere"), "is not a folder"),
        (("tiny", "./nowhere"), "cannot load the tokenizer"),
        (("report", "nowhere"), "nowhere"),
        (("tiny", "spectrum-trl/tiny-base", "--output", "nowhere/x.json"), "nowhere;"),
        (("tiny", "spectrum-trl/tiny-base", "--output", "."), ". is a folder; name a file"),
        (("tiny", "spectrum-trl/tiny-base", "--output", LONG), "too long"),
        (("eval", "", "--tasks", "spectrum_dist_states"), "the name of the model is ''"),
        (("ask", " ", "--description", "x"), "the name of the model is ' '"),
        (("serve", ""), "the name of the model is ''"),
        (("tiny", f"/{LONG}"), "cannot load the tokenizer"),
        (("merge", LONG, "x"), "is not a folder"),
        (("merge", ".", LONG), "too long"),
        (("report", LONG), "no evaluation"),
        (("data", "build", "--data-dir", LONG), "is not a folder"),
        (("preview", "demo", "--train_files", LONG), "does not exist"),
        (
            ("preview", "demo", "--model_name_or_path", f"/{LONG}", "--copy_role_tokens_from", ""),
            "cannot load the tokenizer",
        ),
        (("train", "--num_processes", "2", "demo"), "the recipe comes first"),
        (("train", "demo", "--config_file", "/nowhere.yaml"), "/nowhere.yaml does not exist"),
    ],
)
def test_mistakes_exit_2_without_a_traceback(words: tuple[str, ...], told: str, run_here: Run) -> None:
    done = run_here(*words)
    assert done.returncode == 2
    assert told in done.stderr and "Traceback" not in done.stderr


def test_a_mistake_ends_the_process_with_exit_code_2() -> None:
    done = run_command("preview", "dmo")
    assert done.returncode == 2
    assert "'demo'" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("program", [CUT, RECIPE], ids=["command", "recipe"])
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('import gzip; gzip.decompress(gzip.compress(b"rows")[:-9])', "a file ends too early (Compressed"),
        ("input()", "standard input ended at a question"),
    ],
    ids=["file", "question"],
)
def test_an_early_end_of_a_file_or_of_the_answers_is_one_message(
    program: str, line: str, told: str, tmp_path: Path
) -> None:
    script = tmp_path / "cut.py"
    script.write_text(program.format(line=line))
    done = subprocess.run(
        [sys.executable, script, "cut"], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 2 and done.stderr.startswith(f"error: {told}")
    assert len(done.stderr.splitlines()) == 1


def test_a_quick_preview_takes_a_few_sequences_of_each_task(tmp_path: Path) -> None:
    done = run_command("preview", "demo", "--most", "3", "--samples", "0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line.split("│") for line in done.stdout.splitlines() if line.startswith("│")]
    assert {row[2].strip() for row in rows[:-1]} == {"3"} and rows[-1][2].strip() == str(3 * (len(rows) - 1))


EARLY = """
import os, signal, threading
from spectrum_trl.__main__ import main
threading.Timer({seconds}, os.kill, (os.getpid(), signal.SIGINT)).start()
main()
"""


@pytest.mark.parametrize("seconds", [0.01, 0.1])
def test_ctrl_c_while_commands_are_imported_is_no_traceback(seconds: float, tmp_path: Path) -> None:
    code = EARLY.format(seconds=seconds)
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", "a", "b"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 130 and not done.stderr
