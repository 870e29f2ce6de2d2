"""Read a user's own conversations."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from spectrum_trl.console import counted
from spectrum_trl.errors import UserError, refuse
from spectrum_trl.prompts.messages import check
from spectrum_trl.strict.json import strict_json
from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.reading.files import MARKS
from spectrum_trl.suite.task import Message

PROBLEMS_SHOWN = 20
# Maximum characters of a user's text in an error message.
SHOWN = 80
EXPECTED = 'expected one JSON object with "messages" as its only key'


def read_conversations(file: Path, *, tokenizer: PreTrainedTokenizerBase) -> list[list[Message]]:
    """Read a user's JSON Lines file of conversations.

    Args:
        file: One object with ``messages`` per line.
        tokenizer: Its control tokens must not occur in contents.

    Returns:
        The conversations.

    Raises:
        UserError: With all problems at once (at most ``PROBLEMS_SHOWN``).
    """
    problems, conversations = [], []
    for number, line in _lines(file):
        conversation, found = _conversation(line, tokenizer=tokenizer)
        problems += [f"{file}, line {number}: {problem}" for problem in found]
        if not found:
            conversations.append(conversation)
    if len(problems) > PROBLEMS_SHOWN:
        problems = [
            *problems[:PROBLEMS_SHOWN],
            f"{file}: and {counted(len(problems) - PROBLEMS_SHOWN, 'more problem')}",
        ]
    refuse(problems)
    if not conversations:
        raise UserError(f"{file} is empty: expected one JSON object with messages per line")
    return conversations


def check_files(files: Iterable[str]) -> None:
    """Check that the user's files exist, before anything slow.

    Raises:
        UserError: With every file that does not exist.
    """
    refuse(
        f"train_files: {file} {'is a folder; name its files' if os.path.isdir(file) else 'does not exist'}"
        for file in files
        if not os.path.isfile(file)
    )


def weighted(
    conversations: Iterable[tuple[str | int, list[Message]]],
    *,
    weight: float,
    description_probability: float,
    seed: int,
    name: str,
) -> Iterator[list[Message]]:
    """Repeat each conversation according to its weight, and drop descriptions at random.

    Args:
        conversations: Of one task or file, each after its id.
        weight: Copies of each, at least 0; a fraction is the probability of one more copy.
        description_probability: Probability in [0, 1] that a copy keeps its description.
        seed: The only source of randomness.
        name: The task or file.
    """
    for id, conversation in conversations:
        more = stream(seed, task=name, purpose="copies", id=id).random() < weight % 1
        kept = stream(seed, task=name, purpose="descriptions", id=id)
        for _ in range(int(weight) + more):
            keep = kept.random() < description_probability
            yield [message for message in conversation if keep or message["role"] != "description"]


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and text of each non-blank line; only a line feed ends a line."""
    with file.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            if number == 1:
                if encoding := next((name for mark, name in MARKS.items() if raw.startswith(mark)), None):
                    raise UserError(f"{file} is in {encoding.upper()}; save it as UTF-8")
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{file}, line {number}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
                ) from error
            if text.strip():
                yield number, text


def _conversation(line: str, *, tokenizer: PreTrainedTokenizerBase) -> tuple[Any, list[str]]:
    """Return the messages of a line, and its problems."""
    try:
        row = strict_json(line)
    except ValueError as error:
        return None, [f"{EXPECTED}; {error}"]
    if not isinstance(row, dict) or "messages" not in row:
        return None, [EXPECTED]
    if others := sorted(row.keys() - {"messages"}):
        return None, [f"{EXPECTED}, but it also has {', '.join(others)[:SHOWN]}; remove them"]
    return row["messages"], check(row["messages"], tokenizer=tokenizer)
