"""Makes and models of cars sold in the USA since 1992, checked against a table.

An answer is valid only if it is a make, or a make and its model, and nothing else (published: any text that
contains both, so every text with ``BMW`` was a BMW M, and trims counted as different answers). Case, white
space, punctuation and model years are ignored. The table lists pickups and vans by cab, body and payload
(``F150 Super Cab``); their plain models (``F-150``) are valid too, and so are common short names of makes.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from spectrum_trl.evaluation.axis_tasks import prompted
from spectrum_trl.suite.reading.tables import csv_rows
from spectrum_trl.suite.source import Source, github

FOLDER = "diverse_valid_data/us-car-models-data"
FILES = f"{FOLDER}/*.csv"
SHORT = {"chevy": "chevrolet", "mercedes": "mercedesbenz", "vw": "volkswagen"}
# Names that have another form in the table.
SAME = {"mazdamiata": "mazdamx5miata", "mazdamx5": "mazdamx5miata"}
# A make may be part of the model's own name: Mazda MAZDA3, Mercedes-Benz Mercedes-AMG GT.
MAKES_IN_MODELS = (
    ("mazdamazda", "mazda"),
    ("mercedesbenzbenz", "mercedesbenz"),
    ("mercedesbenzmercedesamg", "mercedesamg"),
    ("mercedesbenzamg", "mercedesamg"),
)
_YEAR = re.compile(r"^(?:19|20)[0-9]{2}\s+|\s+(?:19|20)[0-9]{2}$")
_QUALIFIER = re.compile(r"\s*\([^)]*\)")
_CABS = "access|club|crew|double|extended|king|mega|quad|regular|single|super|supercrew|xtra"
_BODY = re.compile(
    rf"(?:(?:^| )(?:{_CABS}|macro|coupe|cargo|passenger|window))*"
    r" ?\b(?:cab|supercab|supercrew|crewmax|xtracab|cargo|passenger|crew|van|wagon)(?: plus)?$"
)
_PAYLOAD = re.compile(r"(?: ?\b(?:[0-9]{3,4}(?:xd)?|hd|xd|ld|limited|super duty))+$")


def brand(text: str) -> str:
    """Return the canonical form of a make."""
    key = _joined(text)
    return SHORT.get(key, key)


def car(text: str) -> str:
    """Return the canonical form of a make with its model."""
    text = _YEAR.sub("", " ".join(text.split()))
    words = text.split()
    key = _joined("".join([brand(words[0]), *words[1:]])) if words else ""
    for written, meant in MAKES_IN_MODELS:
        key = key.replace(written, meant)
    return SAME.get(key, key)


def names(make: str, model: str) -> Iterator[str]:
    """Yield a make with its model as in the table, and with the model without cab, body and payload."""
    model = _QUALIFIER.sub("", model).casefold().strip()
    shorter = _BODY.sub("", model).strip()
    # Some rows have a cab in place of a model.
    if shorter or not model.endswith("cab"):
        yield car(f"{make} {model}")
    if shorter != model:
        yield from (car(f"{make} {left}") for left in (shorter, _PAYLOAD.sub("", shorter).strip()) if left)


@cache
def _brands(data_dir: Path) -> frozenset[str]:
    return frozenset(brand(row["make"]) for row in _rows(data_dir))


@cache
def _cars(data_dir: Path) -> frozenset[str]:
    return frozenset(name for row in _rows(data_dir) for name in names(row["make"], row["model"]))


def _rows(data_dir: Path) -> Iterator[dict[str, str]]:
    for path in sorted(data_dir.glob(FILES)):
        yield from csv_rows(path, ("make", "model"))


def _joined(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


SOURCE = Source(
    name="us-car-models-data",
    title="abhionlyone/us-car-models-data",
    homepage="https://github.com/abhionlyone/us-car-models-data",
    licence="CC BY 4.0",
    downloads=github(
        "abhionlyone/us-car-models-data",
        "b943b86f8f695cb2167491a82cccd9fa2eb5603f",
        {f"{FOLDER}/{year}.csv": f"{year}.csv" for year in range(1992, 2027)},
    ),
)

TASKS = (
    prompted("car_brand", read=_brands, canonical=brand, source=SOURCE, files=(FILES,)),
    prompted("car_make_model", read=_cars, canonical=car, source=SOURCE, files=(FILES,)),
)
