"""LeWiDi 2025 (learning with disagreements): labels by single annotators; train and dev files together.

A missing train or dev file is counted, and the other one read. Some annotators of CSC have no traits at all.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from spectrum_trl.errors import refuse
from spectrum_trl.suite.reading.files import lacking_columns
from spectrum_trl.suite.reading.tables import json_file, json_rows
from spectrum_trl.suite.sequences.builders import Data, Field, Row, as_json, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, github
from spectrum_trl.suite.task import Task

CSC, MP = "lewidi/CSC/CSC", "lewidi/MP/MP"
PARAPHRASE, NLI = "lewidi/Paraphrase/Paraphrase", "lewidi/VariErrNLI/VariErrNLI"
SOURCE = Source(
    name="lewidi",
    title="LeWiDi 2025 shared task (copy of AadiSanghani/LeWidi)",
    homepage="https://www.codabench.org/competitions/7192/",
    licence="unstated",
    citation="Leonardelli et al., LeWiDi-2025 at NLPerspectives: The Third Edition of the Learning with "
    "Disagreements Shared Task, 2025, NLPerspectives, arXiv 2510.08460",
    downloads=github(
        "AadiSanghani/LeWidi",
        "a824a3732501b89988c50f7cccd9f1e1f9089004",
        {
            f"{name}_{part}.json": f"{name}_{part}.json".replace("lewidi/", "dataset/", 1)
            for name in (CSC, MP, PARAPHRASE, NLI)
            for part in ("train", "dev", "annotators_meta")
        },
    ),
    unchecked="The train files of CSC and MP.",
)
UNKNOWN = ("", "nan", "data_expired", "consent_revoked")

CSC_DESCRIPTIONS = (
    "One person{who} reads a situation and what somebody answers, and says how sarcastic the answer is, from "
    "1 (not at all) to 6 (completely).",
    "Sarcasm in the eyes of a single annotator{who}: each input is a response with the context it was given "
    "in, each output a rating between 1 and 6, higher for more sarcastic.",
    "How sarcastic does this reader{who} find the response, given its context? Scale: 1 to 6.",
)
MP_DESCRIPTIONS = (
    "One annotator{who} decides whether a reply on social media is ironic, given the post that it answers: 1 "
    "for ironic, 0 for not ironic. The input also names the platform (source), the depth of the reply in its "
    "thread (level), the variety of the language and the language.",
    "Is the reply ironic? 1 means yes, 0 means no. A single person{who} judged all pairs of post and reply, "
    "which come from Reddit and Twitter.",
    "Irony as one reader{who} perceives it in short conversations from social media. Output: 1 (ironic) or 0 "
    "(not ironic).",
)
PARAPHRASE_DESCRIPTIONS = (
    "One annotator{who} compares two questions that users posted on Quora and rates from -5 to 5 how far one "
    "paraphrases the other: -5 for entirely different meanings, 5 for the same.",
    "Do these two questions ask the same thing? All ratings are by the same person{who}; they are whole "
    "numbers from -5 (surely no paraphrases) to 5 (surely paraphrases).",
    "Paraphrase ratings of question pairs by a single annotator{who}. Scale: -5 (different) to 5 (same).",
)
NLI_DESCRIPTIONS = (
    "One annotator{who} judges what a context says about a statement: entailment (the statement is true), "
    "contradiction (it is false) or neutral (neither). Where several readings are possible, the annotator "
    "may give several labels, separated by commas.",
    "Natural language inference as seen by a single person{who}. Output: entailment, neutral or "
    "contradiction, or more than one of them where the person found more than one fitting.",
    "Does the context entail the statement, contradict it, or leave it open (neutral)? All answers are by "
    "the same annotator{who}; a pair may have several labels.",
)
RATING_EXPLAINED = " Each rating comes with the annotator's reason in a few words."
LABEL_EXPLAINED = " The annotator also explains the choice, with one reason for each label given."


def _traits(data: Data, name: str) -> dict[str, str]:
    """Return each annotator's known traits, in words."""
    people = json_file(data.folder / f"{name}_annotators_meta.json", relaxed=True)
    traits = {}
    for person, known in people.items():
        facts = {key.lower(): text(value) for key, value in known.items()}
        parts = [f"{key}: {value}" for key, value in facts.items() if value.lower() not in UNKNOWN]
        # Only MP names its annotators by bare numbers here.
        traits[f"Ann{str(person).removeprefix('Ann')}"] = f" ({', '.join(parts)})" if parts else ""
    return traits


def _read(data: Data, name: str, *, paper: bool) -> list[Path]:
    """Return the files to read."""
    files = [data.folder / f"{name}_{part}.json" for part in ("train", "dev")]
    present = [path for path in files if path.exists()]
    data.dropped.update(f"no file {path.name}" for path in files if path not in present)
    return present[:1] if paper else present


def _annotations(
    data: Data, *, name: str, fields: tuple[str, ...], scale: tuple[str, ...], paper: bool = False
) -> Iterator[Row]:
    """Yield one row per annotator and item, with the item's facts and the annotator's traits in words."""
    traits = _traits(data, name)
    columns = ("text", "lang", "annotators", "annotations", "other_info")
    files = _read(data, name, paper=paper)
    items = ((file, item) for file in files for item in json_rows(file, columns))
    for path, item in items:
        facts = {"lang": item["lang"], **item["other_info"], **item["text"]}
        refuse(lacking_columns(f"{path}: an item", fields, list(facts)))
        if "level" in fields:
            # A number of MP's, without decimals.
            facts["level"] = text(facts["level"])
        listed = [person.strip() for person in item["annotators"].split(",")]
        reasons = list(zip(listed, map(text, item["other_info"].get("explanations", ())), strict=False))
        for person, label in {who.strip(): label for who, label in item["annotations"].items()}.items():
            if scale and text(label) not in scale:
                data.dropped["not on the scale"] += 1
                continue
            yield {
                **facts,
                "person": person,
                "label": label,
                "explanation": " / ".join(reason for who, reason in reasons if who == person and reason),
                "who": traits.get(person, ""),
            }


def _label(row: Row) -> str:
    return ",".join(sorted(text(label) for label in text(row["label"]).split(",")))


def _explained_label(row: Row) -> str:
    label = _label(row)
    return as_json({"nli_label": label, "explanation": row["explanation"]}) if label else ""


def _explained_rating(row: Row) -> str:
    return as_json({"paraphrase_rating": int(row["label"]), "explanation": row["explanation"]})


def _task(
    name: str,
    *,
    data: str,
    input: tuple[str, ...] | dict[str, str],
    descriptions: tuple[str, ...],
    summary: str,
    output: Field = "label",
    explained: str = "",
    scale: tuple[str, ...] = (),
    length: int | None = None,
    needed: tuple[str, ...] = ("train", "dev"),
) -> Task:
    fields = tuple(input.values() if isinstance(input, dict) else input)
    rows = partial(_annotations, name=data, fields=fields, scale=scale)
    return declared_task(
        f"lewidi_{name}",
        source=SOURCE,
        kind="annotation",
        summary=summary,
        files=tuple(f"{data}_{each}.json" for each in (*needed, "annotators_meta")),
        rows=rows,
        paper={"rows": partial(rows, paper=True)},
        group_by=("person",),
        input=input,
        output=output,
        descriptions=tuple(each + explained for each in descriptions),
        length=length,
    )


_paraphrases = partial(
    _task,
    data=PARAPHRASE,
    input={"question1": "Question1", "question2": "Question2", "lang": "lang"},
    descriptions=PARAPHRASE_DESCRIPTIONS,
    scale=tuple(str(rating) for rating in range(-5, 6)),
    length=20,
)
_nli = partial(
    _task, data=NLI, input=("context", "statement", "lang"), descriptions=NLI_DESCRIPTIONS, length=30
)
TASKS = [
    # The large train files of these two may be missing.
    _task(
        "csc_sarcasm_detection_individual",
        data=CSC,
        input=("context", "response", "lang"),
        descriptions=CSC_DESCRIPTIONS,
        scale=tuple("123456"),
        needed=("dev",),
        summary="one annotator's ratings of how sarcastic responses are",
    ),
    _task(
        "mp_irony_detection_individual",
        data=MP,
        input=("post", "reply", "source", "level", "language_variety", "lang"),
        descriptions=MP_DESCRIPTIONS,
        scale=("0", "1"),
        needed=("dev",),
        summary="one annotator's judgements of whether replies are ironic",
    ),
    _paraphrases(
        "par_paraphrase_detection_individual",
        output=_explained_rating,
        explained=RATING_EXPLAINED,
        summary="one annotator's ratings of pairs of questions, with reasons",
    ),
    _paraphrases(
        "par_paraphrase_detection_individual_categorical",
        summary="one annotator's ratings of pairs of questions",
    ),
    _nli(
        "varierrnli_nli_detection_individual",
        output=_explained_label,
        explained=LABEL_EXPLAINED,
        summary="one annotator's labels of pairs of sentences, with reasons",
    ),
    _nli(
        "varierrnli_nli_detection_individual_categorical",
        output=_label,
        summary="one annotator's labels of pairs of sentences",
    ),
]
