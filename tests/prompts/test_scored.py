"""What is scored is what was trained: the same text, the same token ids, in every family and format."""

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from spectrum_trl.data.encode import Encoder
from spectrum_trl.errors import UserError
from spectrum_trl.prompts.families import template_source
from spectrum_trl.prompts.formats import render
from spectrum_trl.prompts.scored import Prompts, default_format
from spectrum_trl.prompts.templates import install
from spectrum_trl.suite.sequences.builders import description_message, pair
from spectrum_trl.suite.task import Message
from tests.messages import naming

FAMILIES = ("gemma3", "qwen3", "llama3_1")
SAMPLES: list[Message] = [{"role": "output", "content": text} for text in ("Heads", "7 of 9 ", "", "“für”")]
CONVERSATIONS = {
    "described": [description_message("A coin.\nFlipped."), *SAMPLES],
    "not described": SAMPLES,
    "with inputs": [description_message("Votes."), *pair("More buses?", "Agree"), *pair("Taxes", "Pass")],
}
Load = Callable[[str], Path]


@pytest.fixture(scope="module", params=[*FAMILIES, "tiny"])
def tokenizer(request, tokenizer_folder: Load, tiny_tokenizer) -> PreTrainedTokenizerBase:
    if request.param == "tiny":
        return tiny_tokenizer
    found = AutoTokenizer.from_pretrained(tokenizer_folder(request.param))
    install(found, family=request.param)
    return found


def ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_scored_tokens_are_the_trained_ones(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    messages = CONVERSATIONS[name]
    outputs = Prompts(tokenizer, fmt="spectrum").outputs(messages)
    ((_, trained, mask),) = Encoder(tokenizer, max_length=None, train_on="outputs").encode([messages])
    spans = []
    for output in outputs:
        whole = ids(tokenizer, output.context + output.output)
        assert whole == trained[: len(whole)]
        spans.append((len(ids(tokenizer, output.context)), len(whole)))
    # The first output carries no loss without a description, but may be scored all the same.
    carrying = spans if name != "not described" else spans[1:]
    assert [n for n, on in enumerate(mask) if on] == [n for span in carrying for n in range(*span)]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_colon_is_the_text_of_its_template(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    messages = CONVERSATIONS[name]
    prompts = Prompts(tokenizer, fmt="colon")
    whole = render(messages, tokenizer=tokenizer, fmt="colon")
    outputs = prompts.outputs(messages)
    assert outputs[-1].context + outputs[-1].output == whole
    assert all(output.context.endswith("Output:") for output in outputs)
    assert [output.output for output in outputs] == [
        f" {m['content'].strip()}\n\n" for m in messages if m["role"] == "output"
    ]
    assert "Output:" in template_source("colon")


@pytest.mark.parametrize("fmt", ["spectrum", "colon"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_prompt_is_the_context_of_the_output_to_come(
    tokenizer: PreTrainedTokenizerBase, name: str, fmt: str
) -> None:
    prompts, messages = Prompts(tokenizer, fmt=fmt), CONVERSATIONS[name]
    last = prompts.outputs(messages)[-1]
    assert prompts.prompt(messages[:-1]) == last.context
    assert prompts.answer(messages[-1]["content"]) == last.output
    shown = render(messages[:-1], tokenizer=tokenizer, fmt=fmt, add_generation_prompt=True)
    assert last.context == shown


@pytest.mark.parametrize("fmt", ["chat", "chat_simple"])
@pytest.mark.parametrize("family", ["qwen3", "llama3_1"])
def test_chat_ends_an_answer_as_the_models_own_template_does(
    tokenizer_folder: Load, family: str, fmt: str
) -> None:
    found = AutoTokenizer.from_pretrained(tokenizer_folder(family))
    if found.chat_template is None:
        pytest.skip("the archive has no chat template")
    prompts = Prompts(found, fmt=fmt)
    messages = CONVERSATIONS["with inputs"]
    for n, output in enumerate(prompts.outputs(messages)):
        shown = render(messages[: 3 + 2 * n], tokenizer=found, fmt=fmt)
        assert shown.startswith(output.context + output.output)
        assert output.output.endswith({"qwen3": "<|im_end|>", "llama3_1": "<|eot_id|>"}[family])


def test_chat_without_a_description_asks_for_the_first_output_too(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer(["<end>"])
    turns = "{% for m in messages %}[{{ m.role }}]{{ m.content }}<end>{% endfor %}"
    tokenizer.chat_template = turns + "{% if add_generation_prompt %}[assistant]{% endif %}"
    prompts = Prompts(tokenizer, fmt="chat_simple")
    assert prompts.outputs(SAMPLES[:2]) == [
        ("[user]Generate.<end>[assistant]", "Heads<end>"),
        ("[system]Example Output: Heads<end>[user]<end>[assistant]", "7 of 9 <end>"),
    ]


@pytest.mark.parametrize("fmt", ["spectrum", "colon"])
def test_a_context_is_split_where_the_whole_has_a_token_boundary(
    tokenizer: PreTrainedTokenizerBase, fmt: str
) -> None:
    prompts = Prompts(tokenizer, fmt=fmt)
    for messages in CONVERSATIONS.values():
        for output in prompts.outputs(messages):
            bare, lead = prompts.split(output.context)
            assert bare + lead == output.context and bare == bare.rstrip()
            whole, start = ids(tokenizer, output.context + output.output), ids(tokenizer, bare)
            assert whole[: len(start)] == start
            both = ids(tokenizer, output.context)
            assert whole[: len(both)] == both


def test_the_default_format_suits_the_tokenizer(byte_tokenizer, tokenizer_folder: Load) -> None:
    bare = AutoTokenizer.from_pretrained(tokenizer_folder("qwen3"))
    bare.chat_template = None
    assert default_format(bare) == "colon"
    bare.chat_template = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
    assert default_format(bare) == "chat"
    install(bare)
    assert default_format(bare) == "spectrum"


def test_chat_without_a_template_is_one_clear_message(tokenizer_folder: Load) -> None:
    bare = AutoTokenizer.from_pretrained(tokenizer_folder("qwen3"))
    bare.chat_template = None
    with pytest.raises(UserError, match=naming("format", "format=colon")):
        Prompts(bare, fmt="chat")


def test_the_format_of_training_leaves_a_shared_tokenizer_as_it_is(tokenizer_folder: Load) -> None:
    bare = AutoTokenizer.from_pretrained(tokenizer_folder("qwen3"))
    before = bare.chat_template, bare.eos_token, bare.pad_token, default_format(bare)
    assert Prompts(bare, fmt="spectrum").fmt == "spectrum"
    assert (bare.chat_template, bare.eos_token, bare.pad_token, default_format(bare)) == before
