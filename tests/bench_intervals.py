"""Simulate how often 95% intervals hold the true mean; ``make bench-intervals`` writes docs/intervals.md."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectrum_trl.metrics.intervals import (
    FEWEST,
    FEWEST_UNEQUAL,
    clustered_ends,
    mean_interval,
    stratified_interval,
    worth_of,
)

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]
DOCUMENT = Path(__file__).parents[1] / "docs" / "intervals.md"
NUMBERS = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 60)
# Name to how n values are drawn and their true mean.
VALUES: dict[str, tuple[Draw, float]] = {
    "uniform": (lambda rng, n: rng.uniform(0, 2, n), 1.0),
    "normal": (lambda rng, n: rng.normal(1, 1, n), 1.0),
    "Student, 3 degrees": (lambda rng, n: rng.standard_t(3, n), 0.0),
    "one in ten far off": (
        lambda rng, n: np.where(rng.random(n) < 0.1, rng.normal(5, 1, n), rng.normal(0, 1, n)),
        0.5,
    ),
    "exponential": (lambda rng, n: rng.exponential(1, n), 1.0),
    "gamma, shape 0.5": (lambda rng, n: rng.gamma(0.5, 2, n), 1.0),
    "lognormal, sigma 1": (lambda rng, n: rng.lognormal(0, 1, n), float(np.exp(0.5))),
}
SIZES: dict[str, Draw] = {
    "equal": lambda rng, n: np.ones(n),
    "2 to 31": lambda rng, n: rng.integers(2, 32, n).astype(float),
    "lognormal": lambda rng, n: np.ceil(rng.lognormal(1.5, 1.0, n)),
}


def clusters(rng: np.random.Generator, n: int, *, values: str, sizes: str) -> tuple[Floats, Floats]:
    """Return sums and sizes of n clusters: a level of each, and noise within it where sizes differ."""
    counts = SIZES[sizes](rng, n)
    means = VALUES[values][0](rng, n)
    if sizes != "equal":
        means = means + rng.normal(0, 1, n) / np.sqrt(counts)
    return means * counts, counts


def coverage(n: int, *, values: str, sizes: str, trials: int) -> tuple[float, float]:
    """Return how often the interval holds the mean, however few clusters, and what they are worth."""
    rng, held, worth = np.random.default_rng(n), 0, 0.0
    for trial in range(trials):
        sums, counts = clusters(rng, n, values=values, sizes=sizes)
        low, high = clustered_ends(sums, counts, seed=trial, confidence=0.95)
        held += low <= VALUES[values][1] <= high
        worth += worth_of(counts)
    return held / trials, worth / trials


def share_coverage(n: int, *, rate: float, trials: int) -> float:
    """Return how often the interval of a share of n holds its rate."""
    rng = np.random.default_rng(n)
    drawn = (rng.random((trials, n)) < rate).astype(float)
    found = [mean_interval(row, seed=0, within=(0, 1)) for row in drawn]
    return sum(one.low <= rate <= one.high for one in found) / trials


def strata_coverage(tasks: int, n: int, *, values: str, trials: int) -> tuple[float, float]:
    """Return how often the interval of a mean over tasks of n rows holds it, and how often there is one."""
    rng, held, given = np.random.default_rng(n), 0, 0
    for trial in range(trials):
        strata = [VALUES[values][0](rng, n) * (1 + task % 3) for task in range(tasks)]
        truth = VALUES[values][1] * float(np.mean([1 + task % 3 for task in range(tasks)]))
        _, low, high = stratified_interval(strata, seed=trial)
        given += not np.isnan(low)
        held += low <= truth <= high
    return held / max(given, 1), given / trials


INTRODUCTION = """# How often intervals hold

    make bench-intervals    # minutes; writes this file

How often, of {trials:,} simulated cases each, a 95% interval held the true mean (%): values of light and
heavy tails, in clusters (sequences, questions, people) of equal and unequal sizes. Clusters of unequal
sizes are worth fewer: (sum n)² / sum n², the second column. Means of fewer than {fewest} clusters of
equal size, or of what is worth fewer than {unequal}, have no interval: below that none that was tried
(Student's, with plain and with the jackknife's standard errors, the studentized bootstrap with either,
and the wider of two, which is here) holds the means of heavy tails. The upper rows show what would be
printed otherwise.
"""


def tables(trials: int) -> Iterator[str]:
    """Yield the lines of the document."""
    for sizes in SIZES:
        yield f"\n### Clusters of size: {sizes}\n\n| clusters | worth | {' | '.join(VALUES)} |"
        yield f"|{'---:|' * (len(VALUES) + 2)}"
        for n in NUMBERS:
            found = [coverage(n, values=name, sizes=sizes, trials=trials) for name in VALUES]
            yield f"| {n} | {found[0][1]:.1f} | {' | '.join(f'{100 * share:.1f}' for share, _ in found)} |"
    rates = (0.01, 0.05, 0.1, 0.3, 0.5)
    yield f"\n### Shares\n\n| values | {' | '.join(f'rate {rate}' for rate in rates)} |"
    yield f"|{'---:|' * (len(rates) + 1)}"
    for n in NUMBERS:
        cells = [f"{100 * share_coverage(n, rate=rate, trials=trials):.1f}" for rate in rates]
        yield f"| {n} | {' | '.join(cells)} |"
    yield f"\n### Means over tasks\n\n| tasks | rows each | {' | '.join(VALUES)} |"
    yield f"|{'---:|' * (len(VALUES) + 2)}"
    for tasks, n in ((2, 20), (3, 10), (5, 5), (10, 3), (10, 10), (10, 30), (30, 5)):
        found = [strata_coverage(tasks, n, values=name, trials=trials) for name in VALUES]
        cells = [f"{100 * held:.1f}" if given > 0.5 else "none" for held, given in found]
        yield f"| {tasks} | {n} | {' | '.join(cells)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    lines = [INTRODUCTION.format(trials=trials, fewest=FEWEST, unequal=FEWEST_UNEQUAL), *tables(trials)]
    DOCUMENT.write_text("\n".join(lines) + "\n", encoding="utf-8")
