"""A user's mistake is one message and exit code 2, in the first process at once, in the others later."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from spectrum_trl import errors
from spectrum_trl.errors import UserError, check_ended, ended_by_sigterm, nearest, user_errors
from spectrum_trl.suite.reading.tables import csv_rows
from tests.messages import named
from tests.processes import ROOT


@pytest.mark.parametrize(("rank", "waits"), [(None, False), ("0", False), ("1", True)])
def test_only_other_processes_let_the_first_one_report(
    rank: str | None,
    waits: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(errors.time, "sleep", waited.append)
    monkeypatch.delenv("RANK", raising=False)
    for name in ("WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"):
        monkeypatch.setenv(name, "1")
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    with pytest.raises(SystemExit) as exited, user_errors():
        raise UserError("first [bold]", "second")
    assert exited.value.code == 2 and bool(waited) == waits
    assert capsys.readouterr().err.splitlines() == ["error: first [bold]", "error: second"]


def test_other_errors_are_not_the_users() -> None:
    with pytest.raises(ZeroDivisionError), user_errors():
        _ = 1 / 0


@pytest.mark.parametrize(
    ("name", "hint"), [("spilt", " Did you mean 'split'?"), ("zzz", ""), ("", ""), ("tasks", "")]
)
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
    assert code == 2 and said.startswith("error: ") and named(said, "output", "No space left")
    assert len(said.splitlines()) == 1
    code, said = shell(">&-", size=size)
    assert code == 2 and said.startswith("error: ") and named(said, "output", "closed")
    assert shell(">&- 2>&-", size=size) == (2, "")


def test_a_reader_that_has_enough_is_told_nothing() -> None:
    assert shell("| head -c 1", size=1_000_000) == (2, "")


def test_a_folder_that_is_gone_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    code, said = shell("", size=1, cwd=str(tmp_path / "gone"))
    assert code == 2 and "the current folder" in said


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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_a_table_is_read_is_no_damaged_file(
    number: signal.Signals, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.csv"
    os.mkfifo(table)
    done = threading.Event()

    def write() -> None:
        with open(table, "w") as file:
            file.write("a,b\n")
            file.flush()
            # While the reader waits for more.
            done.wait(0.5)
            os.kill(os.getpid(), number)
            done.wait(30)

    writer = threading.Thread(target=write)
    writer.start()
    before = signal.getsignal(number)
    try:
        with pytest.raises(SystemExit) as exited, user_errors(), ended_by_sigterm():
            list(csv_rows(table, ["a", "b"]))
    finally:
        done.set()
        writer.join()
    assert exited.value.code == code and capsys.readouterr().err == ""
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("checked", [True, False])
def test_a_signal_that_a_library_swallowed_ends_the_block_after_its_part(
    number: signal.Signals, code: int, checked: bool
) -> None:
    parts = []
    with pytest.raises(SystemExit) as exited, user_errors(), ended_by_sigterm():
        for part in range(3):
            try:
                if part == 1:
                    os.kill(os.getpid(), number)
            except BaseException:
                parts.append("swallowed")
            if checked:
                check_ended()
            parts.append(str(part))
    assert exited.value.code == code
    assert parts == (["0", "swallowed"] if checked else ["0", "swallowed", "1", "2"])
    with user_errors(), ended_by_sigterm():
        check_ended()
