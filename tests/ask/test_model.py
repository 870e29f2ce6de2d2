"""Answers equal those of brute force: whole texts scored one by one, and trees of tokens walked in full."""

import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pytest
import scipy
import torch
from pydantic import BaseModel, field_validator
from transformers import (
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5Config,
    T5ForConditionalGeneration,
)

from spectrum_trl import SpectrumModel
from spectrum_trl.ask.schemas import allowed_values, validator
from spectrum_trl.errors import UserError
from spectrum_trl.models.initialise import new_model
from spectrum_trl.paths import TINY_BASE, TINY_BASE_NAME, TINY_INSTRUCT_NAME
from spectrum_trl.scoring.forward import log_softmax
from spectrum_trl.suite.task import Message
from tests.messages import naming
from tests.small_models import CONFIG, Learnt

FAMILIES = {"gemma3": "gemma3_text", "qwen3": "qwen3", "llama3_1": "llama"}
ASKED: dict[str, Any] = {
    "description": "A colour.",
    "examples": ["red", ("dark?", "blue")],
    "input": "light?",
}
MESSAGES: list[Message] = [
    {"role": "description", "content": "A colour."},
    {"role": "output", "content": "red"},
    {"role": "input", "content": "dark?"},
    {"role": "output", "content": "blue"},
    {"role": "input", "content": "light?"},
]


@pytest.fixture(scope="module", params=FAMILIES)
def family_model(
    request: pytest.FixtureRequest, spectrum_tokenizer: Callable[[str], PreTrainedTokenizerBase]
) -> SpectrumModel:
    tokenizer = spectrum_tokenizer(request.param)
    config = {**CONFIG, "hidden_size": 16, "model_type": FAMILIES[request.param], "pad_token_id": 0}
    return SpectrumModel(new_model(config, vocab_size=len(tokenizer), seed=0).eval().double(), tokenizer)


@pytest.fixture
def asked(learnt: Learnt, world_tokenizer: PreTrainedTokenizerBase) -> SpectrumModel:
    return SpectrumModel(learnt.model, world_tokenizer)


@pytest.fixture(scope="module")
def tiny_chat() -> SpectrumModel:
    return SpectrumModel.from_pretrained(TINY_INSTRUCT_NAME, format="chat")


def by_hand(model: SpectrumModel, messages: list[Message], answer: str) -> float:
    """Score the whole conversation with stock transformers, and sum over the last turn."""
    tokenizer: Any = model.tokenizer
    before = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)[
        "input_ids"
    ]
    whole = tokenizer.apply_chat_template(
        [*messages, {"role": "output", "content": answer}],
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    ids, mask = whole["input_ids"], whole["assistant_masks"]
    assert ids[: len(before)] == before
    with torch.no_grad():
        logits = model.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return float(sum(logits[n - 1, ids[n]] for n in range(len(before), len(ids)) if mask[n]))


def endings(
    model: SpectrumModel, context: list[int], *, longest: int, least: float
) -> Iterator[tuple[list[int], float]]:
    """Walk the tree of tokens: every answer that ends, each read alone and whole."""
    end = model.tokenizer.eos_token_id
    todo: list[tuple[list[int], float]] = [([], 0.0)]
    while todo:
        ids, logp = todo.pop()
        with torch.no_grad():
            logits = model.model(torch.tensor([[*context, *ids]])).logits[0, -1].double().log_softmax(-1)
        for token in (logits + logp >= math.log(least)).nonzero()[:, 0].tolist():
            found = ([*ids, token], logp + float(logits[token]))
            if token == end:
                yield found
            elif len(ids) + 1 < longest:
                todo.append(found)


def test_probabilities_are_those_of_whole_texts_scored_one_by_one(family_model: SpectrumModel) -> None:
    answers = ["green", "dark blue", "", "3", "red"]
    found = family_model.probabilities(answers, **ASKED)
    expected = [by_hand(family_model, MESSAGES, answer) for answer in answers]
    np.testing.assert_allclose(found.log_probabilities, expected, rtol=1e-6)
    np.testing.assert_allclose(found.probabilities, np.exp(expected), atol=1e-6)
    assert math.fsum(found.normalised) == pytest.approx(1) and 0 <= found.coverage <= 1
    assert found == family_model.probabilities(answers, messages=MESSAGES)


def test_scores_are_those_of_each_output_given_the_ones_before(family_model: SpectrumModel) -> None:
    found = family_model.score(["red", ("dark?", "blue"), "red"], description="A colour.")
    before = [MESSAGES[:1], MESSAGES[:3], MESSAGES[:4]]
    outputs = ["red", "blue", "red"]
    expected = [by_hand(family_model, m, o) for m, o in zip(before, outputs, strict=True)]
    assert [one.output for one in found] == outputs
    np.testing.assert_allclose([one.log_probability for one in found], expected, rtol=1e-6)


def test_a_model_given_more_outputs_answers_as_if_they_had_been_examples(family_model: SpectrumModel) -> None:
    step = family_model.update(["red"], description="A colour.").update([("dark?", "blue")])
    answers = ["green", "red"]
    assert step.given == MESSAGES[:4]
    expected = family_model.probabilities(answers, **ASKED).log_probabilities
    found = step.probabilities(answers, input="light?").log_probabilities
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert [one.text for one in step.sample(3, max_new_tokens=4, input="light?")] == [
        one.text for one in family_model.sample(3, max_new_tokens=4, **ASKED)
    ]
    found = [one.probability for one in step.top_tokens(3, input="light?")]
    expected = [one.probability for one in family_model.top_tokens(3, **ASKED)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("format", ["spectrum", "colon", "chat"])
def test_an_update_reads_only_what_is_new(tiny_chat: SpectrumModel, format: Any) -> None:
    model = SpectrumModel(tiny_chat.model, tiny_chat.tokenizer, format=format)
    read: list[int] = []
    hook = model.model.register_forward_pre_hook(
        lambda _, words, named: read.append(named["input_ids"].numel()), with_kwargs=True
    )
    step = model.update([f"colour {n}" for n in range(40)], description="Colours.")
    first = sum(read)
    read.clear()
    after = step.update(["another"])
    assert sum(read) < 40 < 200 < first
    read.clear()
    found = after.probabilities(["red", "blue"])
    assert sum(read) < 60
    hook.remove()
    examples = [f"colour {n}" for n in range(40)] + ["another"]
    expected = model.probabilities(["red", "blue"], description="Colours.", examples=examples)
    np.testing.assert_allclose(found.log_probabilities, expected.log_probabilities, atol=1e-4)


def test_json_values_are_told_apart_as_json_does(asked: SpectrumModel) -> None:
    values = [{"a": a, "b": b} for a in (1, True, None) for b in ("x", "y")]
    schema = {"anyOf": [{"type": "null"}, {"enum": ["no a", *values]}]}
    found = asked.probabilities_json(schema, description="Things.")
    shares = {
        json.dumps(value): share for value, share in zip(found.values, found.found.normalised, strict=True)
    }
    x, y = (shares[json.dumps({"a": True, "b": b})] for b in ("x", "y"))
    assert found.marginal("b", given={"a": True})["x"] == pytest.approx(x / (x + y))
    assert [type(one) for one in found.marginal("a").index] == [int, bool, type(None)]


def test_any_type_that_pydantic_knows_is_a_schema(asked: SpectrumModel) -> None:
    found = asked.probabilities_json(Literal["a", 1] | None, description="Things.")  # type: ignore[arg-type]
    assert found.values == ("a", 1, None)
    assert validator(list[int])("[1, 2]") == [1, 2]


def test_in_plain_text_no_output_holds_its_end(tiny_chat: SpectrumModel) -> None:
    model = SpectrumModel(tiny_chat.model, tiny_chat.tokenizer, format="colon")
    for ask in (model.score, model.update):
        with pytest.raises(UserError, match=naming("output", r"'\n\n'")):
            ask(["a\n\nb"], description="Things.")


def test_several_distributions_say_their_mass_even_without_answers(asked: SpectrumModel) -> None:
    questions: Any = [{"description": "A."}, {"description": "B."}]
    found = asked.distribution(min_probability=0.999, questions=questions)
    assert list(found.question) == [0, 1] and list(found.mass) == [0, 0] and found.answer.isna().all()
    assert list(asked.distribution(questions=[]).columns) == ["question", *found.columns[1:]]


@pytest.mark.parametrize("max_answers", [1, 4, 1000])
def test_a_distribution_is_that_of_the_whole_tree(
    asked: SpectrumModel, learnt: Learnt, max_answers: int
) -> None:
    least, longest = 1e-3, 6
    found = asked.distribution(
        max_answers=max_answers, min_probability=least, max_new_tokens=longest, messages=learnt.prompt
    )
    context: Any = asked.tokenizer.apply_chat_template(
        learnt.prompt, add_generation_prompt=True, return_dict=True
    )
    expected: Counter[str] = Counter()
    for ids, logp in endings(asked, context["input_ids"], longest=longest, least=least):
        expected[str(asked.tokenizer.decode(ids[:-1]))] += math.exp(logp)
    best = expected.most_common(max_answers)
    np.testing.assert_allclose(found.probabilities, [p for _, p in best], atol=1e-6)
    assert dict(zip(found.answers, found.probabilities, strict=True)).keys() == {text for text, _ in best}
    assert found.mass == pytest.approx(sum(p for _, p in best), abs=1e-6) and found.mass <= 1
    assert not found.exhausted or max_answers == 1000
    assert len(expected) > 10


def test_a_distribution_holds_what_the_model_learnt(asked: SpectrumModel, learnt: Learnt) -> None:
    found = asked.distribution(messages=learnt.prompt)
    known = asked.probabilities(list(learnt.shares), messages=learnt.prompt)
    shares = dict(zip(found.answers, found.probabilities, strict=True))
    for answer, p in zip(known.answers, known.probabilities, strict=True):
        assert p < 1e-3 or shares[answer] >= p - 1e-6
    assert found.mass > 0.8


def test_samples_come_with_the_probabilities_of_their_texts(asked: SpectrumModel, learnt: Learnt) -> None:
    n, answers = 2000, list(learnt.shares)
    drawn = asked.sample(n, seed=3, max_new_tokens=8, messages=learnt.prompt)
    p = np.array(asked.probabilities(answers, messages=learnt.prompt).probabilities)
    assert 0.5 < p.sum() <= 1
    counts = Counter(one.text for one in drawn if one.ended)
    rest = [counts[text] for text in answers]
    observed = np.array([*rest, n - sum(rest)])
    expected = n * np.array([*p, 1 - p.sum()])
    enough = expected >= 5
    pooled = [np.append(v[enough], v[~enough].sum()) for v in (observed, expected)]
    kept = [v[: len(v) - (pooled[1][-1] < 5)] for v in pooled]
    assert scipy.stats.chisquare(kept[0], kept[1] * kept[0].sum() / kept[1].sum()).pvalue > 0.001
    for one in drawn[:20]:
        if one.ended and one.text in learnt.shares:
            found = asked.probabilities([one.text], messages=learnt.prompt)
            assert one.log_probability == pytest.approx(found.log_probabilities[0], abs=1e-4)


def test_a_sample_depends_on_its_question_its_seed_and_its_number_alone(
    asked: SpectrumModel, learnt: Learnt
) -> None:
    first: Any = {"messages": learnt.prompt}
    other: Any = {"description": "In the urn: 2 dark balls."}
    few = asked.sample(3, seed=1, max_new_tokens=6, **first)
    many = asked.sample(7, seed=1, max_new_tokens=6, questions=[other, first])
    assert list(many[many.question == 1].text[:3]) == [one.text for one in few]
    texts = [[one.text for one in asked.sample(60, seed=seed, max_new_tokens=6, **first)] for seed in (1, 2)]
    assert texts[0] != texts[1]


def test_top_tokens_are_the_likeliest(family_model: SpectrumModel) -> None:
    found = family_model.top_tokens(5, **ASKED)
    ids: Any = family_model.tokenizer.apply_chat_template(
        MESSAGES, add_generation_prompt=True, return_dict=True
    )
    with torch.no_grad():
        best = family_model.model(torch.tensor([ids["input_ids"]])).logits[0, -1].softmax(-1).topk(5)
    assert [one.id for one in found] == best.indices.tolist()
    np.testing.assert_allclose([one.probability for one in found], best.values, rtol=1e-9)


def test_joint_json_has_marginals_and_conditionals(asked: SpectrumModel) -> None:
    schema = {
        "type": "object",
        "properties": {"hot": {"type": "boolean"}, "n": {"type": "integer", "minimum": 1, "maximum": 3}},
        "required": ["hot", "n"],
    }
    found = asked.probabilities_json(schema, description="Weather.")
    texts = [json.dumps({"hot": hot, "n": n}) for hot in (True, False) for n in (1, 2, 3)]
    expected = [by_hand(asked, [{"role": "description", "content": "Weather."}], text) for text in texts]
    np.testing.assert_allclose(found.found.probabilities, np.exp(expected), atol=1e-6)
    np.testing.assert_allclose(found.found.log_probabilities, expected, atol=1e-4)
    joint = np.exp(np.array(expected) - scipy.special.logsumexp(expected)).reshape(2, 3)
    np.testing.assert_allclose(found.marginal("hot"), joint.sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found.marginal("n"), joint.sum(axis=0), rtol=1e-4)
    np.testing.assert_allclose(
        found.marginal("n", given={"hot": False}), joint[1] / joint[1].sum(), rtol=1e-4
    )
    assert list(found.frame().columns) == ["hot", "n", "probability", "normalised"]


def test_json_samples_are_valid_or_counted(asked: SpectrumModel, learnt: Learnt) -> None:
    schema = {"enum": [1, 2]}
    found = asked.sample_json(schema, 3, max_new_tokens=4, max_attempts=9, messages=learnt.prompt)
    assert len(found.values) + len(found.invalid) == 9 and set(found.values) <= {1, 2}


def test_many_questions_are_a_table_with_the_answers_to_each(asked: SpectrumModel, learnt: Learnt) -> None:
    answers = list(learnt.shares)
    one = asked.probabilities(answers, messages=learnt.prompt)
    questions: Any = [{"description": "Another."}, {"messages": learnt.prompt}]
    table = asked.probabilities(answers, questions=questions)
    assert list(table.columns) == ["question", "answer", "probability", "normalised", "coverage"]
    np.testing.assert_allclose(table[table.question == 1].probability, one.probabilities, rtol=1e-4)
    own = asked.probabilities([["x"], answers], questions=questions)
    np.testing.assert_allclose(own[own.question == 1].normalised, one.normalised, rtol=1e-4)


def test_low_coverage_is_said(asked: SpectrumModel, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = asked.probabilities(["no such answer at all", "nor this one"], description="A colour.")
    assert found.low_coverage and "low coverage" in caplog.text


@pytest.mark.parametrize(("name", "fmt"), [(TINY_BASE_NAME, "colon"), (TINY_INSTRUCT_NAME, "chat")])
def test_an_untuned_model_is_asked_in_a_format_that_is_named(name: str, fmt: Any) -> None:
    with pytest.raises(UserError, match='format="colon"'):
        SpectrumModel.from_pretrained(name)
    model = SpectrumModel.from_pretrained(name, format=fmt)
    answers = ["red", "blue", "red 3"]
    found = model.probabilities(answers, description="In the urn: 3 red and 2 blue balls.")
    assert 0 < found.coverage <= 1
    if fmt == "colon":
        # The search also adds up spellings that differ in the white space around an answer.
        searched = model.distribution(description="In the urn: 3 red and 2 blue balls.", min_probability=1e-4)
        shares = dict(zip(searched.answers, searched.probabilities, strict=True))
        assert all(shares[one] > p - 1e-3 for one, p in zip(answers, found.probabilities, strict=True))
    assert isinstance(model.sample(2, max_new_tokens=5, description="In the urn: 3 red balls.")[0].text, str)
    assert model.distribution(max_new_tokens=5, description="In the urn: 3 red balls.").mass <= 1


class Nested(BaseModel):
    """A schema that refers to itself."""

    inner: "Nested | None"


MISTAKES: list[tuple[Callable[[SpectrumModel], Any], str]] = [
    (lambda m: m.probabilities([], description="x"), "at least one answer"),
    (lambda m: m.probabilities("yes", description="x"), "list of at least one answer"),
    (lambda m: m.probabilities(["a", "b", "a"], description="x"), "answers 1 and 3 are the same"),
    (lambda m: m.probabilities(["<|im_end|>"], description="x"), "answer 1 .*control token"),
    (lambda m: m.probabilities(["a"], description="<|im_start|>"), "control token"),
    (lambda m: m.probabilities(["a"], descripton="x"), "Did you mean 'description'"),
    (lambda m: m.probabilities(["a"], messages=MESSAGES, input="x"), "either messages, or"),
    (lambda m: m.probabilities(["a"], examples="red"), "expected a list"),
    (lambda m: m.probabilities(["a"], examples=[("a", "b", "c")]), "has 3 parts"),
    (lambda m: m.probabilities(["a"], examples=[{1, 2}]), "neither text nor JSON"),
    (lambda m: m.probabilities(["a"], examples=[float("nan")]), "neither text nor JSON"),
    (lambda m: m.probabilities([["a"]], questions=[{}, {}]), "one list for each question, 2 and not 1"),
    (lambda m: SpectrumModel(m.model, m.tokenizer, format="coln"), "format: .*Did you mean 'colon'"),  # type: ignore[arg-type]
    (lambda m: m.sample(0, description="x"), "n: expected a whole number"),
    (lambda m: m.sample(seed=-1, description="x"), "seed: expected a whole number"),
    (lambda m: m.sample(temperature=0, description="x"), "temperature: expected a number above 0"),
    (lambda m: m.sample(temperature=math.nan, description="x"), "temperature: expected"),
    (lambda m: m.sample(top_p=2, description="x"), "top_p: expected"),
    (lambda m: m.sample_json({"enum": [1]}, max_attempts=-1, description="x"), "max_attempts: expected"),
    (lambda m: m.probabilities_json({"enum": [1]}, questions=[{}]), "unknown key 'questions'"),
    (lambda m: m.sample(questions="abc"), "expected a list of questions"),
    (lambda m: m.sample(questions=[5]), "expected a mapping"),
    (lambda m: m.distribution(min_probability="a", description="x"), "between 0 and 1"),
    (lambda m: m.probabilities_json(Nested), "refers to itself"),
    (lambda m: m.distribution(min_probability=0, description="x"), "between 0 and 1"),
    (lambda m: m.probabilities_json({"type": "string"}), "cannot be listed"),
    (lambda m: m.probabilities_json({"type": "nothing"}), "schema"),
    (lambda m: m.sample(questions=[{"input": "a"}, {"nput": "b"}]), r"questions\[1\].*unknown key"),
]


@pytest.mark.parametrize(("ask", "expected"), MISTAKES)
def test_a_mistake_is_one_clear_message(
    asked: SpectrumModel, ask: Callable[[SpectrumModel], Any], expected: str
) -> None:
    with pytest.raises(UserError, match=expected):
        ask(asked)


def test_in_plain_text_what_ends_an_output_is_in_no_output() -> None:
    model = SpectrumModel.from_pretrained(TINY_BASE_NAME, format="colon")
    with pytest.raises(UserError, match=naming("answer 2", r"'\n\n'")):
        model.probabilities(["red", "red\n\nOutput: red"], description="x")
    with pytest.raises(UserError, match=naming("output", r"'\n\n'")):
        model.sample(1, description="x", examples=["red\n\nOutput: blue"])


class Even(BaseModel):
    """A schema with a rule that JSON Schema does not express."""

    n: Literal[1, 2, 3, 4]

    @field_validator("n")
    @classmethod
    def _even(cls, n: int) -> int:
        if n % 2:
            raise ValueError("odd")
        return n


def test_only_values_that_a_schema_allows_are_listed() -> None:
    assert allowed_values(Even) == [{"n": 2}, {"n": 4}]
    whole = {"type": "integer", "minimum": 0, "maximum": 20000, "multipleOf": 5000}
    assert allowed_values(whole) == [0, 5000, 10000, 15000, 20000]
    nested = {"type": "array", "minItems": 1, "maxItems": 2, "items": {"enum": ["a", "b"]}}
    assert len(allowed_values(nested)) == 6
    for text in ('{"n": "2"}', '{"n": 3}', "[]"):
        with pytest.raises(ValueError, match=r"."):
            validator(Even)(text)


def test_log_probabilities_of_a_large_vocabulary_are_those_of_double_precision() -> None:
    logits = 3 * torch.randn(4, 262_144, generator=torch.Generator().manual_seed(0))
    exact = logits.double() - logits.double().logsumexp(-1, keepdim=True)
    assert (log_softmax(logits) - exact).abs().max() < 1e-9


def test_a_model_with_an_encoder_is_refused() -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY_BASE)
    sizes = {"vocab_size": 99, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    with pytest.raises(UserError, match=naming("'T5ForConditionalGeneration'", "t5", "causal")):
        SpectrumModel(T5ForConditionalGeneration(T5Config(**sizes)), tokenizer, format="colon")


def test_a_misspelt_number_type_is_told() -> None:
    expected = r"dtype: expected auto, float32, .*, but it is 'flaot32'\. Did you mean 'float32'\?"
    with pytest.raises(UserError, match=expected):
        SpectrumModel.from_pretrained(TINY_BASE_NAME, format="colon", dtype="flaot32")


def test_a_model_that_is_none_or_a_name_is_told(random_model: PreTrainedModel, world_tokenizer: Any) -> None:
    for model, tokenizer, types in (
        (None, world_tokenizer, "NoneType and "),
        (TINY_BASE_NAME, world_tokenizer, "str and "),
        (random_model, None, f"{type(random_model).__name__} and NoneType"),
    ):
        with pytest.raises(UserError, match=naming("SpectrumModel.from_pretrained", types)):
            SpectrumModel(model, tokenizer, format="colon")


@pytest.mark.parametrize("name", ["", " ", None])
def test_an_empty_name_is_told(name: Any) -> None:
    with pytest.raises(UserError, match=naming("model", "name", repr(name))):
        SpectrumModel.from_pretrained(name, format="colon")
    with pytest.raises(UserError, match=naming("adapter", "name", "''")):
        SpectrumModel.from_pretrained(TINY_BASE_NAME, format="colon", adapter="")
