"""HelpSteer2 with simulated users, who prefer one of two responses by weights on five qualities.

Each prompt is used with its first two responses and their scores by annotators (0 to 4). A user has a weight
for each score, drawn uniformly (the last two lower by a half), and prefers the response with the higher
weighted sum. Prompts with one response, further responses, and rows with missing texts or scores are counted
and left out. There are 500 users with 40 prompts each, as in the paper, so a prompt is used about twice.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spectrum_trl.errors import UserError
from spectrum_trl.suite.reading.tables import jsonl_rows
from spectrum_trl.suite.sequences.builders import Sequences, as_json, description_message, pair, text
from spectrum_trl.suite.source import Source, hub
from spectrum_trl.suite.task import Data, Task

FILE = "hub/helpsteer2/train.jsonl.gz"
SOURCE = Source(
    name="helpsteer",
    title="HelpSteer2",
    licence="CC BY 4.0",
    citation="Wang et al., HelpSteer2: Open-source dataset for training top-performing reward models, arXiv "
    "2406.08673 (2024)",
    downloads=hub("nvidia/HelpSteer2", "3995c6a6787852eabe34ce68229286516aa54313", "hub/helpsteer2", FILE),
    size=11_300_000,
    unchecked="No real file was at hand. Name, columns and scores follow the dataset card; a prompt's "
    "responses need not be on adjacent lines.",
)
QUALITIES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
# Subtracted from uniform draws, in hundredths as the weights are.
SHIFTS = np.array([5, 5, 5, 50, 50])
HIGHEST = 4
USERS = 500
PROMPTS = 40

DESCRIPTIONS = (
    "Input: a prompt and two responses to it. Output: 1 if the first response is the better one, 2 if the "
    "second is.",
    "One person compares pairs of answers that language models gave to the same prompt, and says which one "
    "they prefer: 1 or 2. What makes an answer good is for this person to decide.",
    "A simulated user picks the better of two responses, 1 or 2. The user scores each response by {weights}, "
    "where each quality is rated from 0 to 4; the higher sum wins, and 2 wins if both are equal.",
)


class Comparison(NamedTuple):
    """A prompt with two responses, and the scores of the first minus those of the second."""

    shown: str
    difference: np.ndarray


def comparisons(path: Path, *, dropped: Counter[str]) -> list[Comparison]:
    """Return one comparison per prompt, in the order of the file."""
    found: dict[str, list[tuple[str, np.ndarray]]] = {}
    for row in jsonl_rows(path, ("prompt", "response", *QUALITIES), dropped=dropped):
        prompt, response = text(row["prompt"]), text(row["response"])
        scores = [row[quality] for quality in QUALITIES]
        if not (prompt and response):
            dropped["row without prompt or response"] += 1
        elif not all(isinstance(score, int | float) and 0 <= score <= HIGHEST for score in scores):
            dropped[f"row with a score that is not a number from 0 to {HIGHEST}"] += 1
        elif len(responses := found.setdefault(prompt, [])) == 2:
            dropped["third or later response to a prompt"] += 1
        else:
            responses.append((response, np.array(scores)))
    dropped["prompt with one response"] += sum(len(responses) == 1 for responses in found.values())
    return [
        Comparison(
            as_json({"prompt": prompt, "response_1": responses[0][0], "response_2": responses[1][0]}),
            responses[0][1] - responses[1][1],
        )
        for prompt, responses in found.items()
        if len(responses) == 2
    ]


def build(data: Data) -> Sequences:
    """Build one sequence of each simulated user."""
    pairs = comparisons(data.folder / FILE, dropped=data.dropped)
    if not pairs:
        raise UserError(f"{data.folder / FILE} holds no prompt with two scored responses: fetch it again")
    for user in range(USERS):
        rng = np.random.default_rng([data.seed, *f"helpsteer/{user}".encode()])
        # Whole hundredths, so choices follow exactly from the weights as printed.
        weights = np.rint(rng.uniform(0, 100, size=len(QUALITIES))).astype(int) - SHIFTS
        printed = " + ".join(
            f"{weight / 100:.2f} × {quality}" for weight, quality in zip(weights, QUALITIES, strict=True)
        )
        template = DESCRIPTIONS[int(rng.integers(len(DESCRIPTIONS)))]
        messages = [description_message(template.format(weights=printed))]
        for place in rng.permutation(len(pairs))[:PROMPTS]:
            shown, difference = pairs[place]
            messages.extend(pair(shown, "1" if weights @ difference > 0 else "2"))
        yield str(user), messages


TASKS = [
    Task(
        name="helpsteer",
        summary="which of two responses a simulated user prefers",
        source=SOURCE,
        kind="individual",
        files=(FILE,),
        build=build,
    ),
]
