"""GlobalOpinionQA: answers of many countries to questions of two surveys, Pew's and the World Values Survey.

One item for each question and country; the target is the country's shares, divided by their sum (the source
rounds them). Rows whose target would be wrong are left out and counted: shares that are all 0 or not numbers
(published: kept, and uniform after smoothing), different numbers of shares and options (published: not
checked), and more options than letters. Options such as "DK/Refused" stay, as answers that people gave.
Labels such as "India (Current national sample)" are the source's. Items of one question share its text, which
is their cluster.

Source: Durmus et al., arXiv 2306.16388.
"""

import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from spectrum_trl.evaluation.axis_tasks import DistributionalTask, Item, lettered, shares
from spectrum_trl.suite.sources.globaloqa import FILE, SOURCE, questions, unusable

DESCRIPTION = (
    "Answers to a survey question by people who live in the country or area “{country}”, one person picked "
    "at random for each answer. An answer is the letter of one option."
)


def items(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[Item]:
    """Yield the items, in the order of the file."""
    for question, options, by_country in questions(data_dir / FILE, dropped=dropped):
        if len(options) > len(string.ascii_uppercase):
            dropped["more options than letters"] += len(by_country)
            continue
        for country, found in by_country.items():
            if reason := unusable(found, len(options)):
                dropped[reason] += 1
                continue
            yield Item(
                description=DESCRIPTION.format(country=country),
                input=f"{question}\n{lettered([str(option).strip() for option in options])}",
                candidates=tuple(string.ascii_uppercase[: len(options)]),
                target=shares(found),
                group=country,
                cluster=question,
            )


TASKS = (
    DistributionalTask(
        name="global_oqa",
        summary="answers of countries to survey questions",
        source=SOURCE,
        files=(FILE,),
        build=items,
    ),
)
