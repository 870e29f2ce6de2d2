"""Choose the sequences of a task for steerability, and their number of examples."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spectrum_trl.console import counted, spoken
from spectrum_trl.evaluation.options import Options
from spectrum_trl.metrics.icl import AutomaticK, automatic_k
from spectrum_trl.prompts.messages import check, normalise
from spectrum_trl.prompts.scored import Prompts
from spectrum_trl.suite.building.cache import built_sequences
from spectrum_trl.suite.building.held_out import held_out_sequences
from spectrum_trl.suite.building.stats import BYTES_PER_TOKEN, TOKENS_PER_TURN
from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.task import Message, Task


class Chosen(NamedTuple):
    """The sequences to evaluate.

    Attributes:
        sequences: Sequence ids and messages, each truncated after output ``k``.
        k: Number of examples before the last output.
        dropped: Reasons why other sequences are left out, with their counts.
    """

    sequences: list[tuple[str, list[Message]]]
    k: int
    dropped: Counter[str]


@cache
def drawn(
    task: Task,
    *,
    folder: Path,
    seed: int,
    most: int,
    described: str = "sometimes",
    held_out_share: float | None = None,
) -> tuple[tuple[tuple[str, list[Message]], ...], Counter[str]]:
    """Build a task's sequences once, at most ``most``, some without their description.

    Leading white space of outputs is removed. Training removes it if the model's tokenizer merges it with the
    output's header, and plain text never has it; here it is removed for every model and format, so all are
    scored on the same outputs, and none on a token it has never seen.

    Args:
        task: The task to build.
        folder: Folder of the real data.
        seed: Seed of the data, of the choice of sequences, and of which keep their descriptions.
        most: Maximum number of sequences.
        described: Which sequences keep their description, see `Options`.
        held_out_share: Evaluate only individuals held out of training, see `Options`.

    Returns:
        Sequence ids with messages, in the task's order; and the rows that the task left out, by reason.
    """
    dropped = Counter[str]()
    if held_out_share is None or task.synthetic:
        sequences = built_sequences(task, data_dir=folder, seed=seed, dropped=dropped)
    else:
        sequences = held_out_sequences(
            task, data_dir=folder, seed=seed, dropped=dropped, share=held_out_share
        )
    every = [(sequence.sequence_id, sequence.messages) for sequence in sequences]
    if len(every) > most:
        rng = stream(seed, task=task.name, purpose="sequences")
        picked = rng.choice(len(every), size=most, replace=False)
        every = [every[n] for n in sorted(picked.tolist())]
    found = []
    for sequence_id, messages in every:
        rng = stream(seed, task=task.name, purpose="description", id=sequence_id)
        probability = {"never": 0.0, "always": 1.0}.get(described, task.description_probability)
        keeps = rng.random() < probability
        kept = [message for message in messages if keeps or message["role"] != "description"]
        found.append((sequence_id, [_unindented(message) for message in normalise(kept)]))
    return tuple(found), dropped


def _unindented(message: Message) -> Message:
    return {**message, "content": message["content"].lstrip()} if message["role"] == "output" else message


@cache
def choose(task: Task, *, folder: Path, options: Options, prompts: Prompts) -> Chosen:
    """Choose sequences and the number of examples, so every model is scored on the same outputs.

    The number of examples maximises the number of scored outputs, as in the paper; but length is measured in
    bytes unless a tokenizer is given. A model with a shorter context gets fewer examples.

    Args:
        task: The task to evaluate.
        folder: Folder of the real data.
        options: Of the evaluation.
        prompts: The evaluated model's writer of prompts.

    Returns:
        The choice; without sequences if too few have enough outputs that fit.
    """
    sequences, lost = drawn(
        task,
        folder=folder,
        seed=options.seed,
        most=options.sequences,
        described=options.described,
        held_out_share=options.held_out_share,
    )
    max_tokens, yardstick, context = options.max_tokens, options.yardstick(), options.context()
    dropped, usable = Counter(lost), []
    for sequence_id, messages in spoken(sequences, what=f"{task.name}: sequences checked"):
        if problems := check(messages, tokenizer=prompts.tokenizer, trained=False):
            dropped[problems[0].partition(" ")[2].split(":")[0]] += 1
        else:
            usable.append((sequence_id, messages))
    measure = _tokens_of(Prompts(yardstick, fmt="spectrum")) if yardstick else _bytes
    said = f"{task.name}: sequences measured"
    last = [_last_within(measure(messages), max_tokens) for _, messages in spoken(usable, what=said)]
    if context is not None:
        own = _tokens_of(prompts)
        last = [
            min(n, _last_within(own(_cut(messages, n)), context))
            for n, (_, messages) in spoken(list(zip(last, usable, strict=True)), what=f"{said} for the model")
        ]
    found = _chosen(last, examples=options.examples)
    if found is None:
        least = "three outputs" if options.examples is None else counted(options.examples + 1, "output")
        dropped[f"fewer than {least} within {max_tokens} tokens"] += len(usable)
        return Chosen([], 0, dropped)
    kept = [(usable[n][0], _cut(usable[n][1], found.k)) for n in found.kept.tolist()]
    if len(usable) > len(kept):
        dropped[f"fewer than {found.k + 1} outputs within {max_tokens} tokens"] += len(usable) - len(kept)
    return Chosen(kept, found.k, dropped)


def output_lengths(task: Task, *, folder: Path, options: Options, k: int) -> list[float]:
    """Return the mean length of outputs, in tokens of four bytes, of each sequence that reaches output k.

    Of those that training keeps, too: how lengths differ is better seen in all than in the evaluated ones.
    """
    built = built_sequences(task, data_dir=folder, seed=options.seed, dropped=Counter())
    found = []
    for sequence in built:
        if _last_within(_bytes(sequence.messages), options.max_tokens) >= k:
            kept = _cut(sequence.messages, k)
            texts = [message["content"] for message in kept if message["role"] == "output"]
            # The end of a turn is a token, too.
            found.append(1 + sum(len(text.encode()) for text in texts) / BYTES_PER_TOKEN / len(texts))
    return found


def _chosen(last: list[int], *, examples: int | None) -> AutomaticK | None:
    """Return the number of examples and the sequences that reach it; None if none does."""
    if examples is None:
        return automatic_k(last) if last else None
    kept = np.flatnonzero(np.array(last, dtype=int) >= examples)
    return AutomaticK(examples, kept) if kept.size else None


def _bytes(messages: Sequence[Message]) -> Iterator[float]:
    """Yield the length of a sequence up to the end of each output, in tokens of four bytes."""
    length = 0.0
    for message in messages:
        length += len(message["content"].encode()) / BYTES_PER_TOKEN + TOKENS_PER_TURN
        if message["role"] == "output":
            yield length


def _tokens_of(prompts: Prompts) -> Callable[[Sequence[Message]], Iterator[float]]:
    def lengths(messages: Sequence[Message]) -> Iterator[float]:
        outputs = prompts.outputs(messages)
        whole = outputs[-1].context + outputs[-1].output
        encoded = prompts.tokenizer(whole, add_special_tokens=False)
        for output in outputs:
            end = len(output.context) + len(output.output)
            # In chat formats an earlier context need not be a prefix of a later one.
            if whole.startswith(output.context + output.output):
                yield float(encoded.char_to_token(end - 1) + 1)
            else:
                text = output.context + output.output
                yield float(len(prompts.tokenizer(text, add_special_tokens=False)["input_ids"]))

    return lengths


def _last_within(lengths: Iterator[float], limit: float) -> int:
    """Return the index of the last output that ends within a limit, counted from 0; -1 if none does."""
    return sum(1 for length in lengths if length <= limit) - 1


def _cut(messages: Sequence[Message], k: int) -> list[Message]:
    """Return messages up to output ``k``, counted from 0."""
    kept: list[Message] = []
    for message in messages:
        kept.append(message)
        if message["role"] == "output":
            k -= 1
            if k < 0:
                break
    return kept
