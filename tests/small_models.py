"""Small real models: one with random weights, one that is uniform, one that learnt the prompts to sample."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.evaluation.tiny import evaluate
from spectrum_trl.models.initialise import new_model, new_tokenizer
from spectrum_trl.prompts import templates
from spectrum_trl.suite.sequences.builders import description_message, iid
from spectrum_trl.suite.task import Message
from spectrum_trl.tiny import scores
from spectrum_trl.tiny.evaluation_items import evaluation_items, probabilities
from spectrum_trl.tiny.scores import TinyResult
from spectrum_trl.tiny.world.worlds import World

CONFIG = {
    "model_type": "qwen3",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "initializer_range": 0.2,
}

# Layers that keep a state instead of keys and values.
RECURRENT = {
    **{"model_type": "qwen3_next", "layer_types": ["linear_attention", "full_attention"]},
    **{"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 8},
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 2, "shared_expert_intermediate_size": 8},
    **{"linear_key_head_dim": 8, "linear_value_head_dim": 8},
}


# Items of each kind that tests evaluate.
FEW = {"URNS": 30, "SEQUENCES": 20, "PROMPTS": 24}


class Learnt(NamedTuple):
    """A model trained on the worlds that are sampled: after ``prompt``, texts come with ``shares``."""

    model: PreTrainedModel
    prompt: list[Message]
    shares: dict[str, float]


@pytest.fixture(scope="session")
def world_tokenizer() -> PreTrainedTokenizerBase:
    texts = [f"{world.description} description output red dark blue" for world in evaluation_items(0).urns]
    tokenizer = new_tokenizer(texts, vocab_size=400)
    templates.install(tokenizer)
    return tokenizer


def built(tokenizer: PreTrainedTokenizerBase, **changes: Any) -> PreTrainedModel:
    return new_model({**CONFIG, **changes}, vocab_size=len(tokenizer), seed=0).eval()


def untied_by_weights(folder: Path, *, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write the folder of a model whose two matrices differ, although its configuration ties them."""
    model = built(tokenizer, tie_word_embeddings=False)
    model.config.tie_word_embeddings = True
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def random_model(world_tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    return built(world_tokenizer)


@pytest.fixture(scope="session")
def uniform_model(world_tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Every token is equally likely after any text."""
    model = built(world_tokenizer)
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
    return model


def sampled() -> list[World]:
    """Return some of the worlds that are sampled."""
    items = evaluation_items(0)
    return [*items.full_urns[:8], *items.ranges[:8]]


@pytest.fixture(scope="session")
def learnt(made_once: Callable[..., Path], world_tokenizer: PreTrainedTokenizerBase) -> Learnt:
    folder = made_once("learnt-model", lambda folder: trained(world_tokenizer).save_pretrained(folder))
    model, world = built(world_tokenizer).from_pretrained(folder).eval(), sampled()[0]
    return Learnt(model, [description_message(world.description)], probabilities(world))


def trained(world_tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    model, worlds, rng = built(world_tokenizer), sampled(), np.random.default_rng(0)
    encoded = world_tokenizer.apply_chat_template(
        [iid(world.draw(rng, 12), description=world.description) for world in worlds for _ in range(3)],
        return_dict=True,
        return_tensors="pt",
        padding=True,
        return_assistant_tokens_mask=True,
    )
    labels = encoded["input_ids"].where(torch.as_tensor(encoded.pop("assistant_masks")).bool(), -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        model(**encoded, labels=labels).loss.backward()
        optimizer.step()
    return model


@contextmanager
def fewer() -> Iterator[None]:
    evaluation_items.cache_clear()
    with pytest.MonkeyPatch.context() as patched:
        for name, n in FEW.items():
            patched.setattr(f"spectrum_trl.tiny.evaluation_items.{name}", n)
        yield
    evaluation_items.cache_clear()


@pytest.fixture
def few_items() -> Iterator[None]:
    """Evaluate a few items of each kind instead of hundreds."""
    with fewer():
        yield


def measured(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> TinyResult:
    with fewer():
        return evaluate(model, tokenizer, seed=0)


@pytest.fixture(scope="session")
def uniform_result(
    made_once: Callable[..., Path], uniform_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase
) -> TinyResult:
    """The result of `uniform_model` on `few_items`."""
    return scores.load(
        made_once("uniform", lambda file: scores.save(measured(uniform_model, world_tokenizer), file))
    )


@pytest.fixture(scope="session")
def learnt_result(
    made_once: Callable[..., Path], learnt: Learnt, world_tokenizer: PreTrainedTokenizerBase
) -> TinyResult:
    """The result of `learnt` on `few_items`."""
    return scores.load(
        made_once("learnt", lambda file: scores.save(measured(learnt.model, world_tokenizer), file))
    )
