"""First names of children born in the United States, by year and sex (Social Security Administration).

Each sequence is a draw without replacement from the most common names: of one sex or half of each, of one
year (recent years likelier, linear in rank) or of all, with equal probabilities or in proportion to the
number of children. If the files hold fewer names than a draw needs, the description gives their number.
"""

import numpy as np
import pandas as pd

from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.reading.tables import csv_rows, whole_numbers
from spectrum_trl.suite.sequences.builders import Sequences, iid
from spectrum_trl.suite.source import Download, Source
from spectrum_trl.suite.task import Data, Task

SOURCE = Source(
    name="babynames",
    title="US Social Security Administration, names.zip",
    homepage="https://www.ssa.gov/oact/babynames/limits.html",
    licence="unstated (public data of the Social Security Administration)",
    citation="Social Security Administration, Popular Baby Names: national data by year of birth",
    downloads=(Download(path="baby_names", url="https://www.ssa.gov/oact/babynames/names.zip", is_zip=True),),
    # Its server is known to reject programs.
    steps=(
        "Open https://www.ssa.gov/oact/babynames/limits.html and download the national data, names.zip.",
        "Unpack yob1880.txt and so on into the folder baby_names of the data folder.",
    ),
    unchecked="The archive itself, which grows by a file each year. The first 1,000 names of each sex and "
    "year from 1880 to 2023 were checked, in files of the same layout.",
)

FILES = "baby_names/yob[0-9][0-9][0-9][0-9].txt"
DRAWS = 500
TOP = (10, 100, 1000, 5000)
SEXES = {"F": "girls", "M": "boys"}
EQUAL, PROPORTIONAL = "each name equally likely", "in proportion to how many children were given the name"

DESCRIPTIONS = (
    "First names of {whom} born in the United States {when}, drawn from {which}, {how}, without repetition.",
    "Draw names at random from {which} born in the United States {when}. How: {how}; no name comes twice.",
    "US baby names {when}. Taken from: {which}. Chances: {how}. Sampled without replacement.",
)


def _read(data: Data) -> pd.DataFrame:
    """Return name, sex, count and year of every usable row of every file."""
    tables = []
    for path in sorted(data.folder.glob(FILES)):
        rows = csv_rows(path, ("name", "sex", "count"), header=False)
        tables.append(
            pd.DataFrame(whole_numbers(rows, ("count",), path=path)).assign(year=int(path.stem[3:]))
        )
    names = pd.concat(tables, ignore_index=True)
    usable = names["sex"].isin(SEXES) & names["name"].str.strip().ne("") & names["count"].gt(0)
    data.dropped["row without a name, a known sex or a count"] += int((~usable).sum())
    return names[usable]


def _ranked(names: pd.DataFrame) -> dict[str, pd.Series]:
    """Return, for each sex, the number of children by name, the most common first."""
    # Grouping sorts the names, a stable sort keeps that order among names equally common.
    totals = names.groupby(["sex", "name"])["count"].sum().sort_values(ascending=False, kind="stable")
    return {sex: totals.xs(sex, level="sex") for sex in SEXES}


def _most_common(ranked: dict[str, pd.Series], *, sexes: list[str], top: int) -> tuple[pd.Series, str]:
    """Return the number of children by name, and a phrase that says which names these are."""
    parts = {sex: ranked[sex].head(top // len(sexes)) for sex in sexes}
    which = " and ".join(
        f"the {len(part):,} most common names of {SEXES[sex]}" for sex, part in parts.items()
    )
    return pd.concat(parts.values()).groupby(level=0, sort=False).sum(), which


def build(data: Data) -> Sequences:
    """Build 500 draws of names."""
    names = _read(data)
    years = np.sort(names["year"].unique())
    by_year = {year: _ranked(table) for year, table in names.groupby("year")}
    always = _ranked(names)
    recent = np.arange(1, len(years) + 1)
    for draw in range(DRAWS):
        rng = stream(data.seed, task="babynames", purpose="draw", id=draw)
        sexes = [["F"], ["M"], ["F", "M"]][rng.integers(3)]
        how = (EQUAL, PROPORTIONAL)[rng.integers(2)]
        top = TOP[rng.integers(len(TOP))]
        year = rng.choice(years, p=recent / recent.sum()) if rng.integers(2) else None
        counts, which = _most_common(always if year is None else by_year[year], sexes=sexes, top=top)
        description = DESCRIPTIONS[rng.integers(len(DESCRIPTIONS))].format(
            whom=" and ".join(SEXES[sex] for sex in sexes),
            when=f"from {years[0]} to {years[-1]}" if year is None else f"in {year}",
            which=which,
            how=how,
        )
        # Sorting by exponential waiting times equals drawing without replacement.
        rates = counts.to_numpy() if how == PROPORTIONAL else np.ones(len(counts))
        order = np.argsort(rng.exponential(size=len(counts)) / rates)
        yield str(draw), iid(counts.index[order], description=description)


TASKS = [
    Task(
        name="babynames",
        summary="first names of children born in the USA, by year and sex",
        source=SOURCE,
        kind="generation",
        files=(FILES,),
        build=build,
    )
]
