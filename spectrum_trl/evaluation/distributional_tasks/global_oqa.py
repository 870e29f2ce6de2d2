"""GlobalOpinionQA: what many countries answer to questions of two surveys, Pew's and the World Values Survey.

One item for each question and country; the target is the country's shares, divided by their sum (the source
rounds them). Left out and counted, since the target would be wrong: shares that are all 0 or no numbers
(published: kept, and uniform after smoothing), another number of shares than of options (published: not
looked at), and more options than letters. Options such as "DK/Refused" stay, as
answers that people gave. Labels such as "India (Current national sample)" are the source's. Items of one
question share its text: its text is the cluster.

Source: Durmus et al., arXiv 2306.16388.
"""

import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from spectrum_trl.evaluation.distributional_tasks.task import DistributionalTask, Item, lettered, shares
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


TASK = DistributionalTask(
    name="global_oqa",
    summary="answers of countries to survey questions",
    source="GlobalOpinionQA (Anthropic/llm_global_opinions)",
    licence="CC BY-NC-SA 4.0",
    url="https://huggingface.co/datasets/Anthropic/llm_global_opinions, data/global_opinions.csv",
    files=(FILE,),
    downloads=SOURCE.downloads,
    build=items,
)
