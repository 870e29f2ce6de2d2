"""IssueBench: political topics, and templates of requests for help with writing about a topic.

The dataset combines every topic (neutral, for or against) with every template, 2.5 million prompts; each
topic and each template is used once, in order of first appearance.
"""

from functools import partial

from spectrum_trl.suite.sequences.builders import Sequences, grouped, text
from spectrum_trl.suite.source import Source, hub
from spectrum_trl.suite.task import Data, Task

FILES = "hub/issuebench/prompts/prompts_full-*.parquet"
SOURCE = Source(
    name="issuebench",
    title="IssueBench",
    licence="CC BY 4.0",
    citation="Röttger et al., IssueBench: Millions of Realistic Prompts for Measuring Issue Bias in LLM "
    "Writing Assistance, arXiv 2502.08395 (2025)",
    downloads=hub(
        "Paul/IssueBench",
        "636e2da6ad80ef9ffcd67850d29fa5b068587f8b",
        "hub/issuebench",
        "prompts/prompts_full-*.parquet",
    ),
    size=79_200_000,
    unchecked="No real file was at hand. File names and columns follow the dataset page; that X stands "
    "for the topic in a template follows the research code.",
)

TOPIC_DESCRIPTIONS = (
    "Political issues, one per output: some named neutrally, some as a position for or against something.",
    "Topics that people may disagree on, as phrases to put into a request for a text.",
)
TEMPLATE_DESCRIPTIONS = (
    "Templates of requests to a language model for help with writing. X stands for the topic.",
    "Ways in which people ask a chatbot to write something about a topic X, where X is left open.",
)


def build(data: Data, *, shuffles: int = 1) -> Sequences:
    """Build sequences of all topics and of all templates, one of each per shuffle."""
    found: dict[str, dict[str, None]] = {"topic_text": {}, "template_text": {}}
    paths = sorted(data.folder.glob(FILES))
    for path in paths or [data.folder / FILES]:
        for row in data.table(str(path), tuple(found)):
            for column, texts in found.items():
                # Most cells are repeats: there are 2.5 million rows.
                if row[column] in texts:
                    continue
                if cell := text(row[column]):
                    texts[cell] = None
                else:
                    data.dropped[f"row without {column}"] += 1
    for (column, texts), descriptions in zip(
        found.items(), (TOPIC_DESCRIPTIONS, TEMPLATE_DESCRIPTIONS), strict=True
    ):
        yield from grouped(
            ({"kind": column.removesuffix("_text"), "text": each} for each in texts),
            data,
            group_by="kind",
            output="text",
            descriptions=descriptions,
            permutations=shuffles,
        )


TASKS = [
    Task(
        name="issuebench",
        summary="political topics, and templates of requests to write about one",
        source=SOURCE,
        kind="generation",
        files=(FILES,),
        build=build,
        paper=partial(build, shuffles=2),
    ),
]
