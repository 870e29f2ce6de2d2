"""The table of families says what the templates render."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.paths import bundled
from spectrum_trl.prompts import templates
from spectrum_trl.prompts.families import Family, families, read_families, template_source
from spectrum_trl.prompts.messages import special_tokens
from spectrum_trl.prompts.templates import family_of, install, is_spectrum, shortest_turn
from spectrum_trl.prompts.write_templates import template_of
from tests.messages import naming

MESSAGES = [
    {"role": "description", "content": "Moods"},
    {"role": "input", "content": "noon"},
    {"role": "output", "content": "calm"},
    {"role": "output", "content": "cross"},
]
Build = Callable[..., PreTrainedTokenizerBase]


@pytest.fixture(params=families().values(), ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param


def installed(family: Family, build: Build, *, adds_bos: bool) -> PreTrainedTokenizerBase:
    tokens = [*family.control_tokens, "<s>", "<pad>"]
    tokenizer = build(tokens, adds_bos=adds_bos, bos_token="<s>", pad_token="<pad>")
    assert install(tokenizer) == family.name
    return tokenizer


def test_every_template_but_plain_text_has_a_row_and_every_row_a_template() -> None:
    files = {file.stem for file in bundled("chat_templates").glob("*.jinja")}
    assert set(families()) == files - {"colon"}


def test_every_template_is_what_its_row_and_the_source_make(family: Family) -> None:
    assert template_source(family.name) == template_of(family)


def test_the_table_of_the_readme_is_that_of_the_families() -> None:
    page = (bundled("chat_templates") / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)\.jinja` \| .* \| `(.*)` \| (.*) \|$", page, re.MULTILINE)
    starts = {"tokenizer": "if the tokenizer adds it"}
    assert {name: (turn.replace("\\|", "|"), bos) for name, turn, bos in rows if name != "colon"} == {
        each.name: (
            (each.header.replace("ROLE", "output") + "…" + each.end_of_turn + each.behind).replace("\n", "⏎"),
            starts.get(each.bos, each.bos),
        )
        for each in families().values()
    }


def test_every_template_says_its_name(family: Family, byte_tokenizer: Build) -> None:
    tokenizer = installed(family, byte_tokenizer, adds_bos=True)
    assert family_of(tokenizer) == family
    colon = (bundled("chat_templates") / "colon.jinja").read_text()
    tokenizer.chat_template = colon
    assert is_spectrum(colon) and family_of(tokenizer) is None


def test_control_tokens_in_the_text_are_the_turn_tokens(family: Family, byte_tokenizer: Build) -> None:
    tokenizer = installed(family, byte_tokenizer, adds_bos=False)
    ids = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_dict=False)
    added = {tokenizer.added_tokens_decoder[i].content for i in ids if i in tokenizer.added_tokens_decoder}
    assert added - {"<s>"} == set(family.turn_tokens)
    assert tuple(t for t in family.control_tokens if t not in special_tokens(tokenizer)) == ()


def test_every_turn_ends_with_the_end_of_turn(family: Family, byte_tokenizer: Build) -> None:
    tokenizer = installed(family, byte_tokenizer, adds_bos=False)
    encoded = tokenizer.apply_chat_template(MESSAGES, return_dict=True, return_assistant_tokens_mask=True)
    ids, mask = encoded["input_ids"], encoded["assistant_masks"]
    assert ids.count(tokenizer.convert_tokens_to_ids(family.end_of_turn)) == len(MESSAGES)
    trained = [token for token, is_trained in zip(ids, mask, strict=True) if is_trained]
    assert trained[-1] == tokenizer.convert_tokens_to_ids(family.end_of_turn) == tokenizer.eos_token_id


@pytest.mark.parametrize("adds_bos", [True, False])
def test_a_text_starts_with_bos_as_the_table_says(
    family: Family, byte_tokenizer: Build, adds_bos: bool
) -> None:
    tokenizer = installed(family, byte_tokenizer, adds_bos=adds_bos)
    ids = tokenizer.apply_chat_template(MESSAGES, return_dict=False)
    expected = {"always": 1, "never": 0, "tokenizer": int(adds_bos)}[family.bos]
    assert ids.count(tokenizer.bos_token_id) == int(ids[0] == tokenizer.bos_token_id) == expected


def test_no_turn_is_shorter_than_the_shortest(family: Family, byte_tokenizer: Build) -> None:
    tokenizer = installed(family, byte_tokenizer, adds_bos=True)
    empty = [{"role": role, "content": ""} for role in ("input", "output")] * 3
    text = tokenizer.apply_chat_template(empty[1:2] * 2, tokenize=False)
    turn = text[len(tokenizer.apply_chat_template(empty[1:2], tokenize=False)) :]
    assert shortest_turn(tokenizer) <= len(tokenizer(turn, add_special_tokens=False)["input_ids"])
    assert len(empty) * shortest_turn(tokenizer) <= len(
        tokenizer.apply_chat_template(empty, return_dict=False)
    )


@pytest.mark.parametrize("name", ["gemma3", "qwen3", "llama3_1"])
def test_the_shortest_turn_of_real_tokenizers(
    name: str, spectrum_tokenizer: Callable[[str], PreTrainedTokenizerBase]
) -> None:
    # Start, role, line break, end of turn, line break; Llama ends its header with a token instead.
    assert shortest_turn(spectrum_tokenizer(name)) == 5


NEW = """
mine:
  about: Spectrum template for models with <|mine|>.
  header: "<|im_start|>ROLE\\n"
  turn_tokens: ["<|im_start|>", "<|im_end|>"]
  end_of_turn: "<|im_end|>"
  behind: "\\n"
  bos: never
"""
TABLE = (bundled("chat_templates") / "families.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("first", [True, False])
def test_a_family_with_a_token_of_its_own_comes_before_the_general_one_wherever_its_row_is(
    first: bool, byte_tokenizer: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = f'{NEW}  vocabulary: ["<|mine|>"]\n'
    file = tmp_path / "families.yaml"
    file.write_text(row + TABLE if first else TABLE + row)
    table = read_families(file)
    monkeypatch.setattr(templates, "families", lambda: table)
    monkeypatch.setattr(templates, "template_source", lambda name: template_of(table[name]))
    for tokens, expected in (((), "chatml"), (("<|mine|>",), "mine")):
        tokenizer = byte_tokenizer(["<|im_start|>", "<|im_end|>", *tokens, "<pad>"], pad_token="<pad>")
        assert templates.install(tokenizer) == expected


def test_a_family_that_would_never_be_chosen_is_refused_with_the_one_that_shadows_it(tmp_path: Path) -> None:
    (tmp_path / "families.yaml").write_text(TABLE + NEW)
    with pytest.raises(UserError, match=naming("families.yaml", "mine", "chatml", "`vocabulary`")):
        read_families(tmp_path / "families.yaml")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (TABLE + NEW.replace("  behind:", "  behnid:"), "mine.behnid: unknown key 'behnid'. Did you mean"),
        (TABLE + NEW.replace("bos: never", "bos: sometimes"), 'mine.bos: expected "always", "never"'),
        (TABLE + NEW.replace("mine:", "chatml:"), "key 'chatml' repeats line"),
        (TABLE + "\nmine:\n", "mine: expected a mapping"),
    ],
)
def test_a_mistake_in_a_row_is_told_with_its_key(table: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "families.yaml").write_text(table)
    with pytest.raises(UserError, match=re.escape(told)):
        read_families(tmp_path / "families.yaml")
