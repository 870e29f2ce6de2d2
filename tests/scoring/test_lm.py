"""Our model class answers as lm-eval's own does, for published shapes with their real tokenizers."""

import copy
import pickle
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.api.instance import Instance
from lm_eval.api.model import CachingLM
from lm_eval.evaluator import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from spectrum_trl.errors import UserError
from spectrum_trl.paths import TINY_BASE_NAME
from spectrum_trl.prompts.scored import Prompts
from spectrum_trl.scoring.engine import TokenScores
from spectrum_trl.scoring.lm import SpectrumLM
from spectrum_trl.suite.sequences.builders import description_message, iid
from tests.messages import naming
from tests.models.published import publish

Pair = tuple[str, str]
# Far shorter than the sequences, so that the cache drops what is out of sight.
SLIDING = {
    "num_hidden_layers": 2,
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention"],
}
WIDE = {"initializer_range": 0.3}
SHAPES: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "qwen3 tied": ("qwen3", True, {}),
    "llama with BOS": ("llama3_1", False, {"add_bos_token": True}),
    "gemma with BOS": ("gemma3", True, {}),
    "gemma without BOS": ("gemma3", False, {"add_bos_token": False}),
}


@pytest.fixture(scope="module")
def loaded(
    tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Callable[[str], Path]
) -> Callable[[str], tuple[SpectrumLM, HFLM]]:
    @cache
    def load(name: str) -> tuple[SpectrumLM, HFLM]:
        family, tied, arguments = SHAPES[name]
        folder = tmp_path_factory.mktemp("published")
        changes = WIDE | (SLIDING if family == "gemma3" else {})
        publish(folder, family=family, tokenizer_folder=tokenizer_folder(family), tied=tied, **changes)
        shared: dict[str, Any] = {"device": "cpu", "dtype": "float64", **arguments}
        return SpectrumLM(str(folder), **shared), HFLM(str(folder), **shared)

    return load


def instances(pairs: list[Pair], kind: Any = "loglikelihood") -> list[Instance]:
    return [Instance(kind, {}, pair, 0, (("task"), 0, 1)) for pair in pairs]


def icl(prompts: Prompts, *, outputs: list[str]) -> list[Pair]:
    """The requests of the task: each output after all before it."""
    scored = prompts.outputs(iid(outputs, description="In the urn: 3 red and 2 blue balls."))
    return [pair for one in scored for pair in prompts.apart(one.context, one.output)]


def candidates(prompts: Prompts, texts: list[str]) -> list[Pair]:
    context = prompts.prompt([description_message("In the urn: 3 red and 2 blue balls. " * 3)])
    return [pair for text in texts for pair in prompts.apart(context, prompts.answer(text))]


def assert_equal(ours: list[Any], stock: list[Any]) -> None:
    np.testing.assert_allclose([one[0] for one in ours], [one[0] for one in stock], atol=1e-9, rtol=0)
    assert [one[1] for one in ours] == [one[1] for one in stock]


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_steerability_and_candidates_score_as_with_the_stock_class(
    loaded: Callable[[str], tuple[SpectrumLM, HFLM]], name: str
) -> None:
    ours, stock = loaded(name)
    prompts = Prompts(stock.tokenizer, fmt="spectrum")
    pairs = [
        *icl(prompts, outputs=["red", "dark blue", "", "red", "17"]),
        *candidates(prompts, ["red", "dark blue", "dark red and blue", "é ☂", "17"]),
        *icl(prompts, outputs=["red", "blue"]),
    ]
    requests = instances(pairs)
    assert_equal(ours.loglikelihood(requests), stock.loglikelihood(requests))


def is_answered(stock: HFLM, context: str, answer: str) -> bool:
    """The stock class fails on a context of white space, and where an answer has no token of its own."""
    if not context:
        return len(stock.tok_encode(answer, add_special_tokens=False)) > 1
    return bool(context.strip() and stock._encode_pair(context, answer)[1])


WORDS = st.sampled_from(["red", " blue", "\n", " ", "17", "é", "<|im_end|>", "<bos>", "<|begin_of_text|>x"])
TEXTS = st.lists(WORDS, max_size=12).map("".join)


@pytest.mark.parametrize(
    "name", ["qwen3 tied", "llama with BOS", pytest.param("gemma with BOS", marks=pytest.mark.slow)]
)
@settings(max_examples=15)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS.filter(str.strip)), min_size=1, max_size=6))
@pytest.mark.slow
def test_any_requests_score_as_with_the_stock_class(
    loaded: Callable[[str], tuple[SpectrumLM, HFLM]], name: str, pairs: list[Pair]
) -> None:
    ours, stock = loaded(name)
    requests = instances([pair for pair in pairs if is_answered(stock, *pair)])
    assert_equal(ours.loglikelihood(requests), stock.loglikelihood(requests))


@pytest.mark.slow
def test_documents_score_as_with_the_stock_class(
    loaded: Callable[[str], tuple[SpectrumLM, HFLM]],
) -> None:
    ours, stock = loaded("gemma with BOS")
    requests = instances([("In the urn: 3 red balls. " * 3,), ("é",)], "loglikelihood_rolling")  # type: ignore[list-item]
    np.testing.assert_allclose(
        ours.loglikelihood_rolling(requests), stock.loglikelihood_rolling(requests), atol=1e-9
    )


@pytest.mark.parametrize("name", ["qwen3 tied", pytest.param("gemma with BOS", marks=pytest.mark.slow)])
def test_the_likeliest_texts_are_those_of_the_stock_class(
    loaded: Callable[[str], tuple[SpectrumLM, HFLM]], name: str
) -> None:
    ours, stock = loaded(name)
    # The stock class leaves out control tokens, of which these models write one.
    ends = ["<|im_end|>", "<end_of_turn>"]
    asked = {"until": ["zz", "\n", *ends], "max_gen_toks": 12, "do_sample": False}
    pairs: Any = [(text, asked) for text in ("red", "In the urn: 3 red balls. " * 4, "17 and é")]
    assert ours.generate_until(instances(pairs)) == stock.generate_until(instances(pairs))


@pytest.mark.slow
def test_an_adapter_folder_scores_as_the_adapted_model(
    loaded: Callable[[str], tuple[SpectrumLM, HFLM]], tmp_path: Path
) -> None:
    _, stock = loaded("qwen3 tied")
    model = get_peft_model(copy.deepcopy(stock.model), LoraConfig(r=2, target_modules="all-linear"))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(0))
    model.save_pretrained(tmp_path)
    stock.tokenizer.save_pretrained(tmp_path)
    stock.model.generation_config.save_pretrained(tmp_path)
    ours = SpectrumLM(str(tmp_path), device="cpu", dtype="float64")
    adapted = HFLM(
        AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64), tokenizer=ours.tokenizer
    )
    requests = instances(icl(Prompts(stock.tokenizer, fmt="spectrum"), outputs=["red", "dark blue", "red"]))
    found = ours.loglikelihood(requests)
    assert_equal(found, adapted.loglikelihood(requests))
    assert found[0][0] != pytest.approx(stock.loglikelihood(requests)[0][0], abs=1e-3)


@pytest.fixture(scope="module")
def tiny() -> SpectrumLM:
    return SpectrumLM(TINY_BASE_NAME, device="cpu")


def test_answers_hold_what_is_known_of_each_token(tiny: SpectrumLM) -> None:
    (context, answer) = ("In the urn: 3 red balls.", " blue and red")
    (found,) = tiny.loglikelihood(instances([(context, answer)]))
    assert isinstance(found, TokenScores)
    _, ids = tiny._encode_pair(context, answer)
    with torch.no_grad():
        logits = tiny.model(torch.tensor([tiny.tok_encode(context + answer)])).logits[0, -len(ids) - 1 : -1]
    every = logits.log_softmax(-1)
    chosen = every[range(len(ids)), ids]
    np.testing.assert_allclose(found.log_probabilities, chosen, atol=1e-5)
    assert found[0] == pytest.approx(float(chosen.sum()), abs=1e-5)
    assert found.correct == (every.argmax(-1) == torch.tensor(ids)).tolist()
    for row, token, rivals in zip(every, ids, found.rivals, strict=True):
        others = [p for n, p in enumerate(row.tolist()) if n != token and p > np.log(0.01)]
        np.testing.assert_allclose(sorted(rivals), sorted(others), atol=1e-5)
    copied = pickle.loads(pickle.dumps(found))
    assert copied == found == tuple(found) and vars(copied) == vars(found)


def test_half_precision_models_are_normalised_in_single_precision() -> None:
    lm = SpectrumLM(TINY_BASE_NAME, device="cpu", dtype="bfloat16")
    context, answer = "In the urn: 3 red balls.", " blue and red"
    (found,) = lm.loglikelihood(instances([(context, answer)]))
    _, ids = lm._encode_pair(context, answer)
    with torch.no_grad():
        logits = lm.model(torch.tensor([lm.tok_encode(context + answer)])).logits[0, -len(ids) - 1 : -1]
    exact = logits.double().log_softmax(-1)[range(len(ids)), ids].sum()
    assert found[0] == pytest.approx(float(exact), abs=1e-4)


NUMBERS = "<|im_start|>description\nA number from 100 to 999.<|im_end|>\n<|im_start|>output\n"


def sampled(n: int, *, text: str = NUMBERS, task: str = "a", **more: Any) -> list[Instance]:
    asked = {"until": ["\n"], "do_sample": True, "temperature": 3.0, "max_gen_toks": 6, **more}
    return [Instance("generate_until", {}, (text, asked), 0, (task, 0, 1)) for _ in range(n)]


def test_samples_do_not_depend_on_the_order_of_requests_or_on_other_tasks(tiny: SpectrumLM) -> None:
    torch.manual_seed(1)
    first = tiny.generate_until(sampled(20))
    assert len(set(first)) > 10
    mixed = [*sampled(5, text="17", task="b"), *sampled(20), *sampled(3, text="17", task="b")]
    assert tiny.generate_until(mixed)[5:25] == first
    assert tiny.generate_until(sampled(20, task="c")) == first
    torch.manual_seed(2)
    assert tiny.generate_until(sampled(20)) != first


def test_finished_samples_and_scores_are_kept(tiny: SpectrumLM, tmp_path: Path) -> None:
    lm = copy.copy(tiny)
    caching: Any = CachingLM(lm, str(tmp_path / "answers.db"))
    first = caching.generate_until(sampled(10))
    scores = caching.loglikelihood(instances([("red", " blue")]))
    lm._model = None
    assert caching.generate_until(sampled(10)) == first
    assert caching.generate_until(sampled(4)) == first[:4]
    (kept,) = caching.loglikelihood(instances([("red", " blue")]))
    assert vars(kept) == vars(scores[0])


def test_texts_end_at_the_earliest_stop(tiny: SpectrumLM) -> None:
    whole = tiny.generate_until(sampled(40, until=[], max_gen_toks=20))
    cut = tiny.generate_until(sampled(40, until=["ed", "o", "d"], max_gen_toks=20))
    assert sum("o" in text for text in whole) > 5
    for long, short in zip(whole, cut, strict=True):
        ends = [long.find(stop) for stop in ("ed", "o", "d") if stop in long]
        assert short == long[: min(ends, default=len(long))]


def test_wrong_settings_are_named_at_once(tiny: SpectrumLM) -> None:
    with pytest.raises(UserError) as caught:
        tiny.generate_until([*sampled(1, temprature=1.0), *sampled(1, top_p=2.0)])
    assert "temperature" in str(caught.value) and "top_p" in str(caught.value)
    with pytest.raises(UserError, match="trust_remote_code.*\n?.*|delta"):
        SpectrumLM(TINY_BASE_NAME, trust_remote_code=True, delta="x")
    with pytest.raises(UserError, match=naming("context", 4096)):
        tiny.generate_until(sampled(1, max_gen_toks=5000))
    with pytest.raises(UserError, match=naming("1 of 2", 4096)):
        tiny.loglikelihood(instances([("red " * 4100, "blue"), ("red", " blue")]))


def rows() -> Iterator[dict[str, Any]]:
    yield {"question": "red or", "choices": ["blue", "red and blue"], "answer": 0}
    yield {"question": "3 or", "choices": ["4", "17"], "answer": 1}


@pytest.mark.slow
def test_stock_tasks_get_the_same_figures(tiny: SpectrumLM, tmp_path: Path) -> None:
    import json

    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows()), encoding="utf-8")
    task: dict[str, Any] = {
        "task": "colours",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    }
    stock = HFLM(tiny.model, tokenizer=tiny.tokenizer)
    settings: dict[str, Any] = {"task_manager": TaskManager(include_defaults=False), "bootstrap_iters": 0}
    found = [
        simple_evaluate(model=lm, tasks=[copy.deepcopy(task)], **settings)["results"]["colours"]
        for lm in (tiny, stock)
    ]
    assert found[0] == found[1]


def test_the_tokenizer_comes_with_the_folder() -> None:
    lm = SpectrumLM(TINY_BASE_NAME)
    assert lm.tokenizer.get_vocab() == AutoTokenizer.from_pretrained(lm.pretrained).get_vocab()
    assert lm.device.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.slow
def test_a_tokenizer_without_an_end_is_refused_in_one_message(random_model, world_tokenizer) -> None:
    tokenizer = copy.deepcopy(world_tokenizer)
    tokenizer.eos_token = None
    with pytest.raises(UserError, match="no eos_token"):
        SpectrumLM(random_model, tokenizer=tokenizer, device="cpu")
