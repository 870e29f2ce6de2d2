"""Ratings of films by Netflix customers, 1998 to 2005 (the Netflix Prize): 100 million, of 480,000 people.

The four files are read twice in blocks: first to count each customer's ratings, then to collect those of
2,000 customers drawn with the seed. Lines that are neither a film nor a rating are counted with their
numbers, and so are ratings below an unreadable film line; of two ratings of a film by the same customer, the
first is used. Ten million artificial ratings take three seconds and 270 MB in all.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spectrum_trl.errors import UserError
from spectrum_trl.suite.reading.files import unreadable
from spectrum_trl.suite.sequences.builders import Sequences, grouped, text
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import Data, Task

RATINGS = tuple(f"netflix/combined_data_{part}.txt" for part in range(1, 5))
TITLES = "netflix/movie_titles.csv"
SOURCE = Source(
    name="netflix",
    title="Netflix Prize data",
    homepage="https://www.kaggle.com/datasets/netflix-inc/netflix-prize-data",
    licence="Netflix Prize rules: research only, not to be passed on",
    citation="Bennett and Lanning, The Netflix Prize, KDD Cup and Workshop 2007",
    terms="The data are for research. They may not be redistributed or used to identify customers.",
    steps=(
        "Sign in at kaggle.com and open https://www.kaggle.com/datasets/netflix-inc/netflix-prize-data.",
        "Download the archive, about 700 MB.",
        "Unpack combined_data_1.txt to combined_data_4.txt and movie_titles.csv into the folder netflix of "
        "the data folder.",
    ),
    size=2_100_000_000,
    unchecked="No real file was at hand. The layout follows the dataset's description and loaders by others.",
)
CUSTOMERS = 2000
FEWEST = 10
# The paper's number of customers who rate.
PAPER_CUSTOMERS = 1000
BLOCK_BYTES = 8 * 2**20
# Films have up to 5 digits and customers up to 7.
DIGITS = 7
NUMBERS = 10**DIGITS
# After the customer's number: a comma, the stars, a comma, and a date of ten characters.
TAIL = 13
SHOWN = 3
NEWLINE, RETURN, COMMA, COLON, ZERO = b"\n\r,:0"

RATING_DESCRIPTIONS = (
    "One Netflix customer rates films and series with 1 to 5 stars, 5 for the best. Input: a title. Output: "
    "the number of stars.",
    "Given the title of a film, how did this user of a video rental service rate it?",
)
VIEW_DESCRIPTIONS = (
    "Titles of films and series that one and the same Netflix customer has seen and rated.",
    "What one person watched, as far as their ratings on Netflix tell: one title each time, in no order.",
)


class Ratings(NamedTuple):
    """Ratings of one block: three arrays of the same length."""

    films: np.ndarray
    customers: np.ndarray
    stars: np.ndarray


def titles(path: Path, *, dropped: Counter[str]) -> dict[int, str]:
    """Return the title of each film, with its year where several films share the title.

    Args:
        path: Lines of number, year and title in Latin-1; a title may contain commas.
        dropped: Receives the number of other lines.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise unreadable(path, "text", error) from None
    found: dict[int, tuple[str, str]] = {}
    for line in filter(bytes.strip, lines):
        number, _, rest = line.decode("latin-1").partition(",")
        year, _, title = rest.partition(",")
        if number.isdecimal() and len(number) <= DIGITS and text(title):
            found[int(number)] = text(year), text(title)
        else:
            dropped[f"line of {path.name} that is not number, year, title"] += 1
    if not found:
        raise UserError(f"{path} holds no titles: fetch it again")
    shared = Counter(title for _, title in found.values())
    return {
        number: f"{title} ({year})" if shared[title] > 1 and year.isdecimal() else title
        for number, (year, title) in found.items()
    }


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the file in parts of whole lines."""
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES) + file.readline():
                yield block if block.endswith(b"\n") else block + b"\n"
    except OSError as error:
        raise unreadable(path, "text", error) from None


def _numbers(raw: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Return the numbers between starts and stops; 0 for anything but a number of up to `DIGITS` digits."""
    widths = stops - starts
    good = (widths >= 1) & (widths <= DIGITS)
    numbers = np.zeros(len(starts), dtype=np.int64)
    for place in range(DIGITS):
        # Characters below "0" wrap around to large values.
        digits = raw[np.maximum(stops - 1 - place, 0)] - np.uint8(ZERO)
        inside = place < widths
        good &= ~inside | (digits <= 9)
        numbers += np.where(inside, digits, 0).astype(np.int64) * 10**place
    return np.where(good, numbers, 0)


def _parsed(block: bytes, film: int) -> tuple[Ratings, int, np.ndarray]:
    """Parse a block; return its ratings, the current film at its end, and the offsets of malformed lines."""
    raw = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(raw == NEWLINE)
    starts = np.concatenate(([0], ends[:-1] + 1))
    ends = ends - ((raw[ends - 1] == RETURN) & (ends > starts))
    filled = ends > starts
    heads = filled & (raw[ends - 1] == COLON)
    stops = np.where(heads, ends - 1, ends - TAIL)
    numbers = _numbers(raw, starts, stops)
    latest = np.maximum.accumulate(np.where(heads, np.arange(len(heads)), -1))
    films = np.where(latest >= 0, numbers[latest], film)
    lines = np.flatnonzero(~heads & (numbers > 0) & (films > 0))
    stops = stops[lines]
    stars = raw[stops + 1] - np.uint8(ZERO)
    good = (raw[stops] == COMMA) & (raw[stops + 2] == COMMA) & (stars >= 1) & (stars <= 5)
    rated = lines[good]
    filled[rated] = filled[heads & (numbers > 0)] = False
    return Ratings(films[rated], numbers[rated], stars[good]), int(films[-1]), np.flatnonzero(filled)


def ratings(paths: Sequence[Path], *, dropped: Counter[str]) -> Iterator[Ratings]:
    """Yield the ratings of files in blocks, in the order of the files.

    Args:
        paths: Files in which a line with a film's number and a colon precedes that film's ratings, which are
            lines of customer, stars and date.
        dropped: Receives the number of lines that are neither, with the first line numbers.
    """
    for path in paths:
        film, n_lines, count, first = 0, 0, 0, list[int]()
        for block in _blocks(path):
            found, film, broken = _parsed(block, film)
            count += len(broken)
            first = [*first, *(int(place) + n_lines + 1 for place in broken[:SHOWN])][:SHOWN]
            n_lines += block.count(b"\n")
            yield found
        if count:
            places = ", ".join(map(str, first)) + (", …" if count > len(first) else "")
            dropped[f"line that is neither a film nor a rating of one ({path.name}: {places})"] += count


def _counts(paths: Sequence[Path], titled: np.ndarray, *, dropped: Counter[str]) -> np.ndarray:
    """Return how many films with a title each customer rated."""
    counts = np.zeros(NUMBERS, dtype=np.int32)
    for block in ratings(paths, dropped=dropped):
        known = titled[block.films]
        dropped["rating of a film without a title"] += int((~known).sum())
        customers, times = np.unique(block.customers[known], return_counts=True)
        counts[customers] += times.astype(np.int32)
    if not counts.any():
        raise UserError(f"{paths[0].parent} holds no ratings of films with a title: fetch the files again")
    return counts


def _drawn(counts: np.ndarray, data: Data) -> np.ndarray:
    """Return for each customer number whether the customer was drawn."""
    able = np.flatnonzero(counts >= FEWEST)
    rng = np.random.default_rng([data.seed, *b"netflix"])
    chosen = np.zeros(NUMBERS, dtype=bool)
    chosen[rng.choice(able, size=min(CUSTOMERS, len(able)), replace=False)] = True
    few = int(counts[counts < FEWEST].sum())
    data.dropped[f"rating by a customer with fewer than {FEWEST}"] += few
    data.dropped["rating by a customer who was not drawn"] += int(counts.sum() - few - counts[chosen].sum())
    return chosen


def _collected(paths: Sequence[Path], titled: np.ndarray, chosen: np.ndarray) -> Iterator[Ratings]:
    """Yield the ratings of each chosen customer, in the order in which customers and films appear."""
    parts = []
    # The first pass has already counted malformed lines.
    for block in ratings(paths, dropped=Counter()):
        wanted = chosen[block.customers] & titled[block.films]
        parts.append(Ratings(*(column[wanted] for column in block)))
    films, customers, stars = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(customers, kind="stable")
    _, first = np.unique(customers[order], return_index=True)
    places = np.split(order, first[1:])
    for place in sorted(places, key=lambda each: int(each[0])) if len(order) else ():
        yield Ratings(films[place], customers[place], stars[place])


def build(data: Data, *, views: bool, draws: int | None = None, most: int | None = None) -> Sequences:
    """Build sequences of about 64 ratings, or with ``views`` films, of one customer."""
    names = titles(data.folder / TITLES, dropped=data.dropped)
    titled = np.zeros(NUMBERS, dtype=bool)
    titled[list(names)] = True
    paths = [data.folder / path for path in RATINGS]
    chosen = _drawn(_counts(paths, titled, dropped=data.dropped), data)
    for each in islice(_collected(paths, titled, chosen), most):
        films, first = np.unique(each.films, return_index=True)
        data.dropped["film that the customer rated before"] += len(each.films) - len(films)
        first.sort()
        yield from grouped(
            (
                {
                    "customer": str(each.customers[place]),
                    "title": names[int(each.films[place])],
                    "stars": star,
                }
                for place, star in zip(first, each.stars[first].tolist(), strict=True)
            ),
            data,
            group_by="customer",
            input=None if views else "title",
            output="title" if views else "stars",
            descriptions=VIEW_DESCRIPTIONS if views else RATING_DESCRIPTIONS,
            mean_length=64,
            draws=draws,
        )


task = partial(Task, source=SOURCE, kind="individual", files=(*RATINGS, TITLES))
TASKS = [
    task(
        name="netflix_individual_ratings",
        summary="one customer's ratings of films",
        build=partial(build, views=False),
        paper=partial(build, views=False, draws=1, most=PAPER_CUSTOMERS),
    ),
    task(
        name="netflix_individual_views",
        summary="films that one customer has seen",
        build=partial(build, views=True),
        paper=partial(build, views=True, draws=1),
    ),
]
