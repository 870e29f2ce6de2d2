"""A model is loaded by the process that it belongs to, and what cannot be loaded is a message."""

from pathlib import Path

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.evaluate import load


def test_a_model_class_that_lm_eval_does_not_have_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--backend: lm-eval has no model class 'spectrumm'"):
        load("spectrumm", {"pretrained": "x"}, store=tmp_path / "a", fresh=False)
