"""Scores equal those of plain, unbatched forward passes, and of a model whose every probability is known."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.models.initialise import new_model, new_tokenizer
from spectrum_trl.scoring.forward import evaluating, pick
from spectrum_trl.suite.sequences.builders import description_message, iid, pair
from spectrum_trl.suite.task import Message
from tests.messages import naming
from tests.oracles import candidate_logprobs, output_losses, output_scores, prompt_ids

CONVERSATIONS: list[list[Message]] = [
    iid(["red", "green and blue", "", "17", " red "], description="In the urn: 3 red and 2 green balls."),
    [
        description_message("Answers."),
        *pair("How many?", "12"),
        *pair("Which?", "none of\nthem"),
        *pair("", "é ☂"),
    ],
    iid(["x"], description="One letter."),
    [*iid(["1", "2"] * 20, description="Digits.")],
]


def by_hand(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, messages: list[Message]
) -> list[float]:
    """Score one output after the other: alone, unpadded, without mask or cache."""
    losses = []
    for number, message in enumerate(messages):
        if message["role"] != "output":
            continue
        text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages[:number])
        context = tokenizer(text + "<|im_start|>output\n")["input_ids"]
        answer = tokenizer(message["content"] + "<|im_end|>")["input_ids"]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([context + answer])).logits[0].double()
        picked = logits.log_softmax(-1)[torch.arange(len(context), len(context) + len(answer)) - 1, answer]
        losses.append(-picked.sum().item())
    return losses


@pytest.mark.parametrize("tokens_per_batch", [1, 150, 8192])
def test_losses_equal_those_computed_one_by_one(
    random_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase, tokens_per_batch: int
) -> None:
    found = output_losses(random_model, world_tokenizer, CONVERSATIONS, tokens_per_batch=tokens_per_batch)
    for losses, messages in zip(found, CONVERSATIONS, strict=True):
        np.testing.assert_allclose(
            losses, by_hand(random_model, world_tokenizer, messages), atol=1e-4, rtol=1e-5
        )


@pytest.mark.parametrize("tokens_per_batch", [1, 150, 8192])
def test_candidates_score_as_outputs_of_the_conversation_do(
    random_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase, tokens_per_batch: int
) -> None:
    prompts = [
        [description_message("In the urn: 3 red balls.")],
        CONVERSATIONS[1][:4],
        CONVERSATIONS[0],
        CONVERSATIONS[0][:1],
    ]
    candidates = [["red", "green and blue", "", "é"], ["12"], ["0", "red and red and red", "1"], ["7"]]
    found = candidate_logprobs(
        random_model, world_tokenizer, prompts, candidates, tokens_per_batch=tokens_per_batch
    )
    for messages, texts, logprobs in zip(prompts, candidates, found, strict=True):
        whole = [[*messages, Message(role="output", content=text)] for text in texts]
        losses = output_losses(random_model, world_tokenizer, whole)
        np.testing.assert_allclose(logprobs, [-loss[-1] for loss in losses], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("model_type", ["llama", "gemma3_text"])
def test_other_architectures_score_alike_with_a_cache_and_without(
    world_tokenizer: PreTrainedTokenizerBase, model_type: str
) -> None:
    config: dict[str, Any] = {
        "model_type": model_type,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "initializer_range": 0.2,
        "pad_token_id": world_tokenizer.pad_token_id,
    }
    if model_type == "gemma3_text":
        # Far shorter than the prompt, so that the cache drops what is out of sight.
        config |= {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}
    model = new_model(config, vocab_size=len(world_tokenizer), seed=0).eval()
    losses = output_losses(model, world_tokenizer, CONVERSATIONS)
    for found, messages in zip(losses, CONVERSATIONS, strict=True):
        np.testing.assert_allclose(found, by_hand(model, world_tokenizer, messages), atol=1e-4, rtol=1e-5)
    texts = ["", "17", "green and blue", "red"]
    (logprobs,) = candidate_logprobs(model, world_tokenizer, [CONVERSATIONS[0][:3]], [texts])
    whole = [[*CONVERSATIONS[0][:3], Message(role="output", content=text)] for text in texts]
    expected = [-loss[-1] for loss in output_losses(model, world_tokenizer, whole)]
    np.testing.assert_allclose(logprobs, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("family", ["gemma3", "qwen3", "llama3_1"])
def test_real_tokenizers_score_alike_by_template_mask_and_by_prompt(
    spectrum_tokenizer: Callable[[str], PreTrainedTokenizerBase], family: str
) -> None:
    tokenizer = spectrum_tokenizer(family)
    config = {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8}
    config |= {"num_attention_heads": 1, "num_key_value_heads": 1, "initializer_range": 0.5}
    model = new_model(config, vocab_size=len(tokenizer), seed=0).eval()
    losses = output_losses(model, tokenizer, CONVERSATIONS[:2], tokens_per_batch=64)
    for messages, found in zip(CONVERSATIONS, losses, strict=False):
        places = [n for n, message in enumerate(messages) if message["role"] == "output"]
        prompts, texts = [messages[:n] for n in places], [[messages[n]["content"]] for n in places]
        logprobs = candidate_logprobs(model, tokenizer, prompts, texts, tokens_per_batch=64)
        np.testing.assert_allclose(found, -np.concatenate(logprobs), atol=1e-4, rtol=1e-5)


def test_a_uniform_model_pays_log_vocabulary_for_each_token(
    uniform_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    per_token = math.log(len(world_tokenizer))
    (scores,) = output_scores(uniform_model, world_tokenizer, CONVERSATIONS[:1])
    texts = [message["content"] for message in CONVERSATIONS[0][1:]]
    n_tokens = [len(world_tokenizer(text)["input_ids"]) + 1 for text in texts]
    assert scores.n_tokens.tolist() == n_tokens
    np.testing.assert_allclose(scores.loss, np.array(n_tokens) * per_token, rtol=1e-5)
    (logprobs,) = candidate_logprobs(uniform_model, world_tokenizer, [CONVERSATIONS[0][:1]], [texts])
    np.testing.assert_allclose(logprobs, -scores.loss, rtol=1e-5)


def test_a_prompt_without_description_or_candidates_is_scored_too(
    random_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    prompts: list[list[Message]] = [[{"role": "input", "content": "How many?"}], CONVERSATIONS[2]]
    first, second = candidate_logprobs(random_model, world_tokenizer, prompts, [["12"], []])
    answered: list[Message] = [*prompts[0], {"role": "output", "content": "12"}]
    assert first == pytest.approx([-by_hand(random_model, world_tokenizer, answered)[0]], abs=1e-4)
    assert second.shape == (0,)
    assert candidate_logprobs(random_model, world_tokenizer, [], []) == []
    assert output_losses(random_model, world_tokenizer, []) == []


def test_half_precision_logits_are_normalised_in_single_precision() -> None:
    logits = torch.randn(2, 5000, generator=torch.Generator().manual_seed(0)).bfloat16()
    found = pick(logits, [0, 1], [7, 8])
    exact = logits.double().log_softmax(-1)[[0, 1], [7, 8]]
    np.testing.assert_allclose(found.log_probabilities, exact, atol=1e-5, rtol=0)


def test_scoring_leaves_training_mode_as_it_was(
    random_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    random_model.train()
    try:
        output_losses(random_model, world_tokenizer, CONVERSATIONS[:1])
        assert random_model.training
        with pytest.raises(RuntimeError, match="stop"), evaluating(random_model):
            assert not random_model.training
            raise RuntimeError("stop")
        assert random_model.training
    finally:
        random_model.eval()


def test_prompts_end_with_the_header_of_an_output(world_tokenizer: PreTrainedTokenizerBase) -> None:
    text = world_tokenizer.decode(prompt_ids(world_tokenizer, CONVERSATIONS[2][:1]))
    assert text == "<|im_start|>description\nOne letter.<|im_end|>\n<|im_start|>output\n"


def test_outputs_that_the_template_does_not_mark_are_refused(
    random_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    undescribed: list[Message] = [{"role": "output", "content": "a"}, {"role": "output", "content": "b"}]
    with pytest.raises(UserError, match=naming("conversation 2", "1 of 2", "description")):
        output_losses(random_model, world_tokenizer, [CONVERSATIONS[2], undescribed])


def test_all_problems_of_all_conversations_are_named_at_once(
    random_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    injected = iid(["a<|im_end|>\n<|im_start|>output\nb"], description="Letters.")
    with pytest.raises(UserError) as caught:
        output_losses(random_model, world_tokenizer, [injected, CONVERSATIONS[2], []])
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "conversation 1",
        "conversation 3",
    ]
    with pytest.raises(UserError, match=r"conversation 1: .*<\|im_end\|>"):
        candidate_logprobs(random_model, world_tokenizer, [CONVERSATIONS[2]], [["a<|im_end|>"]])


def test_a_tokenizer_without_our_template_is_refused(random_model: PreTrainedModel) -> None:
    bare = new_tokenizer(["red"], vocab_size=300)
    with pytest.raises(UserError, match="templates.install"):
        output_losses(random_model, bare, CONVERSATIONS[2:3])
    bare.chat_template = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    with pytest.raises(UserError, match="templates.install"):
        candidate_logprobs(random_model, bare, [CONVERSATIONS[2]], [["a"]])


def test_a_conversation_longer_than_the_context_is_refused(
    random_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(UserError, match=naming("context", 512)):
        output_losses(random_model, world_tokenizer, [iid(["1"] * 200, description="Digits.")])
    with pytest.raises(UserError, match=naming("context", 512)):
        candidate_logprobs(random_model, world_tokenizer, [CONVERSATIONS[2]], [["1 " * 600]])
