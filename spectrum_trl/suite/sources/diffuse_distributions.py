"""Lists of answers to requests for a random item (y0mingzhang/diffuse-distributions, MIT).

Each file holds one request and the list of its answers, and gives ten random orders of the whole list. Only
the request's first sentence is kept: the rest is about curly braces. A file without answers (one of 28)
gives nothing.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from spectrum_trl.errors import UserError
from spectrum_trl.suite.reading.tables import json_file
from spectrum_trl.suite.sequences.builders import Data, Row, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, checksums, github

FOLDER = "diffuse-distributions/prompts"
FILES = f"{FOLDER}/**/*.json"
SOURCE = Source(
    name="diffuse_distributions",
    title="y0mingzhang/diffuse-distributions",
    licence="MIT",
    citation="Zhang et al., Forcing Diffuse Distributions out of Language Models, COLM 2024, 2404.10859",
    downloads=github(
        "y0mingzhang/diffuse-distributions",
        "7170ab056d790fb3f209a3f5cca2dffe59266996",
        {path: path.split("/", 1)[1] for path in checksums() if path.startswith(FOLDER)},
    ),
    size=43_606,
)
# A full stop inside a number or a name is not followed by white space.
FIRST_SENTENCE = re.compile(r".+?(?=\.\s|\.?$)", re.DOTALL)
UNWANTED = re.compile("[{}\u200b]")

DESCRIPTIONS = (
    "Draws without replacement from a fixed list of answers to: “{request}”.",
    "“{request}.” Each output is one such answer, picked at random, and no answer comes twice.",
    "A list in random order, without repetitions. What is on it: all answers that were written down for the "
    "request “{request}”.",
)
# Lists of what diversity is evaluated on; a test searches all training tasks for such lists.
DAYS = ("spectrum_div_weekdays_any_format", "spectrum_div_weekdays_full")
TO_10, TO_100, PRIMES = (
    (f"spectrum_div_{name}",) for name in ("rng_1_10", "rng_1_100", "small_prime_numbers")
)
COVERS = {
    **dict.fromkeys(("day-date/day-0", "day-date/day-1"), DAYS),
    **dict.fromkeys((f"numbers/{name}-0" for name in ("even", "odd", "rng")), TO_10),
    **dict.fromkeys((f"numbers/{name}-1" for name in ("even", "odd", "rng")), TO_100),
    **dict.fromkeys(("numbers/prime-0", "numbers/prime-1"), PRIMES),
}


def _list(path: Path) -> tuple[str, list[str]]:
    """Return a request's first sentence and its answers."""
    value = json_file(path)
    found = value if isinstance(value, dict) else {}
    sentence, targets = FIRST_SENTENCE.match(text(found.get("request"))), found.get("targets")
    if sentence is None or not isinstance(targets, list):
        raise UserError(f"{path}: expected an object with a request and a list of targets; fetch it again")
    return sentence[0], [_answer(text(target)) for target in targets]


def _answer(target: str) -> str:
    return "; ".join(filter(None, (UNWANTED.sub("", line).strip() for line in target.splitlines())))


def _answers(data: Data) -> Iterator[Row]:
    for path in sorted(data.folder.glob(FILES)):
        request, answers = _list(path)
        if not answers:
            data.dropped["list without answers"] += 1
        different = dict.fromkeys(answers)
        data.dropped["answer repeated in its list"] += len(answers) - len(different)
        name = path.relative_to(data.folder / FOLDER).with_suffix("").as_posix()
        yield from ({"name": name, "request": request, "answer": answer} for answer in different)


TASKS = [
    declared_task(
        "diffuse_distribution",
        source=SOURCE,
        kind="generation",
        summary="items of a list in random order, such as countries of a continent",
        files=(FILES,),
        rows=_answers,
        group_by=("name",),
        output="answer",
        descriptions=DESCRIPTIONS,
        permutations=10,
        covers=COVERS,
    )
]
