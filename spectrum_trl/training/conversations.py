"""Read a user's own conversations."""

import json
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.prompts.messages import check
from spectrum_trl.suite.task import Message

FAULTS_SHOWN = 20


def read_conversations(file: Path, *, tokenizer: PreTrainedTokenizerBase) -> list[list[Message]]:
    """Read a user's JSON Lines file of conversations.

    Args:
        file: One object with ``messages`` a line.
        tokenizer: Whose control tokens must not occur in contents.

    Returns:
        The conversations.

    Raises:
        UserError: With every faulty line at once (the first ``FAULTS_SHOWN``).
    """
    if not file.is_file():
        raise UserError(f"train_files: {file} does not exist")
    problems, conversations = [], []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            conversation = json.loads(line)["messages"]
            faults = check(conversation, tokenizer=tokenizer)
        except (json.JSONDecodeError, KeyError, TypeError):
            faults = ['expected one JSON object with the key "messages"']
        problems += [f"{file}, line {number}: {fault}" for fault in faults]
        conversations.append(conversation if not faults else [])
    if len(problems) > FAULTS_SHOWN:
        problems = [*problems[:FAULTS_SHOWN], f"{file}: and {len(problems) - FAULTS_SHOWN} more faults"]
    if problems:
        raise UserError(*problems)
    if not conversations:
        raise UserError(f"{file} is empty: expected one JSON object with messages a line")
    return conversations
