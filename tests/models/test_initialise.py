"""A new tokenizer reads any text back, digits one by one; a new model is made by its seed."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from spectrum_trl.models.initialise import QWEN_TOKENS, new_model, new_tokenizer

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
