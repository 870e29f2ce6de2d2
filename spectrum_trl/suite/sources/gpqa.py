"""GPQA: expert-written questions on biology, physics and chemistry, the main set; never stored in plain text.

The authors ask not to publish the questions in the open, to keep them out of training data. The archive
therefore stays compressed and password-protected, as published; its table is read in memory, with the
password from the environment. Choices are shuffled separately for each question, by the seed.
"""

import csv
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spectrum_trl.errors import MissingData, UserError, refuse
from spectrum_trl.suite.reading.files import lacking_columns, unreadable
from spectrum_trl.suite.sequences.builders import Data, Row, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, github
from spectrum_trl.suite.sources.multiple_choice import Item, asked, letter

ARCHIVE, TABLE = "gpqa/dataset.zip", "gpqa_main.csv"
PLAIN = (f"gpqa/{TABLE}", f"gpqa/dataset/{TABLE}")
# The archive, or a table that a user has unpacked: a .zip or a .csv.
FILES = "gpqa/**/*.[cz][si][vp]"
PASSWORD = "SPECTRUM_GPQA_PASSWORD"
STEP = f"Set the environment variable {PASSWORD} to the password in the README of github.com/idavidrein/gpqa"
SOURCE = Source(
    name="gpqa",
    title="GPQA (idavidrein/gpqa)",
    licence="CC BY 4.0",
    citation="Rein et al., GPQA: A Graduate-Level Google-Proof Q&A Benchmark, COLM 2024, 2311.12022",
    downloads=github("idavidrein/gpqa", "56686c06f5e19865c153de0fdb11be3890014df7", {ARCHIVE: "dataset.zip"}),
    private=True,
    terms="The authors ask not to reveal questions of this set in the open, as text or as pictures, to keep "
    "them out of training data. Do not publish what is built from it.",
    steps=(
        "Fetch it: the archive stays compressed and password-protected.",
        f"{STEP}; it is read each time, and the questions are never written to disk in plain text.",
        f"Or, if you have the table in plain text already, put it at {PLAIN[0]}.",
    ),
    unchecked="The columns Question, Correct Answer and Incorrect Answer 1 to 3, and the place "
    f"dataset/{TABLE} in the archive, taken from code by others, as are the commit and "
    "the checksum of the archive.",
)
WRONG = tuple(f"incorrect answer {number}" for number in (1, 2, 3))
COLUMNS = ("question", "correct answer", *WRONG)

DESCRIPTIONS = (
    "Hard questions of biology, physics and chemistry, at the level of doctoral students, each with lettered "
    "choices. Output: the letter of the right one.",
    "Multiple choice in natural science, written by experts so that a search does not help. Each answer is "
    "one capital letter.",
    "For each question, A, B, C or D: the choice that is correct.",
)


def _protected(path: Path) -> bytes:
    """Read the table from the archive, which stays packed."""
    password = os.environ.get(PASSWORD, "")
    if not password:
        raise UserError(f"{path} is protected. {STEP}")
    try:
        with zipfile.ZipFile(path) as archive:
            inside = next((each for each in archive.namelist() if each.rpartition("/")[2] == TABLE), None)
            if inside is None:
                raise UserError(f"{path} has no {TABLE}. It has: {', '.join(archive.namelist())}")
            return archive.read(inside, pwd=password.encode())
    except (RuntimeError, zlib.error, zipfile.BadZipFile, OSError) as error:
        if "password" in str(error) or isinstance(error, zlib.error) or "CRC" in str(error):
            raise UserError(f"{path} does not open with {PASSWORD}. {STEP}") from None
        raise unreadable(path, "ZIP", error) from None


def _table(data: Data) -> tuple[Path, str]:
    """Return the table's text, and the file it is from."""
    plain = next((data.folder / each for each in PLAIN if (data.folder / each).is_file()), None)
    path = plain or data.folder / ARCHIVE
    if not path.is_file():
        raise MissingData(f"{path} does not exist: fetch gpqa, or put the table at {data.folder / PLAIN[0]}")
    try:
        return path, (path.read_bytes() if plain else _protected(path)).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise unreadable(path, "UTF-8 text", error) from None


def _rows(data: Data) -> Iterator[Row]:
    path, content = _table(data)
    try:
        header, *rows = csv.reader(io.StringIO(content, newline=""))
    except (csv.Error, ValueError) as error:
        raise unreadable(path, "CSV", error) from None
    header = [name.strip().lower() for name in header]
    refuse(lacking_columns(str(path), COLUMNS, header))
    for row in filter(None, rows):
        if len(row) == len(header):
            yield dict(zip(header, row, strict=True))
        else:
            data.dropped["row with another number of fields than the header"] += 1


def _items(data: Data) -> Iterator[Item]:
    """Yield the questions, each with its choices shuffled."""
    for row in _rows(data):
        question, right = text(row["question"]), text(row["correct answer"])
        if not right:
            data.dropped["question without its correct answer"] += 1
            continue
        choices = [right, *filter(None, (text(row[each]) for each in WRONG))]
        order = np.random.default_rng([data.seed, *question.encode()]).permutation(len(choices))
        yield Item(question, [choices[place] for place in order], letter(int(np.argmin(order))))


TASKS = [
    declared_task(
        "gpqa",
        source=SOURCE,
        kind="knowledge",
        split="test",
        summary="correct answers to hard science questions",
        files=(FILES,),
        paper={"draws": 1000},
        rows=lambda data: asked(_items(data), data),
        input="question",
        output="answer",
        descriptions=DESCRIPTIONS,
        length=20,
    )
]
