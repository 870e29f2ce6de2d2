"""An end of turn other than the template's is refused before data are built."""

import re
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from spectrum_trl.data.prepare import check_end_of_turn, prepare
from spectrum_trl.errors import UserError
from spectrum_trl.models.load import load_tokenizer
from spectrum_trl.prompts.templates import own_template
from spectrum_trl.recipe.read import read_recipe


def test_another_end_of_turn_is_refused(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    check_end_of_turn(None, tokenizer=tiny_tokenizer)
    check_end_of_turn("<|im_end|>", tokenizer=tiny_tokenizer)
    for other in ("<|endoftext|>", "", "</s>"):
        with pytest.raises(UserError, match=re.escape("outputs end with '<|im_end|>'")):
            check_end_of_turn(other, tokenizer=tiny_tokenizer)


def test_a_recipe_with_another_end_of_turn_is_refused_before_data_are_built(tmp_path: Path) -> None:
    words = ["--eos_token", "<|endoftext|>", "--output_dir", str(tmp_path / "x"), "--tasks", "tiny_range"]
    with pytest.raises(UserError, match="remove eos_token"):
        prepare(read_recipe("demo", overrides=words))


def test_a_chat_model_keeps_its_own_template_beside_ours(tmp_path: Path) -> None:
    tasks = '{"tiny_answers": {"max_sequences": 4}}'
    words = ["--model_name_or_path", "spectrum-trl/tiny-base", "--output_dir", str(tmp_path / "x")]
    tokenizer, family, _ = prepare(read_recipe("tiny_instruct", overrides=[*words, "--tasks", tasks]))
    assert family == "chatml" and "assistant" in str(own_template(tokenizer))
    shipped = load_tokenizer("spectrum-trl/tiny-instruct")
    assert own_template(shipped) == own_template(tokenizer)
