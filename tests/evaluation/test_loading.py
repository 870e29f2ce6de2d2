"""A model is loaded by the process that it belongs to, and what cannot be loaded is a message."""

from pathlib import Path

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.loading import is_first_process, load


@pytest.mark.parametrize(
    ("environment", "first"),
    [({}, True), ({"RANK": "1"}, True), ({"RANK": "1", "WORLD_SIZE": "2"}, False), ({"RANK": "0"}, True)],
)
def test_a_rank_that_a_shell_left_behind_is_none(
    environment: dict[str, str], first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() == first


def test_a_model_class_that_lm_eval_does_not_have_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--backend: lm-eval has no model class 'spectrumm'"):
        load("spectrumm", {"pretrained": "x"}, store=tmp_path / "a", fresh=False)
