"""The prompt is a prefix of what is trained, whatever splits the text before it is tokenized."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from spectrum_trl.data.encode import Encoder
from spectrum_trl.prompts import templates
from spectrum_trl.prompts.messages import check, normalise
from spectrum_trl.suite.task import Message
from tests.messages import named
from tests.real_models import real_model

SPECIAL = ["<unk>", "<pad>", "<|im_start|>", "<|im_end|>"]
TEXTS = [f"description\n{' ' * n}red{' ' * n}12{chr(9) * n}\n{' ' * n}\n output\n#a" for n in range(6)] * 20
QWEN = r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
# Each kind of splitting, learnt on texts whose line breaks and spaces stand together.
SPLITS = {
    "GPT-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "digits, then GPT-2": pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
    "Qwen": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN), "isolated"), BYTES]),
    "nothing": BYTES,
    "SentencePiece": pre_tokenizers.Metaspace(prepend_scheme="never", split=False),
    "SentencePiece, words": pre_tokenizers.Metaspace(prepend_scheme="never"),
    "byte fallback": pre_tokenizers.Split(" ", "merged_with_previous"),
}
OUTPUT = st.text("  \t\n\r\u3000\xa0a1#é", max_size=6)
Load = Callable[[str], PreTrainedTokenizerBase]


@pytest.fixture(scope="module", params=SPLITS)
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=request.param == "byte fallback"))
    backend.pre_tokenizer = SPLITS[request.param]
    alphabet: list[str] = []
    if "byte fallback" in request.param:
        backend.normalizer = normalizers.Replace(" ", "▁")
        alphabet = []
    elif "Sentence" not in request.param:
        alphabet, backend.decoder = pre_tokenizers.ByteLevel.alphabet(), decoders.ByteLevel()
    pieces = [f"<0x{byte:02X}>" for byte in range(256)] if request.param == "byte fallback" else []
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=[*SPECIAL, *pieces], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(TEXTS, trainer)
    built = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<pad>", unk_token="<unk>"
    )
    templates.install(built)
    return built


def check_prefix(tokenizer: PreTrainedTokenizerBase, outputs: list[str]) -> None:
    """Check each prompt against what is trained, where nothing is reported."""
    raw = [Message(role="description", content="d"), *(Message(role="output", content=o) for o in outputs)]
    messages = normalise(raw, tokenizer=tokenizer)
    if check(messages, tokenizer=tokenizer):
        # Spaces can be taken away; a letter that merges with the header can only be refused.
        assert any(not message["content"][:1].isspace() for message in messages[1:])
        return
    ((_, ids, _),) = Encoder(tokenizer, max_length=None, train_on="outputs").encode([messages])
    for n in range(1, len(messages)):
        prompt = tokenizer.apply_chat_template(messages[:n], add_generation_prompt=True, return_dict=False)
        assert ids[: len(prompt)] == prompt
    assert [message["content"].lstrip() for message in messages] == [m["content"].lstrip() for m in raw]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(outputs=st.lists(OUTPUT, min_size=2, max_size=3))
def test_a_prompt_is_a_prefix_of_what_is_trained(
    tokenizer: PreTrainedTokenizerBase, outputs: list[str]
) -> None:
    check_prefix(tokenizer, outputs)


@pytest.mark.parametrize("family", ["gemma3", "qwen3", "llama3_1", "smollm2"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(outputs=st.lists(OUTPUT, min_size=2, max_size=3))
def test_so_it_is_with_real_tokenizers(spectrum_tokenizer: Load, family: str, outputs: list[str]) -> None:
    check_prefix(smollm2() if family == "smollm2" else spectrum_tokenizer(family), outputs)


def smollm2() -> PreTrainedTokenizerBase:
    if not KEPT:
        KEPT.append(AutoTokenizer.from_pretrained(real_model("smollm2-135m-instruct")))
        templates.install(KEPT[0])
    return KEPT[0]


KEPT: list[PreTrainedTokenizerBase] = []


def test_only_the_spaces_that_merge_are_taken_away_and_others_are_reported() -> None:
    tokenizer = smollm2()
    messages = [Message(role="description", content="  d"), Message(role="output", content="    a b")]
    (problem,) = check(messages, tokenizer=tokenizer)
    assert named(problem, "message 2 (output)", "' '", "messages.normalise")
    assert [m["content"] for m in normalise(messages, tokenizer=tokenizer)] == ["  d", " a b"]
    assert normalise(messages) == messages and not check(normalise(messages, tokenizer=tokenizer))
