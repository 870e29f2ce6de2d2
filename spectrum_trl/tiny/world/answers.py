"""Training conversations of the tiny instruct model: nine in ten questions get the likeliest answer.

Ordinary post-training rewards one good answer, which is why instruct models collapse; here it teaches nothing
else.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spectrum_trl.suite.sequences.builders import description_message, pair
from spectrum_trl.suite.task import Message, Task
from spectrum_trl.tiny.world import worlds
from spectrum_trl.tiny.world.base_corpus import SEQUENCES, described_world, hidden_world

# Share of answers that are the likeliest one; the rest are random draws.
MODE_SHARE = 0.9
# Share of questions with a described distribution, and of questions that show draws.
DESCRIBED, SHOWN = 0.6, 0.4
QUESTIONS = ("Generate", "Generate.", "What comes next?", "Give one.", "One more, please.")


def _answers(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[tuple[str, list[Message]]]:
    rng = np.random.default_rng([seed, 2])
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


TASKS = (Task(name="tiny_answers", source=worlds.SOURCE, kind="generation", split="train", build=_answers),)
