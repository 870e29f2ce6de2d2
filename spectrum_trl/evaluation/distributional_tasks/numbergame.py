"""The number game: do people think that a number belongs to a set of which they see a few numbers?

One item for each set and target number with at least nine ratings; the shares are those of Yes and No. A
set's numbers are in the order of the file, and the set is the cluster. Rows with missing values, and ratings
other than 0 and 1, are left out and counted.

Source: Bigelow and Piantadosi, Journal of Open Psychology Data 4 (2016), doi 10.5334/jopd.19.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from spectrum_trl.evaluation.axis_tasks import DistributionalTask, Item, shares
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.sources.numbergame import ANSWERS, FILE, ratings

FEWEST = 9
DESCRIPTION = (
    "Participants in an experiment see some numbers that come from one hidden set, and one more number. Each "
    "answer is by one participant picked at random: Yes if the further number is in the set, else No."
)


def items(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[Item]:
    """Yield the items, in the order in which they first appear."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for each in ratings(data_dir / FILE, dropped=dropped):
        found.setdefault((each.numbers, each.target), Counter())[each.rating] += 1
    for (numbers, target), counts in found.items():
        if counts.total() < FEWEST:
            dropped[f"number with fewer than {FEWEST} ratings"] += 1
            continue
        yield Item(
            description=DESCRIPTION,
            input=f"Seen: {numbers}\nFurther number: {target}",
            candidates=tuple(ANSWERS.values()),
            target=shares([counts[rating] for rating in ANSWERS]),
            group=None,
            cluster=numbers,
            n_answers=counts.total(),
        )


TASKS = (
    DistributionalTask(
        name="numbergame",
        summary="whether a number belongs to a hidden set",
        source=Source(
            name="numbergame",
            title="The number game (Bigelow and Piantadosi)",
            homepage="https://doi.org/10.7910/DVN/A8ZWLF, as a table with the columns set, target, rating "
            "and id",
        ),
        files=(FILE,),
        build=items,
    ),
)
