"""Output that goes to a file has plain lines: no bar is redrawn in it."""

import json
import logging
import re
import sys
import time
from pathlib import Path

import pytest

from spectrum_trl.commands.main import main
from spectrum_trl.console import console
from spectrum_trl.progress import line_each_minute
from tests.processes import run_recipe


def test_a_long_silence_has_a_line_each_minute(capsys: pytest.CaptureFixture[str]) -> None:
    with line_each_minute("training", out=console(), seconds=0.02):
        time.sleep(0.2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 2 and set(lines) == {"training: 0 s so far"}
    time.sleep(0.05)
    assert not capsys.readouterr().out


def test_commands_silence_what_libraries_print_at_each_start(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = logging.getLogger("bitsandbytes.backends.cpu.ops")
    noisy.setLevel(logging.NOTSET)
    assert noisy.isEnabledFor(logging.WARNING)
    monkeypatch.setattr(sys, "argv", ["spectrum-trl", "--help"])
    with pytest.raises(SystemExit):
        main()
    assert not noisy.isEnabledFor(logging.WARNING)


def test_a_short_phase_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    with line_each_minute("training", out=console()):
        pass
    assert not capsys.readouterr().out


def test_a_piped_run_prints_one_line_per_log_entry_and_no_bars(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    turns = [{"role": "description", "content": "A coin"}, {"role": "output", "content": "heads"}]
    file.write_text((json.dumps({"messages": turns}) + "\n") * 40)
    words = ["--tasks", "", "--train_files", file, "--max_steps", "20", "--logging_steps", "5"]
    words += ["--per_device_train_batch_size", "2", "--save_strategy", "steps", "--save_steps", "10"]
    done = run_recipe("recipes/demo.yaml", *words, "--evaluate", "none", "--output_dir", tmp_path / "x")
    assert done.returncode == 0, done.stderr
    assert "\r" not in done.stdout + done.stderr
    assert "%|" not in done.stderr
    assert len((done.stdout + done.stderr).splitlines()) < 60
    logged = re.findall(r"^step (\d+)/20: loss [0-9.]+", done.stdout, re.MULTILINE)
    assert logged == ["5", "10", "15", "20"]
