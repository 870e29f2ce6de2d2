"""Layouts of documents and chats: what the tiny models are pretrained and post-trained on."""

import copy
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from spectrum_trl.errors import UserError
from spectrum_trl.paths import bundled
from spectrum_trl.prompts.families import template_source
from spectrum_trl.prompts.templates import check_layout, install, published

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
    assert all(message["content"].strip() in whole for message in MESSAGES)
    assert "red" in trained and "blue" in trained and "jar" not in trained and "Go" not in trained


def test_a_document_has_no_turn_token_and_ends_as_a_text(world_tokenizer: Any) -> None:
    whole, trained = encoded(world_tokenizer, "text")
    assert whole == "A jar.Go. redOn. blue<|endoftext|>" and trained == " red blue<|endoftext|>"


def test_a_chat_has_the_turns_of_chatml(world_tokenizer: Any) -> None:
    whole, trained = encoded(world_tokenizer, "chat")
    assert whole.startswith("<|im_start|>system\nA jar.<|im_end|>\n<|im_start|>user\nGo.<|im_end|>\n")
    assert trained == " red<|im_end|> blue<|im_end|>"


def test_a_pretrained_model_is_published_without_a_template_and_ends_texts(world_tokenizer: Any) -> None:
    tokenizer = copy.deepcopy(world_tokenizer)
    tokenizer.chat_template = None
    install(tokenizer)
    saved = published(tokenizer, layout="text")
    assert saved.chat_template is None and saved.eos_token == "<|endoftext|>"
    assert tokenizer.chat_template and tokenizer.eos_token == "<|im_end|>", "the one in use stays as it is"


def test_a_chat_model_is_published_with_its_own_template_alone(world_tokenizer: Any) -> None:
    tokenizer = copy.deepcopy(world_tokenizer)
    tokenizer.chat_template = template_source("layouts/chat")
    install(tokenizer)
    saved = published(tokenizer, layout="chat")
    assert saved.chat_template == template_source("layouts/chat") and saved.eos_token == "<|im_end|>"
    assert published(tokenizer, layout="spectrum") is tokenizer
    assert published(tokenizer, layout="text").chat_template is None


@pytest.mark.parametrize("layout", ["text", "chat"])
def test_a_layout_whose_tokens_a_model_lacks_is_refused(layout: Any) -> None:
    words = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    with pytest.raises(UserError, match=f"layout: {layout} writes <"):
        check_layout(PreTrainedTokenizerFast(tokenizer_object=words), layout=layout)
