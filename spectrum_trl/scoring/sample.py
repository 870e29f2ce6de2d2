"""Samples from a transformers model's own distribution."""

from typing import Any, NamedTuple

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.models.folder import generation_config
from spectrum_trl.scoring.forward import (
    Conversation,
    check_conversations,
    check_length,
    evaluating,
    prompt_ids,
)


class Sample(NamedTuple):
    """One output.

    Attributes:
        text: What was generated before the end of the turn.
        ended: Whether the turn ended within the limit of new tokens.
    """

    text: str
    ended: bool


def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    messages: Conversation,
    *,
    n: int,
    seed: int,
    max_new_tokens: int,
) -> list[Sample]:
    """Draw outputs at temperature 1 from the whole vocabulary, independently of each other.

    Args:
        model: Any causal language model, on any device.
        tokenizer: Its tokenizer, with the Spectrum template.
        messages: Description, inputs and outputs so far.
        n: Number of samples, drawn in one batch.
        seed: The only source of randomness; the global state of torch is left as it was.
        max_new_tokens: Where to give up on a sample, its end-of-turn token included.

    Returns:
        The n samples.

    Raises:
        UserError: If the messages are malformed, or the context is too short.
    """
    check_conversations([messages], tokenizer=tokenizer)
    prompt = torch.tensor([prompt_ids(tokenizer, messages)], device=model.device)
    check_length(model, prompt.shape[1] + max_new_tokens)
    prompts = prompt.repeat(n, 1)
    devices = [model.device] if model.device.type == "cuda" else []
    with evaluating(model), torch.random.fork_rng(devices=devices):
        # All samples share one pass over the prompt, but for its last token, which generate has to see.
        past = model(input_ids=prompt[:, :-1], use_cache=True).past_key_values
        past.batch_repeat_interleave(n)
        torch.manual_seed(seed)
        generate: Any = model.generate
        generated = generate(
            input_ids=prompts,
            attention_mask=torch.ones_like(prompts),
            past_key_values=past,
            generation_config=_settings(tokenizer, max_new_tokens=max_new_tokens),
        )
    end = tokenizer.eos_token_id
    return [_cut(ids, tokenizer=tokenizer, end=end) for ids in generated[:, prompt.shape[1] :].tolist()]


def _settings(tokenizer: PreTrainedTokenizerBase, *, max_new_tokens: int) -> GenerationConfig:
    settings = generation_config(tokenizer)
    # All are named: generate takes what is left out from the settings that a model was published with.
    settings.update(
        num_beams=1,
        min_p=0.0,
        typical_p=1.0,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        num_return_sequences=1,
        use_cache=True,
        max_new_tokens=max_new_tokens,
    )
    return settings


def _cut(ids: list[int], *, tokenizer: PreTrainedTokenizerBase, end: int) -> Sample:
    # Other special tokens stay in the text: a sample that holds one is not the text without it.
    ended = end in ids
    kept = ids[: ids.index(end)] if ended else ids
    text = tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return Sample(str(text), ended)
