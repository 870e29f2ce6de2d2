"""Layouts of documents and chats: what the tiny models are pretrained and post-trained on."""

from typing import Any

import pytest

from spectrum_trl.paths import bundled
from spectrum_trl.prompts.families import template_source

LAYOUTS = sorted(file.stem for file in (bundled("chat_templates") / "layouts").glob("*.jinja"))
MESSAGES = [
    {"role": "description", "content": "A jar."},
    {"role": "input", "content": "Go."},
    {"role": "output", "content": " red"},
    {"role": "input", "content": "On."},
    {"role": "output", "content": " blue"},
]


def encoded(tokenizer: Any, layout: str) -> tuple[str, str]:
    """Return the whole text, and the trained part of it."""
    found = tokenizer.apply_chat_template(
        MESSAGES,
        chat_template=template_source(f"layouts/{layout}"),
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    trained = [i for i, on in zip(found["input_ids"], found["assistant_masks"], strict=True) if on]
    return tokenizer.decode(found["input_ids"]), tokenizer.decode(trained)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_outputs_are_trained_and_nothing_that_is_read(layout: str, world_tokenizer: Any) -> None:
    whole, trained = encoded(world_tokenizer, layout)
    assert all(message["content"] in whole for message in MESSAGES)
    assert "red" in trained and "blue" in trained and "jar" not in trained and "Go" not in trained


def test_a_document_has_no_turn_token_and_ends_as_a_text(world_tokenizer: Any) -> None:
    whole, trained = encoded(world_tokenizer, "text")
    assert whole == "A jar.Go. redOn. blue<|endoftext|>" and trained == " red blue<|endoftext|>"


def test_a_chat_has_the_turns_of_chatml(world_tokenizer: Any) -> None:
    whole, trained = encoded(world_tokenizer, "chat")
    assert whole.startswith("<|im_start|>system\nA jar.<|im_end|>\n<|im_start|>user\nGo.<|im_end|>\n")
    assert trained == " red<|im_end|> blue<|im_end|>"
