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
from spectrum_trl.data.conversations import check_files, read_conversations, weighted
from spectrum_trl.data.encode import Encoder, TaskCounts, encode, usable
from spectrum_trl.errors import MissingData, UserError, refuse
from spectrum_trl.known_tasks import matching, unknown_tasks
from spectrum_trl.known_tasks import tasks as all_tasks
from spectrum_trl.paths import data_dir
from spectrum_trl.prompts.messages import normalise
from spectrum_trl.prompts.templates import layout_template
from spectrum_trl.recipe.arguments import DataArguments, FileOptions, TaskOptions
from spectrum_trl.suite.building.cache import missing as lacking
from spectrum_trl.suite.building.held_out import LEFT_OUT, is_held_out, training_sequences
from spectrum_trl.suite.fetching.status import ensure, status
from spectrum_trl.suite.own.table import is_own, read_own
from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.task import Message, Task

# Enough for a new tokenizer to see every word that a task uses.
TOKENIZER_SEQUENCES, TOKENIZER_TURNS = 1000, 8


class Mixture(NamedTuple):
    """The training data.

    Attributes:
        dataset: Columns ``messages``, ``input_ids``, ``assistant_masks``, ``task``.
        counts: One entry per task.
        missing: How to get the data of each task that has none, by task name.
    """

    dataset: Dataset
    counts: list[TaskCounts]
    missing: dict[str, str]


class Choice(NamedTuple):
    """A task to train on, with its cap and weight."""

    task: Task
    options: TaskOptions


def select_tasks(data: DataArguments) -> dict[str, Choice]:
    """Resolve names, globs, and the user's YAML files to tasks, by name in the order of the recipe.

    Raises:
        UserError: With every unknown name and unmatched glob at once.
    """
    catalogue = {name: task for name, task in all_tasks().items() if task.split in data.split}
    chosen: dict[str, Choice] = {}
    # The user's YAML file that declares each task, by task name.
    files: dict[str, str] = {}
    problems: list[str] = []
    for pattern, options in data.tasks.items():
        if options.max_sequences is None:
            options = options.model_copy(update={"max_sequences": data.max_sequences})
        if is_own(pattern):
            try:
                own = read_own(Path(pattern), split="train")
                if own.name in chosen:
                    problems.append(_twice(own.name, files.get(own.name, own.name), pattern))
                chosen[own.name], files[own.name] = Choice(own, options), pattern
            except UserError as error:
                problems += error.problems
            continue
        names = [name for name in matching(pattern) if name in catalogue]
        if not names and (outside := sorted({all_tasks()[name].split for name in matching(pattern)})):
            problems.append(
                f"tasks: {pattern!r} is in split {', '.join(outside)}; add it to `split` to train on it."
            )
        problems += unknown_tasks([pattern])
        problems += [_twice(name, files[name], pattern) for name in names if name in files]
        chosen.update({name: Choice(catalogue[name], options) for name in names})
    refuse(problems)
    return chosen


def _twice(name: str, first: str, second: str) -> str:
    return f"tasks: {first} and {second} both declare a task {name}: change the key `task` in one of them"


def _messages_of(
    task: Task, options: TaskOptions, *, folder: Path, data: DataArguments, dropped: Counter[str]
) -> Iterator[list[Message]]:
    """Yield the conversations of one task: capped, weighted, descriptions dropped at random."""
    sequences: Iterable = training_sequences(
        task,
        data_dir=folder,
        seed=data.mixture_seed,
        dropped=dropped,
        share=data.held_out_share,
        paper=data.sampling == "paper",
    )
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


def messages_of_file(
    file: str,
    options: FileOptions,
    *,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    dropped: Counter[str],
    held_out_share: float = 0.0,
) -> Iterator[list[Message]]:
    """Yield the conversations of one of the user's files: capped, weighted, descriptions dropped at random.

    The tokenizer's control tokens must not occur in contents; the seed is the only source of randomness. A
    conversation is held out by its content, so the same one is in all files.
    """
    conversations = []
    for conversation in read_conversations(Path(file), tokenizer=tokenizer):
        name = json.dumps(conversation, sort_keys=True)
        if is_held_out(name, source="train_files", share=held_out_share):
            dropped[LEFT_OUT] += 1
        else:
            conversations.append(conversation)
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
    show_progress: bool = False,
) -> Mixture:
    """Build the training data of a recipe.

    Args:
        data: The recipe's data arguments.
        tokenizer: With the Spectrum template installed.
        max_length: Maximum sequence length in tokens; longer sequences lose whole turns at the end.
        assistant_only: False for loss on every token.
        show_progress: Whether to show a progress bar for each task.

    Returns:
        The dataset and its counts.

    Raises:
        UserError: If tasks are unknown, the user's files have errors, or nothing is left to train on.
        MissingData: If data are missing and ``ignore_missing`` is off.
    """
    chosen = select_tasks(data)
    check_files(data.train_files)
    missing, folder = _missing(chosen, data)
    template = layout_template(data.layout)
    encoder = Encoder(tokenizer, max_length=max_length, train_on=data.train_on, template=template)
    present = {name: choice for name, choice in chosen.items() if name not in missing}
    caps = {name: choice.options.max_sequences for name, choice in present.items()}
    caps |= {file: options.max_sequences for file, options in data.train_files.items()}
    parts, counts = [], []
    for name, conversations, dropped in _conversations(present, data, folder=folder, tokenizer=tokenizer):
        rows, count = encode(
            name,
            _with_progress(conversations, name, total=caps[name]) if show_progress else conversations,
            encoder,
            split_long=data.long_sequences == "split",
            dropped=dropped,
        )
        counts.append(count)
        if len(rows):
            parts.append(rows)
    if not parts:
        reasons = sum((Counter(count.dropped) for count in counts), Counter())
        found = "; ".join(f"{reason}: {n}" for reason, n in reasons.items())
        raise UserError(
            f"nothing to train on ({found or 'no task and no file was given'}). "
            "Add tasks or train_files with a trained output."
        )
    dataset = concatenate_datasets(parts)
    if not assistant_only:
        dataset = dataset.remove_columns("assistant_masks")
        # Every token but the first of a sequence is predicted.
        counts = [replace(count, trained_tokens=count.tokens - count.sequences) for count in counts]
    return Mixture(dataset, counts, missing)


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
    chosen: dict[str, Choice], data: DataArguments, *, folder: Path, tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[str, Iterable[list[Message]], Counter[str]]]:
    """Yield the name, usable conversations and counter of dropped rows of each task and user's file."""
    for name, (task, own_options) in chosen.items():
        dropped: Counter[str] = Counter()
        conversations = _messages_of(task, own_options, folder=folder, data=data, dropped=dropped)
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
