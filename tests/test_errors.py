"""A user's mistake is one message and exit code 2, in the first process at once, in the others later."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spectrum_trl import errors
from spectrum_trl.errors import UserError, nearest, user_errors
from tests.processes import ROOT


@pytest.mark.parametrize(("rank", "waits"), [(None, False), ("0", False), ("-1", False), ("1", True)])
def test_only_other_processes_let_the_first_one_report(
    rank: str | None,
    waits: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(errors.time, "sleep", waited.append)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    with pytest.raises(SystemExit) as exited, user_errors():
        raise UserError("first [bold]", "second")
    assert exited.value.code == 2 and bool(waited) == waits
    assert capsys.readouterr().err.splitlines() == ["error: first [bold]", "error: second"]


def test_other_errors_are_not_the_users() -> None:
    with pytest.raises(ZeroDivisionError), user_errors():
        _ = 1 / 0


@pytest.mark.parametrize(("name", "hint"), [("spilt", " Did you mean 'split'?"), ("zzz", ""), ("", "")])
def test_a_hint_names_what_is_close_and_nothing_else(name: str, hint: str) -> None:
    assert nearest(name, ["split", "tasks"]) == hint


SHELL = """
import os, sys
from spectrum_trl.errors import user_errors
with user_errors():
    print("x" * int(sys.argv[1]))
"""


def shell(redirected: str, *, size: int, cwd: str | None = None) -> tuple[int, str]:
    command = (
        f'cd "{cwd or "."}" && {{ {"rmdir ../gone;" if cwd else ""} "$0" -c "$1" {size} {redirected}; }}'
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command, sys.executable, SHELL],
        capture_output=True,
        text=True,
        env=environment,
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("size", [3, 1_000_000])
def test_a_full_or_closed_output_is_a_message(size: int) -> None:
    code, said = shell("> /dev/full", size=size)
    assert code == 2 and said.startswith("error: standard output cannot be written: No space left")
    assert len(said.splitlines()) == 1
    code, said = shell(">&-", size=size)
    assert code == 2 and said.startswith("error: standard output or error is closed")
    assert shell(">&- 2>&-", size=size) == (2, "")


def test_a_reader_that_has_enough_is_told_nothing() -> None:
    assert shell("| head -c 1", size=1_000_000) == (2, "")


def test_a_folder_that_is_gone_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    code, said = shell("", size=1, cwd=str(tmp_path / "gone"))
    assert code == 2 and "the folder that you are in is not there any more" in said


def test_a_text_in_a_message_is_shown_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), user_errors():
        raise UserError("[red]x[/] :smile: \x1b[31m\x07" + "y" * 10_000_000 + "; name another")
    said = capsys.readouterr().err
    assert "[red]x[/] :smile: ␛[31m␇y" in said and said.endswith("; name another\n") and len(said) < 5000


def test_characters_that_a_terminal_does_not_know_are_replaced() -> None:
    code = "from spectrum_trl.errors import user_errors\nwith user_errors():\n    print('a — ⏎ é')"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a ? ? ?\n", "")
