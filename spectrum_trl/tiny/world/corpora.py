"""Training data of the tiny base model and the tiny instruct model.

The base model learns from descriptions and random draws from them, in many layouts. Fully described
distributions have few draws, so these have to be predicted from the description, not from earlier draws.
Nothing prefers one of several possible draws, so the model does not collapse. Its second corpus is plain
statements about listed contents: they have right answers, so a small model quickly learns which label a
number belongs to, and which labels are in a list.

In the conversations of the instruct model, nine in ten questions get the likeliest answer. Ordinary
post-training rewards one good answer, which is why instruct models collapse; here it teaches nothing else.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from spectrum_trl.suite.sequences.builders import description_message, pair
from spectrum_trl.suite.task import Build, Data, Message, Task
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
# Share of answers that are the likeliest one; the rest are random draws.
MODE_SHARE = 0.9
# Share of questions with a described distribution, and of questions that show draws.
DESCRIBED, SHOWN = 0.6, 0.4
QUESTIONS = ("Generate", "Generate.", "What comes next?", "Give one.", "One more, please.")


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


def _laid_out(rng: np.random.Generator, description: str, draws: Sequence[str]) -> tuple[str, str]:
    """Lay out a record as text: that before the first draw, and the rest."""

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


def _in_lines(rng: np.random.Generator, description: str, draws: Sequence[str]) -> tuple[str, str]:
    """Lay out a record with each draw on its own line.

    A tokenizer that joins a space with the following word has other tokens for a draw within a line.
    """
    layout = rng.random()
    if layout < 0.4:
        return f"{description}\n", "\n".join(draws)
    heading = "Output" if layout < 0.7 else DRAW_NAMES[int(rng.integers(len(DRAW_NAMES)))]
    return f"Description\n{description}\n\n{heading}\n", f"\n\n{heading}\n".join(draws)


def _records(
    data: Data,
    *,
    stream: int,
    share_described: float,
    lay_out: Callable[[np.random.Generator, str, Sequence[str]], tuple[str, str]],
) -> Iterator[tuple[str, list[Message]]]:
    rng = np.random.default_rng([data.seed, stream])
    for index in range(SEQUENCES):
        described = rng.random() < share_described
        world = described_world(rng) if described else hidden_world(rng)
        n = int(rng.integers(*(FEW if described else MANY), endpoint=True))
        before, rest = lay_out(rng, world.description, world.draw(rng, n))
        yield str(index), [description_message(before), {"role": "output", "content": rest}]


def _statement(rng: np.random.Generator, contents: dict[str, int]) -> str:
    """Return a randomly chosen statement about the contents."""
    labels = list(contents)
    label = labels[int(rng.integers(len(labels)))]
    ranked = sorted(labels, key=lambda each: -contents[each])
    pieces = [each for each, n in contents.items() for _ in range(n)]
    statements = (
        f"How many {label}? {contents[label]}.",
        f"{label} is {contents[label]} of {len(pieces)}.",
        "By number: " + ", ".join(f"{each} {contents[each]}" for each in ranked) + ".",
        f"All of them: {' '.join(pieces)}.",
        f"Mixed: {' '.join(rng.permutation(pieces))}.",
        f"The kinds: {words.listed(labels, last='and')}.",
        f"Not {label}: {words.listed([each for each in labels if each != label], last='or')}.",
    )
    return statements[int(rng.integers(len(statements)))]


def _facts(data: Data) -> Iterator[tuple[str, list[Message]]]:
    rng = np.random.default_rng([data.seed, 3])
    for index in range(SEQUENCES):
        contents = worlds.contents(rng, labels=words.LABELS)
        sentence = words.BASE_COUNT_SENTENCES[int(rng.integers(len(words.BASE_COUNT_SENTENCES)))]
        listed = words.listed([f"{n} {label}" for label, n in contents.items()], last="and")
        statements = [_statement(rng, contents) for _ in range(int(rng.integers(1, 5)))]
        before = sentence.format(listed).split(". ")[0] + "."
        yield (
            str(index),
            [description_message(f"{before} "), {"role": "output", "content": " ".join(statements)}],
        )


def _answers(data: Data) -> Iterator[tuple[str, list[Message]]]:
    rng = np.random.default_rng([data.seed, 2])
    for index in range(SEQUENCES):
        world = described_world(rng) if rng.random() < DESCRIBED else hidden_world(rng)
        seen = world.draw(rng, int(rng.integers(1, 21))) if rng.random() < SHOWN else []
        shown = f" Seen: {', '.join(seen)}." if seen else ""
        distribution = world.predictive(seen)
        likeliest = max(distribution.support or (), key=distribution.pmf)
        n = int(rng.integers(1, 5))
        answers = np.where(rng.random(n) < MODE_SHARE, likeliest, world.draw(rng, n)).tolist()
        questions = [QUESTIONS[int(number)] for number in rng.integers(len(QUESTIONS), size=n)]
        turns = [
            turn
            for question, answer in zip(questions, answers, strict=True)
            for turn in pair(question, answer)
        ]
        yield str(index), [description_message(world.description + shown), *turns]


# Each has its own stream of random numbers; answers and facts use 2 and 3.
BUILDS: dict[str, Build] = {
    "tiny_records": partial(_records, stream=1, share_described=0.5, lay_out=_laid_out),
    "tiny_lines": partial(_records, stream=4, share_described=0.9, lay_out=_in_lines),
    "tiny_facts": _facts,
    "tiny_answers": _answers,
}
TASKS = tuple(
    Task(name=name, source=worlds.SOURCE, kind="generation", split="train", build=build)
    for name, build in BUILDS.items()
)
