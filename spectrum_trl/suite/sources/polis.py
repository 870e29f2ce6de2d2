"""Polis: votes on, and comments of, public online discussions (compdemocracy/openData, CC BY 4.0).

Of several votes by one person on one comment the last counts. The vote that Polis records for the author
while a comment is being posted was cast by nobody and is left out, unless the author voted again. Votes on
comments that a moderator rejected later are real and stay; the rejected comments themselves (spam, tests,
repetitions) are no samples of `polis_comment`. Comments that no moderator looked at (0) count as accepted.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from spectrum_trl.errors import UserError
from spectrum_trl.suite.builders import Built, Row, grouped, keep_rows
from spectrum_trl.suite.lengths import sequence_length
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.tables import csv_rows
from spectrum_trl.suite.task import Task

SOURCE = Source(name="polis", title="Polis (compdemocracy/openData)", licence="CC BY 4.0")

VOTES = {"1": "Agree", "-1": "Disagree", "0": "Pass"}
REJECTED = -1
POSTING_MS = 2000

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


def _conversations(data_dir: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield each conversation's folder and the facts that its descriptions may name."""
    for path in sorted(data_dir.glob("openData/*/summary.csv")):
        summary = {row["key"]: row["value"] for row in csv_rows(path, ("key", "value"), header=False)}
        if not summary.get("topic", "").strip():
            raise UserError(f"{path} has no topic: a row 'topic,…' is expected; fetch it again")
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
    columns = ("timestamp", "comment-id", "author-id", "moderated", "comment-body")
    return csv_rows(folder / "comments.csv", columns, whole=("timestamp", "moderated"))


def _votes(folder: Path, *, dropped: Counter[str]) -> Iterator[Row]:
    """Yield the votes that count, each with the comment voted on."""
    comments = {row["comment-id"]: row for row in _comments(folder)}
    votes = csv_rows(
        folder / "votes.csv", ("timestamp", "comment-id", "voter-id", "vote"), whole=("timestamp",)
    )
    votes.sort(key=lambda vote: vote["timestamp"])
    last = {(vote["voter-id"], vote["comment-id"]): vote for vote in votes}
    dropped["vote changed later"] += len(votes) - len(last)
    for vote in last.values():
        comment = comments.get(vote["comment-id"])
        if comment is None:
            dropped["unknown comment"] += 1
        elif (
            vote["voter-id"] == comment["author-id"] and vote["timestamp"] - comment["timestamp"] < POSTING_MS
        ):
            dropped["vote recorded while posting"] += 1
        else:
            yield vote | {"comment": comment["comment-body"], "answer": VOTES.get(vote["vote"])}


def votes(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Built:
    """Build one sequence per voter and conversation."""
    for folder, facts in _conversations(data_dir):
        if not (folder / "votes.csv").exists():
            dropped["conversation without votes.csv"] += 1
            continue
        yield from grouped(
            _votes(folder, dropped=dropped),
            constants=facts,
            group_by=("conversation", "voter-id"),
            input="comment",
            output="answer",
            descriptions=_with_introduction(VOTE_DESCRIPTIONS, facts),
            seed=seed,
            dropped=dropped,
        )


def comments(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Built:
    """Build sequences of one conversation's comments, about 16 each."""
    for folder, facts in _conversations(data_dir):
        yield from grouped(
            keep_rows(
                _comments(folder),
                lambda row: row["moderated"] != REJECTED,
                reason="rejected by a moderator",
                dropped=dropped,
            ),
            constants=facts,
            group_by="conversation",
            output="comment-body",
            descriptions=_with_introduction(COMMENT_DESCRIPTIONS, facts),
            length=partial(sequence_length, mean=16),
            seed=seed,
            dropped=dropped,
        )


TASKS = [
    Task(
        name="polis_vote",
        summary="one participant's votes on comments of an online discussion",
        source=SOURCE,
        kind="individual",
        split="train",
        files=("openData/*/summary.csv", "openData/*/comments.csv", "openData/*/votes.csv"),
        build=votes,
    ),
    Task(
        name="polis_comment",
        summary="comments of an online discussion",
        source=SOURCE,
        kind="generation",
        split="train",
        files=("openData/*/summary.csv", "openData/*/comments.csv"),
        build=comments,
    ),
]
