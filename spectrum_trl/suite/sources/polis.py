"""Polis: comments in public online discussions, and votes on them (compdemocracy/openData, CC BY 4.0).

Comments without text, with fewer than four words (except in one discussion, whose text has no spaces), or
with "test" and fewer than three words are left out, with the votes on them; so are voters with fewer than
four votes. Comments that no moderator reviewed (0) count as accepted. A discussion whose votes are missing
is counted.
"""

import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from spectrum_trl.errors import UserError
from spectrum_trl.suite.reading.tables import csv_rows, whole_numbers
from spectrum_trl.suite.sequences.builders import Row, Sequences, grouped
from spectrum_trl.suite.source import Source, checksums, github
from spectrum_trl.suite.task import Data, Task

CONVERSATIONS = sorted({path.split("/")[1] for path in checksums() if path.startswith("openData/")})
SOURCE = Source(
    name="polis",
    title="Polis (compdemocracy/openData)",
    licence="CC BY 4.0",
    citation="Small et al., Polis: Scaling deliberation by mapping high dimensional opinion spaces, 2021, "
    "RECERCA",
    downloads=github(
        "compdemocracy/openData",
        "0bc2ce0f32c673f68da20b57bce15c457aa787b5",
        {
            f"openData/{name}/{part}.csv": f"{name}/{part}.csv"
            for name in CONVERSATIONS
            for part in ("summary", "comments", "votes")
        },
    ),
    unchecked="The votes of six discussions: of Bowling Green, of Operation Marching Orders, and four of "
    "Austria's climate.",
)

VOTES = {"1": "Agree", "-1": "Disagree", "0": "Pass"}
REJECTED = -1
POSTING_MS = 2000
UNSPACED = "vtaiwan.uberx"
FEWEST_WORDS, FEWEST_VOTES, MOST_VOTERS = 4, 4, 500

VOTE_DESCRIPTIONS = (
    "One participant of an online discussion about “{topic}” votes on comments that participants wrote. "
    "Input: a comment. Output: this participant's vote, Agree, Disagree or Pass.",
    "All votes below were cast by the same person, who took part in an online discussion and could answer "
    "each comment with Agree, Disagree or Pass. The discussion is titled: {topic}",
    "How does this participant vote (Agree / Disagree / Pass) on comments in the discussion “{topic}”?",
)
COMMENT_DESCRIPTIONS = (
    "Comments that members of the public wrote in an online discussion about “{topic}”, each in the language "
    "of its author.",
    "Each output is one comment, picked at random, from a public online discussion titled: {topic}",
    "Short statements by participants of the discussion “{topic}”, written for others to vote on.",
)
INTRODUCED = "\nThe organisers' introduction: {introduction}"


def _conversations(data: Data) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield each conversation's folder and the facts its descriptions may name."""
    for path in sorted(data.folder.glob("openData/*/summary.csv")):
        summary = {row["key"]: row["value"] for row in csv_rows(path, ("key", "value"), header=False)}
        if not summary.get("topic", "").strip():
            raise UserError(f"{path} has no topic: expected a row 'topic,…'; fetch it again")
        without_links = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", summary.get("conversation-description", ""))
        introduction = " ".join(without_links.split())
        facts = {
            "conversation": path.parent.name,
            "topic": summary["topic"].strip(),
            "introduction": introduction,
        }
        yield path.parent, facts


def _with_introduction(variants: tuple[str, ...], facts: Row) -> tuple[str, ...]:
    return (*variants, *(variant + INTRODUCED for variant in variants)) if facts["introduction"] else variants


def _comments(folder: Path) -> list[dict[str, Any]]:
    path, columns = folder / "comments.csv", ("comment-id", "author-id", "comment-body")
    numbers = ("timestamp", "moderated")
    return whole_numbers(csv_rows(path, (*columns, *numbers)), numbers, path=path)


def _wrong(comment: str, *, conversation: str) -> str:
    """Return why a comment is left out, or an empty string."""
    words = len(comment.split())
    if not words:
        return "comment without text"
    if words < FEWEST_WORDS and conversation != UNSPACED:
        return f"comment of fewer than {FEWEST_WORDS} words"
    return "comment to test" if "test" in comment.lower() and words < FEWEST_WORDS - 1 else ""


def _votes(folder: Path, data: Data) -> Iterator[Row]:
    """Yield the votes that count, each with the comment voted on."""
    comments = {row["comment-id"]: row for row in _comments(folder)}
    path = folder / "votes.csv"
    found = csv_rows(path, ("timestamp", "comment-id", "voter-id", "vote"))
    votes = whole_numbers(found, ("timestamp",), path=path)
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for vote in votes:
        key = vote["voter-id"], vote["comment-id"]
        if key not in last or vote["timestamp"] >= last[key]["timestamp"]:
            last[key] = vote
    data.dropped["vote changed later"] += len(votes) - len(last)
    for vote in last.values():
        comment = comments.get(vote["comment-id"])
        if comment is None:
            data.dropped["vote on an unknown comment"] += 1
        elif (
            vote["voter-id"] == comment["author-id"] and vote["timestamp"] - comment["timestamp"] < POSTING_MS
        ):
            data.dropped["vote recorded while posting"] += 1
        elif wrong := _wrong(comment["comment-body"], conversation=folder.name):
            data.dropped[f"vote on a {wrong}"] += 1
        else:
            yield {**vote, "comment": comment["comment-body"], "answer": VOTES.get(vote["vote"])}


def votes(data: Data, *, most: int | None = None) -> Sequences:
    """Build one sequence per voter and conversation, for the first ``most`` voters of each."""
    for folder, facts in _conversations(data):
        if not (folder / "votes.csv").exists():
            data.dropped["conversation without votes.csv"] += 1
            continue
        found = grouped(
            _votes(folder, data),
            data,
            constants=facts,
            group_by=("conversation", "voter-id"),
            input="comment",
            output="answer",
            descriptions=_with_introduction(VOTE_DESCRIPTIONS, facts),
            at_least=FEWEST_VOTES,
        )
        yield from islice(found, most)


def _accepted(folder: Path, data: Data) -> Iterator[Row]:
    """Yield the comments that count."""
    for row in _comments(folder):
        if row["moderated"] == REJECTED:
            data.dropped["comment rejected by a moderator"] += 1
        elif wrong := _wrong(row["comment-body"], conversation=folder.name):
            data.dropped[wrong] += 1
        else:
            yield row


def comments(data: Data) -> Sequences:
    """Build sequences of one conversation's comments, about 64 each."""
    for folder, facts in _conversations(data):
        yield from grouped(
            _accepted(folder, data),
            data,
            constants=facts,
            group_by="conversation",
            output="comment-body",
            descriptions=_with_introduction(COMMENT_DESCRIPTIONS, facts),
            mean_length=64,
        )


TASKS = [
    Task(
        name="polis_vote",
        summary="one participant's votes on comments of an online discussion",
        source=SOURCE,
        kind="individual",
        files=("openData/*/summary.csv", "openData/*/comments.csv", "openData/*/votes.csv"),
        build=votes,
        paper=partial(votes, most=MOST_VOTERS),
    ),
    Task(
        name="polis_comment",
        summary="comments of an online discussion",
        source=SOURCE,
        kind="generation",
        files=("openData/*/summary.csv", "openData/*/comments.csv"),
        build=comments,
    ),
]
