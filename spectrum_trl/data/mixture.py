"""Turn a recipe's tasks into one tokenized dataset, and count everything lost."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from datasets import Dataset, concatenate_datasets
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from transformers import PreTrainedTokenizerBase

from spectrum_trl.console import on_terminal
from spectrum_trl.data.choice import Choice, select_eval_tasks, select_tasks
from spectrum_trl.data.conversations import check_files, read_conversations, weighted
from spectrum_trl.data.encode import Encoder, TaskCounts, encode, usable
from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.paths import data_dir
from spectrum_trl.prompts.messages import normalise
from spectrum_trl.prompts.templates import layout_template
from spectrum_trl.recipe.arguments import DataArguments, FileOptions, TaskOptions
from spectrum_trl.suite.building.cache import missing as lacking
from spectrum_trl.suite.building.held_out import (
    LEFT_OUT,
    held_out_sequences,
    is_held_out,
    training_sequences,
)
from spectrum_trl.suite.fetching.status import ensure, status
from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.task import EVALUATED, Message, SampleSequence, Task

# Enough for a new tokenizer to see every word that a task uses.
TOKENIZER_SEQUENCES, TOKENIZER_TURNS = 1000, 8


class Mixture(NamedTuple):
    """The training data.

    Attributes:
        dataset: Columns ``messages``, ``input_ids``, ``assistant_masks``, ``task``.
        counts: One entry per task.
        missing: How to get the data of each task that has none, by task name.
        held_out: Data whose loss is measured while training, by task, with the same columns; empty without.
        held_out_counts: Their counts.
    """

    dataset: Dataset
    counts: list[TaskCounts]
    missing: dict[str, str]
    held_out: dict[str, Dataset] = {}
    held_out_counts: list[TaskCounts] = []


def _messages_of(
    task: Task,
    options: TaskOptions,
    *,
    folder: Path,
    data: DataArguments,
    dropped: Counter[str],
    held_out: bool = False,
) -> Iterator[list[Message]]:
    """Yield the conversations of one task: capped, weighted, descriptions dropped at random."""
    sequences: Iterable = (held_out_sequences if held_out else training_sequences)(
        task,
        data_dir=folder,
        seed=data.mixture_seed,
        dropped=dropped,
        share=data.held_out_share,
        paper=data.sampling == "paper",
    )
    if data.leave_out_evaluated:
        sequences = _not_evaluated(sequences, task, dropped=dropped)
    if options.max_sequences and not task.synthetic:
        # The order of files can carry meaning; that of generated sequences does not.
        everything = list(sequences)
        chosen = _choose(len(everything), options.max_sequences, seed=data.mixture_seed, name=task.name)
        sequences = [everything[index] for index in chosen]
    probability = (
        task.description_probability if data.description_probability is None else data.description_probability
    )
    yield from weighted(
        (
            (sequence.sequence_id, sequence.messages)
            for sequence in itertools.islice(sequences, options.max_sequences)
        ),
        weight=options.weight,
        description_probability=probability,
        seed=data.mixture_seed,
        name=task.name,
    )


def _not_evaluated(
    sequences: Iterable[SampleSequence], task: Task, *, dropped: Counter[str]
) -> Iterator[SampleSequence]:
    for sequence in sequences:
        if task.is_evaluated(sequence.sequence_id):
            dropped[EVALUATED] += 1
        else:
            yield sequence


def messages_of_file(
    file: str,
    options: FileOptions,
    *,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    dropped: Counter[str],
    held_out_share: float = 0.0,
    held_out: bool = False,
) -> Iterator[list[Message]]:
    """Yield the conversations of one of the user's files: capped, weighted, descriptions dropped at random.

    The tokenizer's control tokens must not occur in contents; the seed is the only source of randomness. A
    conversation is held out by its content, so the same one is in all files.
    """
    conversations = []
    for conversation in read_conversations(Path(file), tokenizer=tokenizer):
        name = json.dumps(conversation, sort_keys=True)
        if is_held_out(name, source="train_files", share=held_out_share) == held_out:
            conversations.append(conversation)
        else:
            dropped[f"not {LEFT_OUT}" if held_out else LEFT_OUT] += 1
    # Keep the file's order, so the chosen lines keep their relative positions.
    chosen = sorted(
        _choose(len(conversations), options.max_sequences or len(conversations), seed=seed, name=file)
    )
    yield from weighted(
        ((index, conversations[index]) for index in chosen),
        weight=options.weight,
        description_probability=options.description_probability,
        seed=seed,
        name=file,
    )


def _choose(n: int, most: int, *, seed: int, name: str) -> list[int]:
    """Return at most ``most`` of the first ``n`` indices, in random order."""
    rng = stream(seed, task=name, purpose="which")
    return [int(index) for index in rng.permutation(n)[:most]]


def build_mixture(
    data: DataArguments,
    *,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None,
    assistant_only: bool = True,
    evaluates: bool = False,
    show_progress: bool = False,
) -> Mixture:
    """Build the training data of a recipe.

    Args:
        data: The recipe's data arguments.
        tokenizer: With the Spectrum template installed.
        max_length: Maximum sequence length in tokens; longer sequences lose whole turns at the end.
        assistant_only: False for loss on every token.
        evaluates: Whether to build the held-out data, too.
        show_progress: Whether to show a progress bar for each task.

    Returns:
        The dataset and its counts.

    Raises:
        UserError: If tasks are unknown, the user's files have errors, or nothing is left to train on, or
            to evaluate on.
        MissingData: If data are missing and ``ignore_missing`` is off.
    """
    chosen = select_tasks(data)
    check_files(data.train_files)
    evaluated = select_eval_tasks(data) if evaluates else {}
    missing, folder = _missing(chosen | evaluated, data)
    template = layout_template(data.layout)
    encoder = Encoder(tokenizer, max_length=max_length, train_on=data.train_on, template=template)
    present = {name: choice for name, choice in chosen.items() if name not in missing}
    caps = {name: choice.options.max_sequences for name, choice in present.items()}
    caps |= {file: options.max_sequences for file, options in data.train_files.items()}
    found = _conversations(present, data, folder=folder, tokenizer=tokenizer)
    if show_progress:
        found = (
            (name, _with_progress(conversations, name, total=caps[name]), dropped)
            for name, conversations, dropped in found
        )
    parts, counts = _encoded(found, encoder, data=data, assistant_only=assistant_only)
    if not parts:
        raise UserError(
            f"nothing to train on ({_lost(counts) or 'no task and no file was given'}). "
            "Add tasks or train_files with a trained output."
        )
    mixture = Mixture(concatenate_datasets(list(parts.values())), counts, missing)
    if not evaluates:
        return mixture
    evaluated = {name: choice for name, choice in evaluated.items() if name not in missing}
    found = _held_out(present, evaluated, data, folder=folder, tokenizer=tokenizer)
    held_out, counts = _encoded(found, encoder, data=data, assistant_only=assistant_only)
    if not held_out:
        raise UserError(
            f"eval_strategy: nothing is left of the {100 * data.held_out_share:g}% held out to evaluate on "
            f"({_lost(counts) or 'no task was given'}); raise held_out_share, eval_max_sequences or "
            "max_length, or name eval_tasks"
        )
    return mixture._replace(held_out=held_out, held_out_counts=counts)


def _lost(counts: Iterable[TaskCounts]) -> str:
    """Return why sequences were left out, and how many."""
    reasons = sum((Counter(count.dropped) for count in counts), Counter())
    return "; ".join(f"{reason}: {n:,}" for reason, n in reasons.items())


def _encoded(
    found: Iterable[tuple[str, Iterable[list[Message]], Counter[str]]],
    encoder: Encoder,
    *,
    data: DataArguments,
    assistant_only: bool,
) -> tuple[dict[str, Dataset], list[TaskCounts]]:
    """Tokenize named conversations; return the rows by name, without empty ones, and the counts of all."""
    parts: dict[str, Dataset] = {}
    counts = []
    for name, conversations, dropped in found:
        split_long = data.long_sequences == "split"
        rows, count = encode(name, conversations, encoder, split_long=split_long, dropped=dropped)
        if not assistant_only:
            rows = rows.remove_columns("assistant_masks")
            # Every token but the first of a sequence is predicted.
            count = replace(count, trained_tokens=count.tokens - count.sequences)
        counts.append(count)
        if len(rows):
            # A user's table can have held-out individuals of its training part, and a test part.
            parts[name] = concatenate_datasets([parts[name], rows]) if name in parts else rows
    return parts, counts


def _held_out(
    trained: dict[str, Choice],
    evaluated: dict[str, Choice],
    data: DataArguments,
    *,
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
) -> Iterator[tuple[str, Iterable[list[Message]], Counter[str]]]:
    """Yield like `_conversations`: individuals held out of the trained tasks and files, and other tasks."""
    if data.held_out_share:
        once = {"weight": 1.0, "max_sequences": data.eval_max_sequences}
        capped = {name: Choice(task, own.model_copy(update=once)) for name, (task, own) in trained.items()}
        files = {name: own.model_copy(update=once) for name, own in data.train_files.items()}
        some = replace(data, train_files=files)
        yield from _conversations(capped, some, folder=folder, tokenizer=tokenizer, held_out=True)
    whole = replace(data, train_files={}, held_out_share=0.0)
    yield from _conversations(evaluated, whole, folder=folder, tokenizer=tokenizer)


def _with_progress(conversations: Iterable, name: str, *, total: int | None) -> Iterable:
    return track(
        conversations,
        description=escape(name),
        total=total,
        console=Console(stderr=True),
        transient=True,
        disable=not on_terminal(),
    )


def _conversations(
    chosen: dict[str, Choice],
    data: DataArguments,
    *,
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    held_out: bool = False,
) -> Iterator[tuple[str, Iterable[list[Message]], Counter[str]]]:
    """Yield the name, usable conversations and counter of dropped rows of each task and user's file."""
    for name, (task, own_options) in chosen.items():
        dropped: Counter[str] = Counter()
        conversations = _messages_of(
            task, own_options, folder=folder, data=data, dropped=dropped, held_out=held_out
        )
        yield name, usable(conversations, tokenizer=tokenizer, dropped=dropped), dropped
    for file, options in data.train_files.items():
        dropped = Counter()
        conversations = messages_of_file(
            file,
            options,
            tokenizer=tokenizer,
            seed=data.mixture_seed,
            dropped=dropped,
            held_out_share=data.held_out_share,
            held_out=held_out,
        )
        yield file, conversations, dropped


def texts_of(data: DataArguments) -> Iterator[str]:
    """Yield the contents of the first sequences of each task, for a new tokenizer to learn from."""
    chosen = select_tasks(data)
    missing, folder = _missing(chosen, data)
    for name, choice in chosen.items():
        if name not in missing:
            conversations = _messages_of(
                choice.task, TaskOptions(), folder=folder, data=data, dropped=Counter()
            )
            for conversation in map(normalise, itertools.islice(conversations, TOKENIZER_SEQUENCES)):
                yield from (f"{m['role']}\n{m['content']}" for m in conversation[:TOKENIZER_TURNS])


def _missing(chosen: dict[str, Choice], data: DataArguments) -> tuple[dict[str, str], Path]:
    """Fetch missing files where possible; raise if tasks still lack some, unless the recipe ignores them."""
    on_disk = [choice.task for choice in chosen.values() if not choice.task.synthetic]
    if not on_disk:
        return {}, Path()
    folder = data_dir(data.data_dir)
    failed = ensure(on_disk, data_dir=folder)
    absent = {task.name: files for task in on_disk if (files := lacking(task, data_dir=folder))}
    how = {task.name: status(task, data_dir=folder).how for task in on_disk if task.name in absent}
    if absent and not data.ignore_missing:
        raise MissingData(
            *(
                f"{name}: no file in {folder} matches {', '.join(files)}: {how[name]}"
                for name, files in absent.items()
            ),
            *failed,
            "Get these, remove the tasks, or set `ignore_missing: true` to train without them.",
        )
    return how, folder
