"""ValuePrism: 31,000 situations, and 218,000 values, rights and duties that bear on them (written by GPT-4).

A row is one consideration: its situation, class (Value, Right or Duty), text, explanation, and whether it
supports or opposes the situation, or could do either. Rows with an unknown class or valence are left out of
tasks that show these, and so are rows that repeat an earlier one.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from spectrum_trl.suite.sequences.builders import Data, Row, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import HubFiles, Source

FILE = "hub/valueprism/full/full.csv"
SOURCE = Source(
    name="valueprism",
    title="ValuePrism",
    licence="AI2 ImpACT License, medium risk (see the dataset page)",
    citation="Sorensen et al., Value Kaleidoscope: Engaging AI with Pluralistic Human Values, Rights, and "
    "Duties, AAAI 2024",
    downloads=(HubFiles(path="hub/valueprism", repo="allenai/ValuePrism", files=("full/full.csv",)),),
    terms="You must sign in on the Hugging Face Hub and accept the dataset's terms on its page, which "
    "restrict the use of the data and of what is made from them.",
    unchecked="No real file was at hand. Columns, classes and the three valences follow programs by "
    "others that read it; the file's name follows the research code.",
)
CLASSES = ("Value", "Right", "Duty")
VALENCES = ("Supports", "Opposes", "Either")
KEYS = ("text", "vrd", "explanation", "valence")
# Minimum rows of a frequent value.
FREQUENT = 10
PAPER_VALUES = 400
PAPER_SEQUENCES = 500

SITUATION_DESCRIPTIONS = (
    "Situations in which somebody acts, or might act, in a few words each.",
    "Actions and situations about which one can reason morally: everyday ones, grave ones and odd ones.",
    "Short descriptions, by different people, of things that one could do and judge as right or wrong.",
)
VRD_DESCRIPTIONS = (
    "Moral reasoning with several perspectives. Input: a situation. Output: a JSON list of what bears on it. "
    "Each entry has a text (a value, right or duty, in a few words), vrd (its class: Value, Right or Duty), "
    "an explanation of how it is connected, and valence (Supports, Opposes or Either).",
    "Which values, rights and duties matter in this situation, why, and do they speak for or against it? The "
    "answer is a JSON list of objects with the keys text, vrd, explanation and valence. vrd is Value, Right "
    "or Duty; valence is Supports, Opposes or, where it depends, Either.",
)
CLASS_DESCRIPTIONS = (
    "A {vrd} that may count when one reasons about what is right, one per output.",
    "Moral considerations of the class {vrd} (the classes are Value, Right and Duty), all different.",
)
VALUE_DESCRIPTIONS = (
    "Situations in which the following value is at stake: {text}.",
    "All these situations have to do with one value, “{text}”.",
)


def _unique(
    data: Data,
    columns: Sequence[str],
    *,
    key: Sequence[str],
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[dict[str, str]]:
    """Yield rows without empty cells and with these labels, only the first with each key."""
    labels = labels or {}
    seen: set[tuple[str, ...]] = set()
    for row in data.table(FILE, columns):
        cells = {column: text(cell) for column, cell in row.items()}
        found = tuple(cells[column] for column in key)
        if empty := [column for column, cell in cells.items() if not cell]:
            data.dropped[f"row without {empty[0]}"] += 1
        elif wrong := [column for column, allowed in labels.items() if cells[column] not in allowed]:
            data.dropped[f"{wrong[0]} that is not one of {', '.join(labels[wrong[0]])}"] += 1
        elif found in seen:
            data.dropped[f"same {' and '.join(key)} as an earlier row"] += 1
        else:
            seen.add(found)
            yield cells


def _considerations(data: Data) -> Iterator[Row]:
    """Yield each situation with its considerations, in random order, as JSON."""
    found: dict[str, list[dict[str, str]]] = {}
    key = ("situation", "vrd", "text")
    labels = {"vrd": CLASSES, "valence": VALENCES}
    for row in _unique(data, ("situation", *KEYS), key=key, labels=labels):
        found.setdefault(row["situation"], []).append({column: row[column] for column in KEYS})
    for situation, considerations in found.items():
        order = np.random.default_rng([data.seed, *situation.encode()]).permutation(len(considerations))
        mixed = [considerations[place] for place in order]
        yield {"situation": situation, "considerations": json.dumps(mixed, ensure_ascii=False)}


def _values(data: Data) -> list[str]:
    """Return the texts of class Value with enough rows, in the order of the file."""
    counts: Counter[str] = Counter()
    for row in data.table(FILE, ("vrd", "text")):
        if text(row["vrd"]) == "Value":
            counts[text(row["text"])] += 1
    return [value for value, count in counts.items() if count >= FREQUENT]


def _of_values(data: Data, *, most: int | None = None) -> Iterator[Row]:
    """Yield the different situations of frequent values, of ``most`` of them drawn at random."""
    # Malformed rows are counted below.
    values = _values(replace(data, dropped=Counter()))
    order = np.random.default_rng([data.seed, *b"valueprism_misc"]).permutation(len(values))
    kept = {values[place] for place in order[:most]}
    rows = _unique(data, ("text", "situation"), key=("text", "situation"))
    return data.keep(rows, lambda row: row["text"] in kept, reason="not a value that is used")


task = partial(declared_task, source=SOURCE, kind="generation", files=(FILE,))
TASKS = [
    task(
        "valueprism_situation",
        summary="situations to reason about morally",
        rows=partial(_unique, columns=("situation",), key=("situation",)),
        output="situation",
        descriptions=SITUATION_DESCRIPTIONS,
        mean_length=256,
        repeats=("valueprism_misc",),
    ),
    task(
        "valueprism_vrd",
        summary="values, rights and duties that bear on a situation",
        paper={"most": PAPER_SEQUENCES},
        rows=_considerations,
        input="situation",
        output="considerations",
        descriptions=VRD_DESCRIPTIONS,
        mean_length=32,
    ),
    task(
        "valueprism_vrds_noncontextual",
        summary="values, rights or duties without a situation",
        file=FILE,
        group_by=("vrd",),
        output="text",
        keep={"vrd": CLASSES},
        unique=True,
        descriptions=CLASS_DESCRIPTIONS,
        mean_length=256,
    ),
    task(
        "valueprism_misc",
        summary="situations in which a given value is at stake",
        paper={"rows": partial(_of_values, most=PAPER_VALUES), "draws": 1},
        rows=_of_values,
        group_by=("text",),
        output="situation",
        descriptions=VALUE_DESCRIPTIONS,
        mean_length=32,
        repeats=("valueprism_situation",),
    ),
]
