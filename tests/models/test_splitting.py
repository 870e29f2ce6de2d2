"""A tokenizer that loads as another than its file says is refused, and no published one is."""

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from spectrum_trl.errors import UserError
from spectrum_trl.models.load import load_tokenizer
from spectrum_trl.paths import TINY_BASE, TINY_INSTRUCT
from tests.real_models import real_model


def _with_settings(folder: Path, source: Path, **changes: object) -> str:
    folder.mkdir()
    shutil.copy(source / "tokenizer.json", folder)
    settings = json.loads((source / "tokenizer_config.json").read_text()) | changes
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return str(folder)


# The fix that the message names.
FIX = {"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": False}


def test_settings_that_replace_the_pre_tokenizer_are_refused(tmp_path: Path) -> None:
    changes = {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}
    name = _with_settings(tmp_path / "model", TINY_BASE, **changes)
    with pytest.raises(UserError, match=r"does not split text as its tokenizer\.json .*tokenizer_class"):
        load_tokenizer(name)
    load_tokenizer(_with_settings(tmp_path / "fixed", Path(name), **FIX))


@pytest.mark.parametrize("setting", ["enable_truncation", "enable_padding"])
def test_lengths_that_a_file_sets_are_no_other_splitting(setting: str, tmp_path: Path) -> None:
    name = _with_settings(tmp_path / "model", TINY_BASE)
    file = str(Path(name) / "tokenizer.json")
    tokenizer = Tokenizer.from_file(file)
    getattr(tokenizer, setting)(**({"max_length": 4} if setting == "enable_truncation" else {"length": 99}))
    tokenizer.save(file)
    load_tokenizer(name)


@pytest.mark.slow
def test_a_class_that_replaces_the_pre_tokenizer_of_a_real_model_is_refused(tmp_path: Path) -> None:
    source = real_model("smollm2-135m-instruct")
    with pytest.raises(UserError, match="loaded it as GemmaTokenizer"):
        load_tokenizer(_with_settings(tmp_path / "model", source, tokenizer_class="GemmaTokenizer"))
    # transformers knows better than this one, and loads the file as it is.
    load_tokenizer(_with_settings(tmp_path / "alike", source, tokenizer_class="LlamaTokenizerFast"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gemma-3-270m", "smollm2-135m-instruct"])
def test_tokenizers_of_real_models_load(name: str) -> None:
    load_tokenizer(str(real_model(name)))


@pytest.mark.parametrize("folder", [TINY_BASE, TINY_INSTRUCT])
def test_tiny_tokenizers_load(folder: Path) -> None:
    load_tokenizer(str(folder))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gemma3", "qwen3", "llama3_1"])
def test_published_tokenizers_load_and_what_is_saved_of_them(
    tmp_path: Path, tokenizer_folder, family: str
) -> None:
    load_tokenizer(str(tokenizer_folder(family))).save_pretrained(tmp_path)
    load_tokenizer(str(tmp_path))
