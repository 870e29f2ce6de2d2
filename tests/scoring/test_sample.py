"""Samples follow the model's own distribution, end with the turn, and depend on the seed alone."""

import copy
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sequences.builders import description_message
from tests.messages import naming
from tests.oracles import candidate_logprobs, sample

PROMPT = [description_message("In the urn: 3 red balls.")]


def test_frequencies_are_the_scored_probabilities(
    learnt: Any, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    n = 1500
    drawn = sample(learnt.model, world_tokenizer, learnt.prompt, n=n, seed=0, max_new_tokens=8)
    counts = Counter(one.text for one in drawn if one.ended)
    texts = list(learnt.shares)
    (logprobs,) = candidate_logprobs(learnt.model, world_tokenizer, [learnt.prompt], [texts])
    p = np.exp(logprobs)
    assert p.sum() > 0.5, "a model that never answers right tests little"
    frequencies = np.array([counts[text] for text in texts]) / n
    assert (np.abs(frequencies - p) < 4 * np.sqrt(p * (1 - p) / n)).all()


def test_samples_are_cut_at_the_end_of_the_turn(
    learnt: Any, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    drawn = sample(learnt.model, world_tokenizer, learnt.prompt, n=200, seed=1, max_new_tokens=30)
    texts = {one.text for one in drawn if one.ended}
    assert len(texts & set(learnt.shares)) >= 4
    # Samples of different lengths are padded after their end, which must not show.
    assert len({len(world_tokenizer(text)["input_ids"]) for text in texts}) > 1
    assert not any("<|im_end|>" in text or "<|endoftext|>" in text for text in texts)


def test_a_sample_that_does_not_end_is_marked(
    uniform_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    drawn = sample(uniform_model, world_tokenizer, PROMPT, n=300, seed=0, max_new_tokens=30)
    unended = [one for one in drawn if not one.ended]
    expected = (1 - 1 / len(world_tokenizer)) ** 30
    assert abs(len(unended) / 300 - expected) < 4 * np.sqrt(expected * (1 - expected) / 300)
    # Other control tokens are no end: they stay in the text, where nobody takes it for an answer.
    assert any("<|im_start|>" in one.text for one in drawn)
    assert not any("<|im_end|>" in one.text for one in drawn)


def test_the_seed_alone_decides_and_the_global_state_is_left_alone(
    random_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = sample(random_model, world_tokenizer, PROMPT, n=20, seed=3, max_new_tokens=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert sample(random_model, world_tokenizer, PROMPT, n=20, seed=3, max_new_tokens=5) == first
    assert sample(random_model, world_tokenizer, PROMPT, n=20, seed=4, max_new_tokens=5) != first


def test_settings_that_a_model_was_published_with_do_not_leak_in(
    random_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    published = copy.deepcopy(random_model)
    published.generation_config.update(
        do_sample=True, temperature=0.1, top_k=1, top_p=0.2, min_p=0.5, repetition_penalty=5.0, num_beams=1
    )
    published.generation_config.eos_token_id = 7
    ours, theirs = (
        sample(model, world_tokenizer, PROMPT, n=20, seed=3, max_new_tokens=5)
        for model in (random_model, published)
    )
    assert ours == theirs
    assert len(set(ours)) > 1


def test_a_malformed_prompt_or_a_short_context_is_refused(
    random_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(UserError, match="empty"):
        sample(random_model, world_tokenizer, [], n=1, seed=0, max_new_tokens=5)
    with pytest.raises(UserError, match=naming("context", 512)):
        sample(random_model, world_tokenizer, PROMPT, n=1, seed=0, max_new_tokens=512)
