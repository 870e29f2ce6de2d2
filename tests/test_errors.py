"""A user's mistake is one message and exit code 2, in the first process at once, in the others later."""

import pytest

from spectrum_trl import errors
from spectrum_trl.errors import UserError, nearest, user_errors


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
