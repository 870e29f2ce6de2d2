"""Turn a recipe's choice of tasks into one tokenized data set, and count all that was kept, cut or dropped."""

import fnmatch
import hashlib
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from datasets import Dataset, concatenate_datasets
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from transformers import PreTrainedTokenizerBase

from spectrum_trl import messages as message_checks
from spectrum_trl.arguments import DataArguments
from spectrum_trl.errors import MissingData, UserError, nearest
from spectrum_trl.paths import data_dir
from spectrum_trl.suite import tasks as all_tasks
from spectrum_trl.suite.sequence import Message, Split, Task

BATCH = 64
# Header, its line break, and end of turn: no turn is shorter, so more turns than this never fit.
SHORTEST_TURN = 4
# Enough for a new tokenizer to meet every word that a task uses.
TOKENIZER_SEQUENCES = 3000


class Share(BaseModel):
    """What a recipe can say of one task or glob."""

    model_config = ConfigDict(extra="forbid")
    max_sequences: int | None = Field(default=None, ge=1)
    weight: float = Field(default=1.0, gt=0)


class TaskCounts(NamedTuple):
    """What became of one task.

    Attributes:
        task: Its name.
        sequences: Sequences trained on.
        outputs: Output turns in them.
        tokens: Tokens in them.
        trained_tokens: Tokens that carry loss.
        cut_sequences: Sequences shortened to the maximum length.
        cut_outputs: Output turns lost to that.
        dropped: Reason to number of rows or sequences left out.
        sha256: Hash of the messages, before tokenization.
    """

    task: str
    sequences: int
    outputs: int
    tokens: int
    trained_tokens: int
    cut_sequences: int
    cut_outputs: int
    dropped: dict[str, int]
    sha256: str


class Mixture(NamedTuple):
    """The training data.

    Attributes:
        dataset: Columns ``messages``, ``input_ids``, ``assistant_masks``, ``task``.
        counts: One entry a task.
        missing: Task to the file patterns that matched nothing.
    """

    dataset: Dataset
    counts: list[TaskCounts]
    missing: dict[str, list[str]]


def select_tasks(data: DataArguments) -> dict[str, Share]:
    """Resolve names and globs to tasks.

    Args:
        data: The recipe's data arguments.

    Returns:
        Task name to its share, in the order of the recipe.

    Raises:
        UserError: With every unknown name, empty glob and bad share at once.
    """
    catalogue = {name: task for name, task in all_tasks().items() if task.split in data.split}
    chosen: dict[str, Share] = {}
    problems = [
        f"split: {split!r} is none of {', '.join(get_args(Split))}.{nearest(split, get_args(Split))}"
        for split in data.split
        if split not in get_args(Split)
    ]
    for pattern, settings in _patterns(data.tasks).items():
        names = fnmatch.filter(catalogue, pattern)
        if not names:
            outside = sorted({all_tasks()[name].split for name in fnmatch.filter(all_tasks(), pattern)})
            problems.append(
                f"tasks: {pattern!r} is in split {', '.join(outside)}; add that to `split` to train on it."
                if outside
                else f"tasks: no task is named {pattern!r}.{nearest(pattern, catalogue)} "
                "`spectrum-trl data` lists them."
            )
        try:
            share = Share.model_validate(settings or {})
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            problems.append(f"tasks: {pattern}: {'; '.join(faults)} (known: max_sequences, weight).")
            continue
        if share.max_sequences is None:
            share = share.model_copy(update={"max_sequences": data.max_sequences})
        chosen.update(dict.fromkeys(names, share))
    if problems:
        raise UserError(*problems)
    return chosen


def messages_of(
    task: Task, share: Share, *, folder: Path, data: DataArguments, dropped: Counter[str]
) -> Iterator[list[Message]]:
    """Yield the conversations of one task: capped, weighted, descriptions dropped at random.

    Args:
        task: The task.
        share: Its cap and weight.
        folder: Folder of the real data.
        data: The recipe's data arguments.
        dropped: Receives the reasons of rows left out.
    """
    rng = random.Random(f"{data.mixture_seed} {task.name}")
    sequences: Iterable = task.sequences(folder, seed=data.mixture_seed, dropped=dropped)
    if task.files and share.max_sequences:
        # Files come in an order that means something; generated sequences do not.
        everything = list(sequences)
        sequences = rng.sample(everything, min(share.max_sequences, len(everything)))
    probability = (
        task.description_probability if data.description_probability is None else data.description_probability
    )
    for sequence in itertools.islice(sequences, share.max_sequences):
        copies = int(share.weight) + (rng.random() < share.weight % 1)
        for _ in range(copies):
            conversation = message_checks.normalise(sequence.messages)
            keep = rng.random() < probability
            yield conversation if keep else [m for m in conversation if m["role"] != "description"]


def build_mixture(
    data: DataArguments, *, tokenizer: PreTrainedTokenizerBase, max_length: int | None, assistant_only: bool = True
) -> Mixture:
    """Build the training data of a recipe.

    Args:
        data: The recipe's data arguments.
        tokenizer: With the Spectrum template installed.
        max_length: Longest sequence in tokens; longer ones lose whole turns at their end.
        assistant_only: False for loss on every token.

    Returns:
        The data set and its counts.

    Raises:
        UserError: If tasks are unknown, files of the user hold faults, or nothing is left to train on.
        MissingData: If data sets are missing and ``ignore_missing`` is off.
    """
    chosen = select_tasks(data)
    missing, folder = _missing(chosen, data)
    parts, counts = [], []
    for name, share in chosen.items():
        if name in missing:
            continue
        dropped: Counter[str] = Counter()
        conversations = messages_of(all_tasks()[name], share, folder=folder, data=data, dropped=dropped)
        usable = _usable(conversations, tokenizer=tokenizer, dropped=dropped)
        rows, count = tokenize(
            name, usable, tokenizer=tokenizer, max_length=max_length, train_on=data.train_on, dropped=dropped
        )
        parts.append(rows)
        counts.append(count)
    for file in data.train_files or []:
        rows, count = tokenize(
            file,
            read_conversations(Path(file), tokenizer=tokenizer),
            tokenizer=tokenizer,
            max_length=max_length,
            train_on=data.train_on,
            dropped=Counter(),
        )
        parts.append(rows)
        counts.append(count)
    parts = [part for part in parts if len(part)]
    if not parts:
        reasons = sum((Counter(count.dropped) for count in counts), Counter())
        told = "; ".join(f"{reason}: {n}" for reason, n in reasons.items()) or "no task and no file was given"
        raise UserError(f"nothing to train on ({told}). Add tasks or train_files with a trained output.")
    dataset = concatenate_datasets(parts)
    return Mixture(dataset if assistant_only else dataset.remove_columns("assistant_masks"), counts, missing)


def texts_of(data: DataArguments) -> Iterator[str]:
    """Yield the contents of the first sequences of each task, for a new tokenizer to learn from.

    Args:
        data: The recipe's data arguments.
    """
    chosen = select_tasks(data)
    missing, folder = _missing(chosen, data)
    for name in chosen:
        if name not in missing:
            conversations = messages_of(all_tasks()[name], Share(), folder=folder, data=data, dropped=Counter())
            for conversation in itertools.islice(conversations, TOKENIZER_SEQUENCES):
                yield from (f"{message['role']}\n{message['content']}" for message in conversation)


def tokenize(
    name: str,
    conversations: Iterable[list[Message]],
    *,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None,
    train_on: str = "outputs",
    dropped: Counter[str],
) -> tuple[Dataset, TaskCounts]:
    """Tokenize conversations through the template, cut to whole turns, and count.

    Args:
        name: Of the task, for the counts.
        conversations: Checked messages.
        tokenizer: With the Spectrum template installed.
        max_length: Longest sequence in tokens, or None.
        train_on: Handed to the template: ``outputs``, ``first`` or ``last``.
        dropped: Receives sequences that keep no trained output.

    Returns:
        The rows and the counts.
    """
    rows: dict[str, list[Any]] = {"messages": [], "input_ids": [], "assistant_masks": [], "task": []}
    digest = hashlib.sha256()
    totals: Counter[str] = Counter()
    stream = iter(conversations)
    while batch := list(itertools.islice(stream, BATCH)):
        for conversation in batch:
            digest.update(json.dumps(conversation, ensure_ascii=False).encode())
        for whole, (kept, ids, mask) in zip(
            batch, _encode(batch, tokenizer=tokenizer, max_length=max_length, train_on=train_on), strict=True
        ):
            lost = _n_outputs(whole) - _n_outputs(kept)
            if not any(mask):
                dropped["cut away by max_length" if lost else "no trained output"] += 1
                continue
            totals += Counter(
                outputs=_n_outputs(kept), tokens=len(ids), trained=sum(mask), cut=int(lost > 0), lost=lost
            )
            for column, value in zip(rows, (kept, ids, mask, name), strict=True):
                rows[column].append(value)
    return Dataset.from_dict(rows), TaskCounts(
        name,
        len(rows["task"]),
        totals["outputs"],
        totals["tokens"],
        totals["trained"],
        totals["cut"],
        totals["lost"],
        dict(dropped),
        digest.hexdigest(),
    )


def read_conversations(file: Path, *, tokenizer: PreTrainedTokenizerBase) -> list[list[Message]]:
    """Read a user's JSON Lines file of conversations.

    Args:
        file: One object with ``messages`` a line.
        tokenizer: Whose control tokens must not occur in contents.

    Returns:
        The conversations.

    Raises:
        UserError: With every faulty line at once (the first twenty).
    """
    if not file.is_file():
        raise UserError(f"train_files: {file} does not exist")
    problems, conversations = [], []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            conversation = json.loads(line)["messages"]
            faults = message_checks.check(conversation, tokenizer=tokenizer)
        except (json.JSONDecodeError, KeyError, TypeError):
            faults = ['expected one JSON object with the key "messages"']
        problems += [f"{file}, line {number}: {fault}" for fault in faults]
        conversations.append(conversation if not faults else [])
    if len(problems) > 20:
        problems = [*problems[:20], f"{file}: and {len(problems) - 20} more faults"]
    if problems:
        raise UserError(*problems)
    if not conversations:
        raise UserError(f"{file} is empty: expected one JSON object with messages a line")
    return conversations


def _usable(
    conversations: Iterable[list[Message]], *, tokenizer: PreTrainedTokenizerBase, dropped: Counter[str]
) -> Iterator[list[Message]]:
    """Pass on conversations without faults; count the others under their first fault."""
    for conversation in conversations:
        faults = message_checks.check(conversation, tokenizer=tokenizer)
        if faults:
            dropped[re.sub(r"^message \d+ ", "", faults[0]).split(":")[0]] += 1
        else:
            yield conversation


def _encode(
    batch: list[list[Message]], *, tokenizer: PreTrainedTokenizerBase, max_length: int | None, train_on: str
) -> Iterator[tuple[list[Message], list[int], list[int]]]:
    """Yield what is kept of each conversation, with its token ids and loss mask."""
    limit = None if max_length is None else max_length // SHORTEST_TURN + 1
    shorter = [conversation[:limit] for conversation in batch]
    encoded = _apply(shorter, tokenizer=tokenizer, train_on=train_on)
    for conversation, ids, mask in zip(shorter, *encoded, strict=True):
        if max_length is None or len(ids) <= max_length:
            yield conversation, ids, mask
            continue
        ends = np.flatnonzero(np.array(ids) == tokenizer.eos_token_id)
        fitting = int((ends < max_length).sum())
        kept = conversation[:fitting]
        while kept and kept[-1]["role"] != "output":
            kept = kept[:-1]
        if kept:
            (ids,), (mask,) = _apply([kept], tokenizer=tokenizer, train_on=train_on)
            # The line break after the last end of turn may be the one token too many.
            yield kept, ids[:max_length], mask[:max_length]
        else:
            yield [], [], []


def _apply(
    batch: list[list[Message]], *, tokenizer: PreTrainedTokenizerBase, train_on: str
) -> tuple[list[list[int]], list[list[int]]]:
    encoded = tokenizer.apply_chat_template(
        batch, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, train_on=train_on
    )
    return encoded["input_ids"], encoded["assistant_masks"]


def _patterns(tasks: Any) -> dict[str, Any]:
    if isinstance(tasks, str):
        return {part.strip(): None for part in tasks.split(",") if part.strip()}
    return dict(tasks) if isinstance(tasks, dict) else {str(task): None for task in tasks or []}


def _missing(chosen: Iterable[str], data: DataArguments) -> tuple[dict[str, list[str]], Path]:
    """Find tasks whose files are absent; an error unless the recipe ignores them."""
    on_disk = [all_tasks()[name] for name in chosen if all_tasks()[name].files]
    if not on_disk:
        return {}, Path()
    try:
        folder = data_dir(data.data_dir)
    except MissingData:
        if not data.ignore_missing:
            raise
        return {task.name: list(task.files) for task in on_disk}, Path()
    missing = {task.name: absent for task in on_disk if (absent := task.missing(folder))}
    if missing and not data.ignore_missing:
        raise MissingData(
            *(f"{name}: no file in {folder} matches {', '.join(files)}" for name, files in missing.items()),
            "Fetch these data sets, remove the tasks, or set `ignore_missing: true` to train on what is there.",
        )
    return missing, folder


def _n_outputs(conversation: list[Message]) -> int:
    return sum(message["role"] == "output" for message in conversation)
