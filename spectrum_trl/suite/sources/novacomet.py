"""Everyday situations and commonsense inferences from them, the knowledge behind NovaCOMET.

One row holds a premise and one inference (or a list of them). A premise is used once as a situation, and
once with all its inferences; empty inferences are counted.
"""

import json
from collections.abc import Iterator
from functools import partial

from spectrum_trl.errors import MissingData
from spectrum_trl.suite.sequences.builders import Data, Row, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, hub

# The file names are unknown; these are the formats that can be read.
FILES = "novacomet/**/*.[cjp]*"
ENDINGS = (".csv", ".json", ".jsonl", ".parquet")
SOURCE = Source(
    name="novacomet",
    title="NovaCOMET knowledge (tsor13/novacomet)",
    licence="unstated",
    citation="West, Le Bras, Sorensen, Lin, Jiang, Lu, Chandu, Hessel, Baheti, Bhagavatula, Choi, NovaCOMET: "
    "Open Commonsense Foundation Models with Symbolic Knowledge Distillation, 2023, Findings of EMNLP",
    downloads=hub(
        "tsor13/novacomet",
        "main",
        "novacomet",
        *(f"{folder}*{ending}" for ending in ENDINGS for folder in ("", "**/")),
    ),
    unchecked="No file was at hand, and no card or other loader found: the columns premise and hypothesis "
    "are those of the research code. Names and format of the files are unknown; if a path contains train, "
    "only such files are read. Whether hypothesis is text or a list is unknown; both are read.",
)

PREMISE_DESCRIPTIONS = (
    "Everyday situations and events, one short sentence each, about which common sense has something to say.",
    "Each output states in a sentence something that could happen or be the case in ordinary life.",
    "Premises for commonsense reasoning: varied, brief descriptions of people, things and events.",
    "Small scenes of daily life, of very different kinds. One sentence per output.",
    "What might be going on? Every output is one plain statement from which a reader could infer more.",
)
HYPOTHESIS_DESCRIPTIONS = (
    "Input: a situation in a sentence. Output: a JSON list of what common sense infers from it, often about "
    "ten short statements.",
    "For each everyday event, its likely causes, consequences and circumstances as a JSON list of sentences.",
    "Commonsense inferences: given a premise, the output lists several things that probably hold as well. "
    "Format: JSON list of texts.",
)


def _rows(data: Data, columns: tuple[str, ...]) -> Iterator[Row]:
    folder = data.folder / "novacomet"
    found = sorted(path for path in data.folder.glob(FILES) if path.suffix in ENDINGS)
    if not found:
        raise MissingData(f"{folder} holds no {', '.join(ENDINGS)} file: fetch the dataset, or put one there")
    for path in [each for each in found if "train" in str(each.relative_to(folder))] or found:
        yield from data.table(str(path), columns)


def _inferences(data: Data) -> Iterator[Row]:
    """Yield every premise once, with all its inferences."""
    found: dict[str, list[str]] = {}
    for row in _rows(data, ("premise", "hypothesis")):
        said = row["hypothesis"]
        for inference in (text(each) for each in (said if isinstance(said, list) else [said])):
            if not inference:
                data.dropped["empty hypothesis"] += 1
            elif premise := text(row["premise"]):
                found.setdefault(premise, []).append(inference)
            else:
                data.dropped["hypothesis without a premise"] += 1
    for premise, inferences in found.items():
        yield {"premise": premise, "inferences": json.dumps(inferences, ensure_ascii=False)}


task = partial(declared_task, source=SOURCE, kind="generation", split="test", files=(FILES,))
TASKS = [
    task(
        "novacomet_premise",
        summary="everyday situations",
        rows=lambda data: data.different(_rows(data, ("premise",)), "premise"),
        name="novacomet_premise",
        output="premise",
        descriptions=PREMISE_DESCRIPTIONS,
        mean_length=64,
    ),
    task(
        "novacomet_hypothesis",
        summary="lists of commonsense inferences from a situation",
        rows=_inferences,
        name="novacomet_hypothesis",
        input="premise",
        output="inferences",
        descriptions=HYPOTHESIS_DESCRIPTIONS,
        mean_length=32,
    ),
]
