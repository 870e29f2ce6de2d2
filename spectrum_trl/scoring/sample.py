"""Samples from a transformers model's own distribution."""

from typing import NamedTuple

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.scoring.draw import Limits, draw
from spectrum_trl.scoring.forward import Conversation, check_conversations, prompt_ids


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
        n: Number of samples; they share one pass over the prompt.
        seed: The only source of randomness; the global state of torch is left as it was.
        max_new_tokens: Where to give up on a sample, its end-of-turn token included.

    Returns:
        The n samples.

    Raises:
        UserError: If the messages are malformed, or the context is too short.
    """
    check_conversations([messages], tokenizer=tokenizer)
    end = tokenizer.eos_token_id
    drawn = draw(
        model,
        prompt_ids(tokenizer, messages),
        seeds=[(seed, number) for number in range(n)],
        limits=Limits(max_new_tokens, ends=(end,)),
    )
    return [_cut(ids, tokenizer=tokenizer, end=end) for ids in drawn]


def _cut(ids: list[int], *, tokenizer: PreTrainedTokenizerBase, end: int) -> Sample:
    # Other special tokens stay in the text: a sample that holds one is not the text without it.
    ended = end in ids
    kept = ids[: ids.index(end)] if ended else ids
    text = tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return Sample(str(text), ended)
