"""One process of a launch reports for all of them."""

import pytest

from spectrum_trl.console import counted, is_first_process
from spectrum_trl.recipe.read import show_help


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (20_000, "20,000 rows")]
)
def test_one_thing_is_no_plural(number: int, said: str) -> None:
    assert counted(number, "row") == said


LEFT = {"RANK": "1", "WORLD_SIZE": "2"}
LAUNCHER = LEFT | {"LOCAL_RANK": "1", "MASTER_ADDR": "localhost"}


@pytest.mark.parametrize(
    ("environment", "first"),
    [({}, True), (LEFT, True), (LAUNCHER, False), (LAUNCHER | {"RANK": "0"}, True), ({"RANK": "1"}, True)],
)
def test_a_rank_that_a_shell_left_behind_is_none(
    environment: dict[str, str], first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in LAUNCHER:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() == first


def test_the_help_of_recipes_is_printed_beside_a_stray_rank(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "3")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(SystemExit):
        show_help()
    assert "learning_rate" in capsys.readouterr().out
