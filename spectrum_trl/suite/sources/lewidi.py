"""LeWiDi 2025 (learning with disagreements): labels by single annotators; train and dev files together.

Only four people annotated VariErrNLI, each some 400 pairs: their labels are cut into sequences of about 12,
or most of them would never fit into a training sequence. Where an annotator gave a pair several labels, the
output holds them all, in alphabetical order, joined by a comma and a space.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from spectrum_trl.suite.builders import Built, Row, grouped, text
from spectrum_trl.suite.lengths import sequence_length
from spectrum_trl.suite.tables import json_file, json_rows
from spectrum_trl.suite.task import Task

SOURCE = "LeWiDi 2025 shared task"
NLI = "lewidi/VariErrNLI/VariErrNLI"

NLI_DESCRIPTIONS = (
    "One annotator{who} judges what a context says about a statement: entailment (the statement is true), "
    "contradiction (it is false) or neutral (neither). Where several readings are possible, the annotator "
    "may give several labels, separated by commas.",
    "Natural language inference as seen by a single person{who}. Output: entailment, neutral or "
    "contradiction, or more than one of them where the person found more than one fitting.",
    "Does the context entail the statement, contradict it, or leave it open (neutral)? All answers are by "
    "the same annotator{who}; a pair may have several labels.",
)


def _annotations(data_dir: Path, name: str) -> Iterator[Row]:
    """Yield one row per annotator and item, with the item's texts and the annotator's traits in words."""
    people = json_file(data_dir / f"{name}_annotators_meta.json", relaxed=True)
    traits = {
        person: f" ({', '.join(f'{key.lower()}: {text(value)}' for key, value in known.items())})"
        for person, known in people.items()
    }
    for part in ("train", "dev"):
        for item in json_rows(data_dir / f"{name}_{part}.json", ("text", "annotations")):
            for person, label in item["annotations"].items():
                yield {**item["text"], "person": person, "label": label, "who": traits.get(person, "")}


def nli_categorical(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Built:
    """Build sequences of one annotator's labels of pairs of context and statement."""
    yield from grouped(
        _annotations(data_dir, NLI),
        group_by="person",
        input={"context": "context", "statement": "statement"},
        output=lambda row: ", ".join(sorted(text(label) for label in row["label"].split(","))),
        descriptions=NLI_DESCRIPTIONS,
        length=partial(sequence_length, mean=12),
        seed=seed,
        dropped=dropped,
    )


TASKS = [
    Task(
        name="lewidi_varierrnli_nli_detection_individual_categorical",
        summary="one annotator's labels of pairs of sentences",
        source=SOURCE,
        kind="individual",
        split="train",
        files=(f"{NLI}_train.json", f"{NLI}_dev.json", f"{NLI}_annotators_meta.json"),
        build=nli_categorical,
    )
]
