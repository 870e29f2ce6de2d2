"""The Habermas Machine: policy questions, and the views of UK residents on them (CC BY 4.0).

Participants wrote an opinion on a question and rated a statement that affirms it. Of several ratings of one
question by one person (before and after discussion), the first usable one in the file is used, and of
several opinions the first non-empty one. ``habermas_opinions`` and ``habermas_categorical`` are evaluated in
the paper but missing from its registry: here, they are different people's opinions on one question, or
ratings of its statement.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.sequences.builders import Data, Row, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Download, Source

RATINGS_FILE = "habermas_data/hm_all_position_statement_ratings.parquet"
OPINIONS_FILE = "habermas_data/hm_all_round_survey_responses.parquet"
BOTH = (RATINGS_FILE, OPINIONS_FILE)
SOURCE = Source(
    name="habermas",
    title="Habermas Machine (google-deepmind/habermas_machine)",
    homepage="https://github.com/google-deepmind/habermas_machine",
    licence="CC BY 4.0",
    citation="Tessler et al., AI can help humans find common ground in democratic deliberation, "
    "2024, Science 386",
    downloads=tuple(
        Download(
            path=path,
            url="https://storage.googleapis.com/habermas_machine/datasets/" + path.rpartition("/")[2],
        )
        for path in BOTH
    ),
    unchecked="All columns (worker_id, question.id, question.text, question.affirming_statement, "
    "ratings.agreement, opinion.text), taken from descriptions by others: no file was available.",
)
ASKED = ("question.text", "question.affirming_statement")
RATINGS = {
    "STRONGLY_AGREE": "Strongly Agree",
    "AGREE": "Agree",
    "SOMEWHAT_AGREE": "Somewhat Agree",
    "NEUTRAL": "Neutral",
    "SOMEWHAT_DISAGREE": "Somewhat Disagree",
    "DISAGREE": "Disagree",
    "STRONGLY_DISAGREE": "Strongly Disagree",
}
SCALE = ", ".join(RATINGS.values())
INPUT = ("question", "statement")
MOST_PEOPLE = 2000

QUESTION_DESCRIPTIONS = (
    "Questions of public policy.",
    "Questions on many different matters of politics and society, one each.",
    "Questions that residents of the United Kingdom could be asked to debate.",
    "British politics: questions on which people may disagree.",
    "Each output asks, in one sentence, whether something should be done, or is right, in Britain.",
)
INDIVIDUAL_DESCRIPTIONS = (
    "A resident of the United Kingdom is given questions, each with a statement. For each, the output says "
    "how far this person agrees with the statement, on a scale of seven, and what they think, in two or "
    "three sentences.",
    "All answers are by the same person, who lives in the UK. Input: question, statement. Output: agreement "
    f"(one of {SCALE}) with the statement, and opinion, in the person's own words.",
)
INDIVIDUAL_CATEGORICAL_DESCRIPTIONS = (
    "One person in the UK is given questions of policy, each with a statement, and says how far they agree "
    f"with the statement: {SCALE}.",
)
OPINIONS_DESCRIPTIONS = (
    "Opinions of different UK residents, in their own words, on the question: {question}",
    "{question} Each output is what one person who lives in the United Kingdom wrote about this.",
)
CATEGORICAL_DESCRIPTIONS = (
    "UK residents, one per output, say how far they agree with the statement “{statement}” (the question "
    f"was: {{question}}). Possible answers: {SCALE}.",
    f"{{question}} How far do different people in the UK agree that “{{statement}}”? Scale: {SCALE}.",
)


def unwrapped(rating: Any) -> str:
    """Return a rating, which the file wraps in a list, or an empty string if it holds none or several."""
    if isinstance(rating, list):
        rating = rating[0] if len(rating) == 1 else None
    return text(rating)


def _ratings(data: Data) -> Iterator[Row]:
    """Yield the rating used for each participant and question."""
    seen: set[tuple[str, str]] = set()
    for row in data.table(RATINGS_FILE, ("worker_id", "question.id", *ASKED, "ratings.agreement")):
        person, question_id = key = text(row["worker_id"]), text(row["question.id"])
        question, statement = (text(row[column]) for column in ASKED)
        rating = unwrapped(row["ratings.agreement"])
        if not person:
            data.dropped["rating by nobody known"] += 1
        elif rating not in RATINGS:
            data.dropped[f"rating {rating[:40] or 'missing'}"] += 1
        elif not (question_id and question and statement):
            data.dropped["question without id, text or statement"] += 1
        elif key in seen:
            data.dropped["further rating by the same participant"] += 1
        else:
            seen.add(key)
            yield {
                "person": person,
                "question_id": question_id,
                "question": question,
                "statement": statement,
                "agreement": RATINGS[rating],
            }


def _opinions(data: Data) -> dict[tuple[str, str], str]:
    """Return the opinion that counts of each participant and question."""
    found: dict[tuple[str, str], str] = {}
    for row in data.table(OPINIONS_FILE, ("worker_id", "question.id", "opinion.text")):
        key = text(row["worker_id"]), text(row["question.id"])
        if not (opinion := text(row["opinion.text"])):
            data.dropped["response without an opinion"] += 1
        elif key in found:
            data.dropped["further opinion by the same participant"] += 1
        else:
            found[key] = opinion
    return found


def _rated_opinions(data: Data) -> Iterator[Row]:
    """Yield the ratings that come with an opinion."""
    opinions = _opinions(data)
    for row in _ratings(data):
        opinion = opinions.pop((row["person"], row["question_id"]), None)
        if opinion is None:
            data.dropped["rating without an opinion"] += 1
        else:
            yield {**row, "opinion": opinion}
    data.dropped["opinion without a rating"] += len(opinions)


def _shuffled(data: Data, *, rows: Callable[..., Iterator[Row]]) -> Iterator[Row]:
    """Yield the rows in random order, and so the people."""
    listed = list(rows(data))
    rng = stream(data.seed, task="habermas", purpose="groups", id="person")
    return (listed[place] for place in rng.permutation(len(listed)))


def _paper(rows: Callable[..., Iterator[Row]]) -> dict[str, Any]:
    """Return what makes it one sequence of each of the people drawn at random."""
    return {"rows": partial(_shuffled, rows=rows), "draws": 1, "most": MOST_PEOPLE}


task = partial(
    declared_task,
    source=SOURCE,
    split="test",
    files=(RATINGS_FILE,),
    mean_length=32,
)
TASKS = [
    task(
        "habermas_question",
        kind="generation",
        summary="policy questions put to UK residents",
        rows=lambda data: data.different(_ratings(data), "question"),
        output="question",
        descriptions=QUESTION_DESCRIPTIONS,
    ),
    task(
        "habermas_individual",
        kind="individual",
        files=BOTH,
        summary="one UK resident's ratings of statements, and opinions",
        rows=_rated_opinions,
        paper=_paper(_rated_opinions),
        group_by=("person",),
        input=INPUT,
        output=("agreement", "opinion"),
        descriptions=INDIVIDUAL_DESCRIPTIONS,
    ),
    task(
        "habermas_individual_categorical",
        kind="individual",
        summary="one UK resident's ratings of statements",
        rows=_ratings,
        paper=_paper(_ratings),
        group_by=("person",),
        input=INPUT,
        output="agreement",
        descriptions=INDIVIDUAL_CATEGORICAL_DESCRIPTIONS,
    ),
    task(
        "habermas_opinions",
        kind="population",
        files=BOTH,
        summary="opinions of UK residents on one question",
        rows=_rated_opinions,
        group_by=("question_id",),
        output="opinion",
        descriptions=OPINIONS_DESCRIPTIONS,
    ),
    task(
        "habermas_categorical",
        kind="population",
        summary="UK residents' ratings of one statement",
        rows=_ratings,
        group_by=("question_id",),
        output="agreement",
        descriptions=CATEGORICAL_DESCRIPTIONS,
    ),
]
