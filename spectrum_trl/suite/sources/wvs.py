"""World Values Survey, wave 7 (2017 to 2022): answers of people in some 60 countries.

The file has SPSS format. Its dictionary is read first, then the columns needed, some thousand rows at a time.
Question texts are the column labels. Codes below zero (do not know, no answer, not asked, and so on) and
those that the file declares missing are neither options nor answers. A person's name is their row number.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple

import numpy as np
import pyreadstat

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.suite.reading.files import lacking_columns, unreadable
from spectrum_trl.suite.sequences.builders import Row, Sequences, grouped, text
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import Data, Task

FILE = "wvs/WVS_Cross-National_Wave_7_inverted_sav_v6_0.sav"
SOURCE = Source(
    name="wvs",
    title="World Values Survey, wave 7",
    homepage="https://www.worldvaluessurvey.org/WVSDocumentationWV7.jsp",
    licence="World Values Survey's conditions of use: no commercial use, not to be passed on",
    citation="Haerpfer et al. (eds.), World Values Survey: Round Seven - Country-Pooled Datafile, version "
    "6.0, JD Systems Institute and WVSA Secretariat, doi 10.14281/18241.24",
    terms="The data are for research and teaching, not for profit. They must be cited and may not be "
    "redistributed.",
    steps=(
        "Open https://www.worldvaluessurvey.org/WVSDocumentationWV7.jsp.",
        "Choose WVS Cross-National Inverted Wave 7, the SPSS file of version 6.0, and fill in the form.",
        "Unpack WVS_Cross-National_Wave_7_inverted_sav_v6_0.sav into the folder wvs of the data folder.",
    ),
    unchecked="No real file was at hand. File and column names follow the research code and programs by "
    "others, which also treat codes below zero as missing.",
)
# Columns about the person, in words.
TRAITS = {"B_COUNTRY": "country", "N_TOWN": "town", "S_INTLANGUAGE": "language of the interview"}
LEFT_OUT = ("Q261", "Q262", "Q270", "Q274")
MOST_LABELS = 17
PAPER_RESPONDENTS = 2000
CHUNK_ROWS = 5000

DESCRIPTIONS = (
    "One person answers the questions of a worldwide survey on values. Input: a question and its options. "
    "Output: the letter of this person's answer.",
    "Given a question and lettered options, the output is the letter that one and the same respondent chose.",
)
TRAITS_DESCRIPTIONS = (
    "Answers to multiple-choice questions on values and beliefs by one respondent of the World Values Survey "
    "({traits}), as letters.",
    "A person took part in the World Values Survey. Known of them: {traits}. Each output is the letter of "
    "the option that they chose.",
)


class Question(NamedTuple):
    """A column: the question as shown, and the letter of each code."""

    column: str
    shown: str
    letters: dict[float, str]


class Survey(NamedTuple):
    """The contents of the file's dictionary."""

    n_rows: int
    questions: list[Question]
    traits: dict[str, dict[float, str]]


def _labels(meta: Any, column: str) -> dict[float, str]:
    """Return the labels of a column's codes that are not missing, the highest code first."""
    ranges = meta.missing_ranges.get(column, [])
    found = meta.variable_value_labels.get(column, {})
    return {
        code: text(found[code])
        for code in sorted((code for code in found if isinstance(code, int | float)), reverse=True)
        if text(found[code]) and code >= 0 and not any(each["lo"] <= code <= each["hi"] for each in ranges)
    }


def survey(path: Path) -> Survey:
    """Return the questions of the file that have options, and the labels of the traits."""
    meta = _read(path, metadataonly=True, user_missing=True)[1]
    refuse(lacking_columns(str(path), tuple(TRAITS), meta.column_names))
    questions = []
    for column in meta.column_names:
        labels, asked = _labels(meta, column), text(meta.column_names_to_labels.get(column))
        n_labels = len(meta.variable_value_labels.get(column, {}))
        if column.startswith("Q") and column not in LEFT_OUT and asked and n_labels <= MOST_LABELS:
            letters = dict(zip(labels, ascii_uppercase, strict=False))
            lines = (f"{letters[code]}. {label}" for code, label in labels.items())
            if len(labels) > 1:
                questions.append(Question(column, "\n".join((asked, "Options:", *lines)), letters))
    if not questions or not meta.number_rows:
        raise UserError(f"{path} holds no questions with labelled options, or no rows: fetch it again")
    return Survey(int(meta.number_rows), questions, {column: _labels(meta, column) for column in TRAITS})


def _read(path: Path, **options: Any) -> tuple[Any, Any]:
    if not path.exists():
        raise unreadable(path, "SPSS", FileNotFoundError())
    try:
        return pyreadstat.read_sav(path, **options)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, OSError) as error:
        raise unreadable(path, "SPSS", error) from None


def _people(path: Path, found: Survey) -> Iterator[Row]:
    """Yield the codes of each person; missing ones are None or NaN."""
    columns = [*(question.column for question in found.questions), *found.traits]
    for start in range(0, found.n_rows, CHUNK_ROWS):
        chunk, _ = _read(path, usecols=columns, row_offset=start, row_limit=CHUNK_ROWS, output_format="dict")
        for codes in zip(*(chunk[column] for column in columns), strict=True):
            yield dict(zip(columns, codes, strict=True))


def _answers(person: Row, questions: list[Question], data: Data) -> Iterator[Row]:
    """Yield a person's answers."""
    for question in questions:
        code = person[question.column]
        if code is None or not code >= 0:
            data.dropped["question not asked or not answered"] += 1
        elif code not in question.letters:
            data.dropped["answer without a label"] += 1
        else:
            yield {"question": question.shown, "letter": question.letters[code]}


def _known(person: Row, traits: Mapping[str, Mapping[float, str]]) -> str:
    """Return a person's known traits, in words."""
    known = ((TRAITS[column], labels.get(person[column], "")) for column, labels in traits.items())
    return ", ".join(f"{words}: {label}" for words, label in known if label)


def build(data: Data, *, most: int | None = None) -> Sequences:
    """Build one sequence per respondent, or for ``most`` of them."""
    path = data.folder / FILE
    found = survey(path)
    order = np.random.default_rng([data.seed, *b"wvs_individual"]).permutation(found.n_rows)
    drawn = None if most is None else set(order[:most].tolist())
    for row, person in enumerate(_people(path, found)):
        if drawn is not None and row not in drawn:
            data.dropped["respondent who was not drawn"] += 1
            continue
        traits = _known(person, found.traits)
        yield from grouped(
            _answers(person, found.questions, data),
            data,
            group_by="person",
            constants={"person": str(row), "traits": traits},
            input="question",
            output="letter",
            descriptions=DESCRIPTIONS + (TRAITS_DESCRIPTIONS if traits else ()),
        )


TASKS = [
    Task(
        name="wvs_individual",
        summary="one respondent's answers to questions on values",
        source=SOURCE,
        kind="individual",
        split="test",
        files=(FILE,),
        build=build,
        paper=partial(build, most=PAPER_RESPONDENTS),
    ),
]
