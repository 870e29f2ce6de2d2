"""Pretraining corpus of the tiny base model: descriptions and random draws from them, in many layouts.

Fully described distributions have few draws, so these have to be predicted from the description, not from
earlier draws. Nothing in the corpus prefers one of several possible draws, so the model does not collapse.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from spectrum_trl.suite.sequences.builders import description_message
from spectrum_trl.suite.task import Message, Task
from spectrum_trl.tiny.world import words, worlds

SEQUENCES = 2_000_000
# Number of draws in a record whose distribution is described, and in others.
FEW, MANY = (1, 8), (6, 30)
# Similar to the prompt of `chat_templates/colon.jinja`, with other words before a colon.
HEADINGS = ("Setup", "Case", "World", "About", "Record")
DRAW_NAMES = ("Draw", "Next", "Result", "Seen", "Sample")
GAPS = ("\n", "\n\n", " ")
SEPARATORS = (" ", "\n", ", ", "; ", " - ")
STARTS = (" ", "\n", " So: ")


def described_world(rng: np.random.Generator) -> worlds.World:
    """Draw a world whose description determines its distribution: counts, or a range of numbers."""
    if rng.random() < 0.8:
        return worlds.counts(rng, labels=words.LABELS, sentences=words.BASE_COUNT_SENTENCES)
    whole_tens = bool(rng.random() < 0.5)
    return worlds.number_range(rng, sentences=words.RANGE_SENTENCES, whole_tens=whole_tens)


def hidden_world(rng: np.random.Generator) -> worlds.World:
    """Draw a world whose distribution shows only in its draws: labels, or numbers near a value."""
    if rng.random() < 0.35:
        return worlds.near_number(rng, sentences=words.NEAR_SENTENCES)
    k = 2 if rng.random() < 0.4 else int(rng.integers(3, 6))
    return worlds.unknown_labels(rng, labels=words.LABELS, sentences=words.BASE_LABEL_SENTENCES, k=k)


def laid_out(rng: np.random.Generator, description: str, draws: Sequence[str]) -> tuple[str, str]:
    """Lay out a record as text.

    Args:
        rng: Generator that chooses the layout.
        description: Description of the source.
        draws: Draws, at least one.

    Returns:
        The text before the first draw, and the rest.
    """

    def one_of(texts: tuple[str, ...]) -> str:
        return texts[int(rng.integers(len(texts)))]

    layout = rng.random()
    if layout < 0.4:
        return description + one_of(STARTS), one_of(SEPARATORS).join(draws)
    if layout < 0.5:
        numbered = (f"{number}. {draw}" for number, draw in enumerate(draws[1:], start=2))
        return f"{description}\n1. ", "\n".join([draws[0], *numbered])
    if layout < 0.65:
        return f"Description\n{description}\n\nOutput\n", "\n\nOutput\n".join(draws)
    heading, name, gap = one_of(HEADINGS), one_of(DRAW_NAMES), one_of(GAPS)
    return f"{heading}: {description}{gap}{name}: ", f"{gap}{name}: ".join(draws)


def in_lines(rng: np.random.Generator, description: str, draws: Sequence[str]) -> tuple[str, str]:
    """Lay out a record with each draw on its own line; arguments and result as for `laid_out`.

    A tokenizer that joins a space with the following word has other tokens for a draw within a line.
    """
    layout = rng.random()
    if layout < 0.4:
        return f"{description}\n", "\n".join(draws)
    heading = "Output" if layout < 0.7 else DRAW_NAMES[int(rng.integers(len(DRAW_NAMES)))]
    return f"Description\n{description}\n\n{heading}\n", f"\n\n{heading}\n".join(draws)


def _records(
    data_dir: Path,
    *,
    seed: int,
    dropped: Counter[str],
    stream: int,
    share_described: float,
    lay_out: Callable[[np.random.Generator, str, Sequence[str]], tuple[str, str]],
) -> Iterator[tuple[str, list[Message]]]:
    rng = np.random.default_rng([seed, stream])
    for index in range(SEQUENCES):
        described = rng.random() < share_described
        world = described_world(rng) if described else hidden_world(rng)
        n = int(rng.integers(*(FEW if described else MANY), endpoint=True))
        before, rest = lay_out(rng, world.description, world.draw(rng, n))
        yield str(index), [description_message(before), {"role": "output", "content": rest}]


TASKS = tuple(
    Task(
        name=name,
        source=worlds.SOURCE,
        kind="generation",
        split="train",
        build=partial(_records, stream=stream, share_described=share, lay_out=lay_out),
    )
    # Each corpus has its own stream number; answers and facts use 2 and 3.
    for name, stream, share, lay_out in (
        ("tiny_records", 1, 0.5, laid_out),
        ("tiny_lines", 4, 0.9, in_lines),
    )
)
