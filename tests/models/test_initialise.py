"""A new tokenizer reads any text back; a new model is made by its seed; role tokens come from a sibling."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers

from spectrum_trl.errors import UserError
from spectrum_trl.models.initialise import (
    QWEN_TOKENS,
    check_sibling,
    copy_role_tokens,
    initialise_role_tokens,
    new_model,
    new_tokenizer,
)
from spectrum_trl.models.load import load_model, load_tokenizer
from spectrum_trl.models.role_rows import role_token_ids
from spectrum_trl.prompts import templates
from spectrum_trl.prompts.families import Family, families
from tests.messages import naming
from tests.real_models import real_model

TOKENIZER = new_tokenizer(["output\nred 12 blue", "description\nA jar holds 3 red marbles."], vocab_size=300)
CONFIG = {
    "model_type": "qwen3",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
}


@given(st.text().filter(lambda text: not any(token in text for token in QWEN_TOKENS)))
def test_any_text_is_read_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER(text).input_ids) == text


def test_digits_are_tokens_of_their_own_and_a_word_is_the_same_token_before_anything() -> None:
    assert TOKENIZER.tokenize("12") == ["1", "2"]
    word = TOKENIZER("red").input_ids
    for text in ("red\n", "red.", "red 12", "red<|im_end|>"):
        assert TOKENIZER(text).input_ids[: len(word)] == word
    assert TOKENIZER.convert_tokens_to_ids(list(QWEN_TOKENS)) == [0, 1, 2]


def test_the_seed_decides_the_weights() -> None:
    first, same, other = (new_model(CONFIG, vocab_size=300, seed=seed) for seed in (0, 0, 1))
    weights = [model.get_input_embeddings().weight for model in (first, same, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert weights[0].shape == (300, 16)


def config(*, tied: bool, hidden: int = 16) -> dict[str, object]:
    return CONFIG | {"hidden_size": hidden, "tie_word_embeddings": tied}


@pytest.fixture
def tokenizer():
    tokenizer = new_tokenizer(["description input output words"], vocab_size=300)
    templates.install(tokenizer)
    return tokenizer


@pytest.mark.parametrize("use", ["bos_token", "eos_token", "pad_token", "unk_token"])
@pytest.mark.parametrize("family", families().values(), ids=lambda family: family.name)
def test_turn_tokens_with_another_use_are_copied_too(family: Family, use: str, byte_tokenizer) -> None:
    """SmolLM2's begin of a turn is its BOS; a template's end of a turn is always its EOS."""
    for token in family.turn_tokens:
        settings = {"bos_token": "<s>", "pad_token": "<pad>", use: token}
        tokenizer = byte_tokenizer([*family.control_tokens, "<s>", "<pad>"], **settings)
        assert templates.install(tokenizer) == family.name
        ids = role_token_ids(tokenizer, family=family.name)
        assert set(tokenizer.convert_ids_to_tokens(ids)) == set(family.turn_tokens)


@pytest.mark.parametrize("tied", [True, False])
def test_exactly_the_turn_tokens_rows_are_copied(tmp_path: Path, tokenizer, tied: bool) -> None:
    donor = new_model(config(tied=tied), vocab_size=300, seed=1)
    donor.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = new_model(config(tied=tied), vocab_size=300, seed=0)
    before = model.get_input_embeddings().weight.detach().clone()
    copied = copy_role_tokens(model, tokenizer=tokenizer, family="chatml", sibling=str(tmp_path))
    assert copied == ["<|im_start|>", "<|im_end|>"]
    ids = role_token_ids(tokenizer, family="chatml")
    for layer in ("get_input_embeddings", "get_output_embeddings"):
        assert torch.equal(getattr(model, layer)().weight[ids], getattr(donor, layer)().weight[ids])
    others = [index for index in range(300) if index not in ids]
    assert torch.equal(model.get_input_embeddings().weight[others], before[others])


def test_a_tied_model_takes_no_rows_of_two_matrices(tmp_path: Path, tokenizer) -> None:
    new_model(config(tied=False), vocab_size=300, seed=1).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = new_model(config(tied=True), vocab_size=300, seed=0)
    before = model.get_input_embeddings().weight.detach().clone()
    with pytest.raises(UserError, match=naming("output layer", "embedding", tmp_path)):
        copy_role_tokens(model, tokenizer=tokenizer, family="chatml", sibling=str(tmp_path))
    assert torch.equal(model.get_input_embeddings().weight, before)


def test_a_sibling_of_another_size_is_refused(tmp_path: Path) -> None:
    for name, hidden in (("base", 16), ("sibling", 32)):
        new_model(config(tied=True, hidden=hidden), vocab_size=300, seed=1).save_pretrained(tmp_path / name)
    with pytest.raises(UserError, match=naming(tmp_path / "sibling", 32, tmp_path / "base", 16)):
        check_sibling(str(tmp_path / "sibling"), model=str(tmp_path / "base"))


def test_a_sibling_without_the_turn_tokens_is_refused(tmp_path: Path, tokenizer, byte_tokenizer) -> None:
    byte_tokenizer(["<pad>", "<eos>"], eos_token="<eos>", pad_token="<pad>").save_pretrained(tmp_path)
    model = new_model(config(tied=True), vocab_size=300, seed=0)
    with pytest.raises(UserError, match=re.escape("has no token <|im_start|>, <|im_end|>")):
        copy_role_tokens(model, tokenizer=tokenizer, family="chatml", sibling=str(tmp_path))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", families().values(), ids=lambda family: family.name)
def test_turn_tokens_start_as_line_breaks(family: Family, tied: bool, byte_tokenizer) -> None:
    tokenizer = byte_tokenizer(
        [*family.control_tokens, "<s>", "<pad>", "\n\n"], bos_token="<s>", pad_token="<pad>"
    )
    templates.install(tokenizer)
    model = new_model(config(tied=tied), vocab_size=len(tokenizer), seed=0)
    layers = [model.get_input_embeddings(), model.get_output_embeddings()]
    before = [layer.weight.detach().clone() for layer in layers]
    tokens = initialise_role_tokens(model, tokenizer=tokenizer, family=family.name)
    assert set(tokens) == set(family.turn_tokens)
    (line,) = tokenizer.encode("\n", add_special_tokens=False)
    empty = tokenizer.convert_tokens_to_ids("\n\n")
    ids = tokenizer.convert_tokens_to_ids(list(family.turn_tokens))
    for layer, old in zip(layers, before, strict=True):
        # A family's first turn token begins a header.
        assert torch.equal(layer.weight[ids[0]], old[empty])
        assert all(torch.equal(layer.weight[token], old[line]) for token in ids[1:])
        others = [index for index in range(len(old)) if index not in ids]
        assert torch.equal(layer.weight[others], old[others])


def test_a_space_that_a_tokenizer_adds_at_the_beginning_is_no_part_of_a_line_break(byte_tokenizer) -> None:
    (family, *_) = families().values()
    tokenizer = byte_tokenizer([*family.control_tokens, "<s>", "<pad>"], bos_token="<s>", pad_token="<pad>")
    tokenizer.backend_tokenizer.normalizer = normalizers.Prepend(" ")
    templates.install(tokenizer)
    model = new_model(config(tied=True), vocab_size=len(tokenizer), seed=0)
    before = model.get_input_embeddings().weight.detach().clone()
    assert len(tokenizer.encode("\n", add_special_tokens=False)) == 2
    tokens = initialise_role_tokens(model, tokenizer=tokenizer, family=family.name)
    rows = model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(tokens)]
    assert all(torch.allclose(row, before[tokenizer.convert_tokens_to_ids("Ċ")]) for row in rows)


@pytest.mark.slow
def test_a_pretrained_gemma_expects_line_breaks_where_turns_end() -> None:
    name = str(real_model("gemma-3-270m"))
    tokenizer, model = load_tokenizer(name), load_model(name)
    family = templates.install(tokenizer)
    cities = ("Oslo", "Paris", "Rome", "Bern")
    messages = [{"role": "description", "content": "Capitals of countries in Europe."}]
    messages += [{"role": "output", "content": city} for city in cities]
    found: Any = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    ids, trained = (
        torch.tensor([found["input_ids"]]),
        torch.tensor(found["assistant_masks"], dtype=torch.bool),
    )

    def losses() -> torch.Tensor:
        with torch.no_grad():
            log_probs = torch.log_softmax(model(ids).logits[0, :-1].float(), -1)
        return -log_probs.gather(-1, ids[0, 1:, None])[:, 0][trained[1:]]

    ends = ids[0, 1:][trained[1:]] == tokenizer.eos_token_id
    before = losses()
    initialise_role_tokens(model, tokenizer=tokenizer, family=family)
    after = losses()
    assert ends.sum() == len(cities)
    assert before[ends].mean() > 10 and after[ends].mean() < 2
    assert after[~ends].mean() < before[~ends].mean()
