"""Conversations rendered by outline are what the template makes of them: text, tokens and loss."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from spectrum_trl.data.encode import Encoder, encode
from spectrum_trl.prompts.messages import check
from spectrum_trl.prompts.rendering import Outlines

FAMILIES = ("gemma3", "qwen3", "llama3_1")
CONTENT = st.text(max_size=8) | st.sampled_from(
    ["", " ", "\n", "a\n\nb ", "\u0301x", "\ue000", "{{ x }}", "é \t", "12 3"]
)
TURN = st.fixed_dictionaries(
    {"role": st.sampled_from(["description", "input", "output"]), "content": CONTENT}
)


@pytest.mark.parametrize("family", FAMILIES)
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(
    conversations=st.lists(st.lists(TURN, min_size=1, max_size=7), min_size=1, max_size=3),
    train_on=st.sampled_from(["outputs", "first", "last"]),
)
def test_text_tokens_and_loss_are_the_templates_own(
    spectrum_tokenizer: Callable[[str], PreTrainedTokenizerBase],
    family: str,
    conversations: list[list[dict[str, str]]],
    train_on: str,
) -> None:
    tokenizer = spectrum_tokenizer(family)
    outlines = Outlines(tokenizer, train_on=train_on)
    for messages in conversations:
        text = tokenizer.apply_chat_template(messages, tokenize=False, train_on=train_on)
        assert outlines.fill(messages).text == text
    sound = [messages for messages in conversations if not check(messages, tokenizer=tokenizer)]
    if not sound:
        return
    expected = tokenizer.apply_chat_template(
        sound, return_dict=True, return_assistant_tokens_mask=True, train_on=train_on
    )
    trained = [any(mask) for mask in expected["assistant_masks"]]
    encoder = Encoder(tokenizer, max_length=None, train_on=train_on)
    rows, _ = encode("t", sound, encoder, dropped=Counter())
    for column in ("input_ids", "assistant_masks"):
        kept = [row for row, any_trained in zip(expected[column], trained, strict=True) if any_trained]
        assert list(rows[column] if len(rows) else []) == kept


def test_the_template_runs_once_for_each_order_of_roles(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    outlines = Outlines(tiny_tokenizer, train_on="outputs")
    for n in range(50):
        outlines.fill([{"role": "description", "content": str(n)}, {"role": "output", "content": "x" * n}])
    assert len(outlines._known) == 1
