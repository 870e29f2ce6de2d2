"""Sequences are cut to whole turns, as many as fit, and what is left is what the template makes of it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from spectrum_trl.data.encode import Encoder, encode
from spectrum_trl.prompts.messages import check, normalise

FAMILIES = ("gemma3", "qwen3", "llama3_1")
TURN = st.tuples(st.none() | st.text(max_size=6), st.text(max_size=12))


def conversation(turns: list[tuple[str | None, str]], *, described: bool) -> list[dict[str, str]]:
    made = [{"role": "description", "content": "words"}] if described else []
    for given_text, text in turns:
        if given_text is not None:
            made.append({"role": "input", "content": given_text})
        made.append({"role": "output", "content": text})
    return normalise(made)


def whole(messages: list[dict[str, str]], tokenizer: PreTrainedTokenizerBase, train_on: str) -> Any:
    return tokenizer.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True, train_on=train_on
    )


def assert_cut_to_whole_turns(
    messages: list[dict[str, str]], tokenizer: PreTrainedTokenizerBase, *, limit: int, train_on: str
) -> None:
    dropped: Counter[str] = Counter()
    rows, count = encode(
        "t", [messages], Encoder(tokenizer, max_length=limit, train_on=train_on), dropped=dropped
    )
    kept = rows["messages"][0] if len(rows) else []
    last = len(kept)
    if kept:
        made = whole(kept, tokenizer, train_on)
        assert kept == messages[:last] and kept[-1]["role"] == "output"
        assert rows["input_ids"][0] == made["input_ids"][:limit]
        assert rows["assistant_masks"][0] == made["assistant_masks"][:limit]
        assert tokenizer.eos_token_id in rows["input_ids"][0][-2:]
        assert count.outputs + count.cut_outputs == sum(m["role"] == "output" for m in messages)
    else:
        assert dropped == {"cut away by max_length": 1}
    # With one more output it would be too long, or, where nothing was kept, would still carry no loss.
    longer = next((n + 1 for n in range(last, len(messages)) if messages[n]["role"] == "output"), None)
    if longer:
        one_more = whole(messages[:longer], tokenizer, train_on)
        fits = tokenizer.eos_token_id in one_more["input_ids"][len(one_more["input_ids"]) - 2 : limit]
        assert not fits or not any(one_more["assistant_masks"])


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=12),
    limit=st.integers(8, 90),
    train_on=st.sampled_from(["outputs", "first", "last"]),
)
def test_cutting_keeps_whole_turns_and_as_many_as_fit(
    tiny_tokenizer: PreTrainedTokenizerBase, lengths: list[int], limit: int, train_on: str
) -> None:
    turns: list[tuple[str | None, str]] = [(None, " ".join(["red"] * n)) for n in lengths]
    messages = conversation(turns, described=True)
    assert_cut_to_whole_turns(messages, tiny_tokenizer, limit=limit, train_on=train_on)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    turns=st.lists(TURN, min_size=1, max_size=10),
    described=st.booleans(),
    limit=st.integers(8, 90),
    train_on=st.sampled_from(["outputs", "first", "last"]),
)
def test_any_text_is_cut_to_whole_turns_by_real_tokenizers(
    spectrum_tokenizer: Callable[[str], PreTrainedTokenizerBase],
    family: str,
    turns: list[tuple[str | None, str]],
    described: bool,
    limit: int,
    train_on: str,
) -> None:
    tokenizer = spectrum_tokenizer(family)
    messages = conversation(turns, described=described)
    if not check(messages, tokenizer=tokenizer):
        assert_cut_to_whole_turns(messages, tokenizer, limit=limit, train_on=train_on)


def trained_outputs(rows: Any, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The texts that carry loss."""
    columns = zip(rows["input_ids"], rows["assistant_masks"], strict=True)
    texts = (
        tokenizer.decode([i for i, m in zip(ids, mask, strict=True) if m], skip_special_tokens=False)
        for ids, mask in columns
    )
    return [part for text in texts for part in text.split(tokenizer.eos_token) if part]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=40),
    described=st.booleans(),
    inputs=st.booleans(),
    limit=st.integers(16, 90),
)
def test_what_does_not_fit_begins_further_sequences_and_nothing_else_is_lost(
    tiny_tokenizer: PreTrainedTokenizerBase, lengths: list[int], described: bool, inputs: bool, limit: int
) -> None:
    turns: list[tuple[str | None, str]] = [
        ("a cat" if inputs else None, f"red {number} " + " ".join(["blue"] * n))
        for number, n in enumerate(lengths)
    ]
    messages = conversation(turns, described=described)
    dropped: Counter[str] = Counter()
    rows, count = encode(
        "t", [messages], Encoder(tiny_tokenizer, max_length=limit), split_long=True, dropped=dropped
    )
    trained = trained_outputs(rows, tiny_tokenizer)
    every = [m["content"] for m in messages if m["role"] == "output"]
    # Each is trained once at the most, in their order.
    assert trained == [text for text in every if text in set(trained)] and len(set(trained)) == len(trained)
    for part, ids, mask in zip(rows["messages"], rows["input_ids"], rows["assistant_masks"], strict=True):
        assert len(ids) <= limit and part[-1]["role"] == "output"
        assert (part[0]["role"] == "description") == described
        made = whole(part, tiny_tokenizer, "outputs")
        assert ids == made["input_ids"][: len(ids)] and mask == made["assistant_masks"][: len(ids)]
    # What is not trained does not fit: alone under the description, or else behind the one before it.
    for n in (n for n, text in enumerate(every) if text not in set(trained)):
        if n or described:
            needed = conversation(
                turns[n : n + 1] if described else turns[n - 1 : n + 1], described=described
            )
            assert len(whole(needed, tiny_tokenizer, "outputs")["input_ids"]) > limit - 1


def test_splitting_keeps_all_outputs_and_cutting_tells_what_it_loses(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    messages = conversation([(None, f"red {n}") for n in range(300)], described=True)
    cut, few = encode("t", [messages], Encoder(tiny_tokenizer, max_length=100), dropped=Counter())
    split, all_of_them = encode(
        "t", [messages], Encoder(tiny_tokenizer, max_length=100), split_long=True, dropped=Counter()
    )
    assert len(cut) == 1 and few.cut_sequences == 1 and few.outputs + few.cut_outputs == 300
    assert len(split) > 10 and all_of_them.outputs == 300 and all_of_them.cut_outputs == 0
    tokens = len(whole(messages, tiny_tokenizer, "outputs")["input_ids"])
    assert few.tokens + few.cut_tokens == tokens
    # But for the description, which each sequence has.
    assert all_of_them.cut_tokens == 0 < all_of_them.repeated_tokens
    assert all_of_them.tokens - all_of_them.repeated_tokens == tokens


def test_without_a_description_only_the_first_answer_of_all_stays_untrained(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    messages = conversation([("a cat", f"red {n}") for n in range(100)], described=False)
    dropped: Counter[str] = Counter()
    rows, count = encode(
        "t", [messages], Encoder(tiny_tokenizer, max_length=64), split_long=True, dropped=dropped
    )
    assert len(rows) > 10 and not dropped and count.cut_outputs == 0
    assert trained_outputs(rows, tiny_tokenizer) == [f"red {n}" for n in range(1, 100)]


def test_texts_whose_tokens_are_long_are_still_filled_up(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    # One token of many characters each: an estimate by characters stops too early.
    long = "description"
    ids = tiny_tokenizer(long, add_special_tokens=False)["input_ids"]
    wide = max(tiny_tokenizer.get_vocab(), key=lambda token: len(token) if token.isalpha() else 0)
    messages = conversation([(None, wide)] * 60, described=True)
    rows, count = encode("t", [messages], Encoder(tiny_tokenizer, max_length=200), dropped=Counter())
    one_more = whole(
        rows["messages"][0] + messages[len(rows["messages"][0]) :][:1], tiny_tokenizer, "outputs"
    )
    assert ids and (count.cut_outputs == 0 or len(one_more["input_ids"]) > 200)
