"""A chat template alone does not make a chat model: whether turns end is tried."""

import copy
from pathlib import Path

import pytest

from spectrum_trl.evaluation import probe
from spectrum_trl.evaluation.options import Options
from spectrum_trl.evaluation.probe import format_of
from spectrum_trl.models.load import load_model, load_tokenizer
from spectrum_trl.paths import TINY_BASE, TINY_INSTRUCT
from tests.messages import named


def with_chat_template(folder: Path) -> Path:
    """Save a pretrained model with the chat template of its instruct sibling."""
    tokenizer = copy.deepcopy(load_tokenizer(str(TINY_BASE)))
    tokenizer.chat_template = load_tokenizer(str(TINY_INSTRUCT)).chat_template
    tokenizer.save_pretrained(folder)
    load_model(str(TINY_BASE)).save_pretrained(folder)
    return folder


def test_a_pretrained_model_with_a_chat_template_is_asked_in_plain_text(tmp_path: Path) -> None:
    options = Options(pretrained=str(with_chat_template(tmp_path)))
    assert probe.is_needed(options)
    assert format_of(options, options.load_tokenizer()) == "colon"


def test_a_model_that_ends_its_turns_is_asked_in_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    options = Options(pretrained=str(TINY_INSTRUCT))
    found = probe.probe_by_name(options)
    assert found.ended >= 7 and found.format == "chat" and named(str(found), "chat", "probe")
    # It is loaded once.
    monkeypatch.setattr(probe, "load_model", None)
    assert format_of(options, options.load_tokenizer()) == "chat"


def test_half_of_the_answers_have_to_end() -> None:
    assert [probe.Probe(n, 8).format for n in (0, 3, 4, 8)] == ["colon", "colon", "chat", "chat"]


@pytest.mark.parametrize("name", [str(TINY_BASE), None])
def test_nothing_is_probed_where_the_tokenizer_or_the_user_says_it(name: str | None) -> None:
    chosen = Options(pretrained=name) if name else Options(pretrained=str(TINY_INSTRUCT), format="colon")
    assert not probe.is_needed(chosen)
