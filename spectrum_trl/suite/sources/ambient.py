"""AmbiEnt: pairs of sentences for textual entailment, many with an ambiguity that linguists spelled out.

In 53 pairs one linguist is listed twice, some with another label, and crowd workers saw two pairs twice:
both are kept. Three linguists gave a single label, which makes a sequence of one sample.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.suite.reading.files import lacking_columns
from spectrum_trl.suite.sequences.builders import Data, Row, as_json
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, github

FULL = "ambient/AmbiEnt/ambient_full.jsonl"
LINGUISTS = "ambient/AmbiEnt/linguist_annotations.jsonl"
CROWD = "ambient/AmbiEnt/analysis/crowdworker_annotations.jsonl"
SOURCE = Source(
    name="ambient",
    title="AmbiEnt (alisawuffles/ambient)",
    licence="CC BY 4.0",
    citation="Liu et al., We're Afraid Language Models Aren't Modeling Ambiguity, EMNLP 2023, 2304.14399",
    downloads=github(
        "alisawuffles/ambient",
        "1fcb43effda068f3047d46b6f9ff0e50e0ee1c1b",
        {path: path.removeprefix("ambient/") for path in (FULL, LINGUISTS, CROWD)},
    ),
    size=2_185_067,
)
LABELS = ("entailment", "neutral", "contradiction")
PAIR = ("premise", "hypothesis")

PAIR_DESCRIPTIONS = (
    "Pairs of a premise and a hypothesis for textual entailment. In some of them the wording of one sentence "
    "or of both can be read in more than one way.",
    "Each output is a premise with a hypothesis whose truth, given the premise, is to be judged; now and "
    "then that depends on how an ambiguous sentence is understood.",
    "Items of a data set on ambiguity and inference: a premise, and a hypothesis that may follow from it, "
    "contradict it or neither.",
)
DETECTION_DESCRIPTIONS = (
    "Given a premise and a hypothesis, tell for each of the two sentences whether it is ambiguous (true) or "
    "not (false).",
    "Ambiguity of sentences: premise_ambiguous is true where the premise allows several readings that "
    "matter, hypothesis_ambiguous where the hypothesis does; otherwise they are false.",
    "Which sentence of the pair can be understood in more than one way: the premise, the hypothesis, both or "
    "neither? The answer holds true or false for each.",
)
REWRITE_DESCRIPTIONS = (
    "A premise and a hypothesis leave open how they relate, because of an ambiguity. Rewrite them so that "
    "only one reading remains, the one with the label asked for.",
    "Resolve the ambiguity: output the two sentences, reworded where necessary, so that their relation is "
    "clearly the target label (entailment, neutral or contradiction).",
    "Each input is an ambiguous pair of sentences with a relation that one of its readings has; each output "
    "is the pair with just that reading spelled out.",
)
LINGUIST_DESCRIPTIONS = (
    "One linguist labels how a premise relates to a hypothesis: entailment, neutral or contradiction. Where "
    "different readings give different labels, all of them are given, separated by |.",
    "Labels of textual entailment by a single expert, who marks every label that some reading of the pair "
    "supports (entailment, neutral, contradiction, joined by |).",
    "Does the premise entail the hypothesis (entailment), exclude it (contradiction) or neither (neutral)? "
    "All answers come from the same linguist, several joined by | for an ambiguous pair.",
)
READING_DESCRIPTIONS = (
    "One sentence of the pair, named in ambiguous_sent, is ambiguous. Read it as the interpretation says: is "
    "the relation of premise to hypothesis then entailment, neutral or contradiction?",
    "Textual entailment under a given reading of an ambiguous premise or hypothesis. Output: entailment, "
    "neutral or contradiction.",
    "Put the interpretation in place of the ambiguous sentence and label the pair: entailment, neutral or "
    "contradiction.",
)
SHARES_DESCRIPTIONS = (
    "Crowd workers labelled pairs of sentences of which one is ambiguous. The output says how many of them "
    "chose entailment, neutral and contradiction, as a fraction and in per cent.",
    "How do the labels of several annotators spread over entailment, neutral and contradiction? For each "
    "label the count out of all answers and its percentage.",
    "Share of annotators who gave each of the three labels of textual entailment to a premise and a "
    "hypothesis with an ambiguity in the sentence named by ambiguous_sent.",
)


def _rewrites(data: Data) -> Iterator[Row]:
    """Yield one row per reading that a linguist wrote down."""
    for row in data.table(FULL, (*PAIR, "disambiguations")):
        for reading in row["disambiguations"] or ():
            place = f"{data.folder / FULL}: a disambiguation"
            refuse(lacking_columns(place, (*PAIR, "label"), list(reading)))
            yield {
                "original_premise": row["premise"],
                "original_hypothesis": row["hypothesis"],
                "target_label": reading["label"],
                "disambiguated_premise": reading["premise"],
                "disambiguated_hypothesis": reading["hypothesis"],
            }


def _labels(data: Data) -> Iterator[Row]:
    """Yield one row per linguist and pair."""
    for row in data.table(LINGUISTS, (*PAIR, "worker_ids", "annotations")):
        _same_length(data.folder / LINGUISTS, row, "worker_ids", "annotations")
        for linguist, label in zip(row["worker_ids"], row["annotations"], strict=True):
            yield {**row, "linguist": linguist, "label": label}


def _readings(data: Data) -> Iterator[Row]:
    """Yield one row per reading shown to crowd workers."""
    for row in data.table(CROWD, (*PAIR, "ambiguous_sent", "interpretations", "labels")):
        _same_length(data.folder / CROWD, row, "interpretations", "labels")
        for reading, label in zip(row["interpretations"], row["labels"], strict=True):
            if label is None:
                data.dropped["a distractor, without a label"] += 1
            else:
                yield {**row, "interpretation": reading, "label": label}


def _spread(row: Row) -> str:
    counts: Counter[str] = Counter(row["q0_gold"])
    total = sum(counts[label] for label in LABELS)
    shares: dict[str, Any] = {}
    for label in LABELS if total else ():
        shares[f"{label}_fraction"] = f"{counts[label]}/{total}"
        shares[f"{label}_percentage"] = round(100 * counts[label] / total, 4)
    return as_json(shares)


def _same_length(path: Path, row: Row, first: str, second: str) -> None:
    if len(row[first]) != len(row[second]):
        raise UserError(
            f"{path}: {first} and {second} of {row['premise']!r:.60} differ in length; fetch it again"
        )


task = partial(declared_task, source=SOURCE, mean_length=64, paper={"draws": 50})
TASKS = [
    task(
        "ambient_premise_hypothesis",
        kind="generation",
        summary="pairs of a premise and a hypothesis",
        file=FULL,
        output=PAIR,
        descriptions=PAIR_DESCRIPTIONS,
        name="pairs",
    ),
    task(
        "ambient_ambiguity_detection",
        kind="annotation",
        summary="which sentence of a pair is ambiguous",
        file=FULL,
        input=PAIR,
        output=("premise_ambiguous", "hypothesis_ambiguous"),
        descriptions=DETECTION_DESCRIPTIONS,
        name="detection",
    ),
    task(
        "ambient_disambiguation",
        kind="generation",
        summary="ambiguous pairs rewritten to have one reading",
        files=(FULL,),
        rows=_rewrites,
        input=("original_premise", "original_hypothesis", "target_label"),
        output=("disambiguated_premise", "disambiguated_hypothesis"),
        descriptions=REWRITE_DESCRIPTIONS,
        name="rewrites",
    ),
    task(
        "ambient_linguist_annotations",
        kind="individual",
        summary="one linguist's labels of entailment",
        files=(LINGUISTS,),
        paper={"draws": 2},
        rows=_labels,
        group_by=("linguist",),
        input=PAIR,
        output="label",
        descriptions=LINGUIST_DESCRIPTIONS,
    ),
    task(
        "ambient_interpretation_labels",
        kind="annotation",
        summary="labels of pairs under a given reading",
        files=(CROWD,),
        rows=_readings,
        input=(*PAIR, "ambiguous_sent", "interpretation"),
        output="label",
        descriptions=READING_DESCRIPTIONS,
        name="readings",
    ),
    task(
        "ambient_annotation_distributions",
        kind="population",
        summary="shares of crowd workers' labels",
        file=CROWD,
        columns=("q0_gold",),
        input=(*PAIR, "ambiguous_sent"),
        output=_spread,
        descriptions=SHARES_DESCRIPTIONS,
        name="spreads",
    ),
]
