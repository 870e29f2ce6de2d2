"""Prepare a recipe's tokenizer and training data, built by one process per machine and read by the others."""

import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import cast, get_args

from accelerate import PartialState
from datasets import Dataset, load_from_disk
from filelock import FileLock
from transformers import PreTrainedTokenizerBase

from spectrum_trl.data.encode import TaskCounts
from spectrum_trl.data.mixture import Mixture, build_mixture, texts_of
from spectrum_trl.errors import UserError, refuse
from spectrum_trl.files import folder_problems, write_json, writing
from spectrum_trl.models.initialise import check_sibling, new_tokenizer
from spectrum_trl.models.load import load_tokenizer
from spectrum_trl.paths import cache_folder
from spectrum_trl.prompts import templates
from spectrum_trl.prompts.templates import check_layout, layout_template
from spectrum_trl.recipe.arguments import TaskOptions
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.suite.task import Split

COUNTS, HELD_OUT = "counts.json", "held_out_"
# No process takes this long to read what another has built.
LEFT_SECONDS = 7 * 24 * 3600


def prepare(recipe: Recipe, *, show_progress: bool = False) -> tuple[PreTrainedTokenizerBase, str, Mixture]:
    """Load or train the tokenizer, install the template, whose family is returned too, and build the data."""
    if sibling := recipe.run.copy_role_tokens_from:
        check_sibling(
            sibling, model=str(recipe.model.model_name_or_path), revision=recipe.model.model_revision
        )
    if recipe.run.new_model:
        words = {name: TaskOptions() for name in recipe.run.new_vocab_tasks or []}
        more = replace(recipe.data, tasks=words, split=list(get_args(Split)))
        texts = chain(texts_of(recipe.data), texts_of(more))
        tokenizer: PreTrainedTokenizerBase = new_tokenizer(texts, vocab_size=recipe.run.new_vocab_size)
    else:
        tokenizer = load_tokenizer(str(recipe.model.model_name_or_path), revision=recipe.model.model_revision)
    check_layout(tokenizer, layout=recipe.data.layout)
    if recipe.data.layout == "chat":
        # The Spectrum template is added beside it, as for any chat model.
        tokenizer.chat_template = layout_template("chat")
    family = templates.install(tokenizer)
    check_end_of_turn(recipe.training.eos_token, tokenizer=tokenizer)
    training = recipe.training
    evaluates = training.eval_strategy != "no"
    mixture = built_once(
        lambda: build_mixture(
            recipe.data,
            tokenizer=tokenizer,
            max_length=training.max_length,
            assistant_only=training.assistant_only_loss,
            evaluates=evaluates,
            show_progress=show_progress,
        ),
        settings=" ".join(
            map(str, (recipe.data, training.max_length, training.assistant_only_loss, evaluates))
        ),
    )
    return tokenizer, family, mixture


def check_end_of_turn(eos_token: str | None, *, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that a recipe's ``eos_token`` ends a turn, because outputs are trained to end with that token.

    Raises:
        UserError: If it is not the tokenizer's end-of-sequence token, which with the template ends a turn.
    """
    if eos_token is not None and eos_token != tokenizer.eos_token:
        raise UserError(
            f"eos_token: outputs end with {tokenizer.eos_token!r} in this model's template, not with "
            f"{eos_token!r}, which sampling would wait for; remove eos_token"
        )


def built_once(build: Callable[[], Mixture], *, settings: str) -> Mixture:
    """Return the result of ``build``, called by only one process on each machine.

    The first process to hold the lock builds; if it fails, each of the others tries in turn and fails with
    the same message.

    Args:
        build: Builds the data.
        settings: Everything that determines the data; distinguishes them from those of other runs.

    Returns:
        The data; with several processes, read from a folder that is deleted once all have read it.
    """
    state = PartialState()
    if state.num_processes == 1:
        return build()
    name = hashlib.sha256(f"{settings} {_run()}".encode()).hexdigest()[:16]
    folder = cache_folder() / "mixtures" / name
    place = "(the cache folder, which SPECTRUM_CACHE names)"
    refuse(f"{problem} {place}" for problem in folder_problems(folder.parent))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            _write(build(), folder)
        mixture = _read(folder)
    state.wait_for_everyone()
    if state.is_local_main_process:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".lock").unlink(missing_ok=True)
        _remove_left(folder.parent)
    return mixture


def _remove_left(folder: Path) -> None:
    """Remove the leftovers of runs that were killed before all their processes had read the data."""
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > LEFT_SECONDS:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _run() -> str:
    """Return an identifier shared by the processes of one run on one machine, and by no others."""
    # Machines can share a cache folder and have the same numbers.
    return f"{platform.node()} {os.environ.get('MASTER_PORT')} {os.getppid()}"


def _write(mixture: Mixture, folder: Path) -> None:
    way_out = "make room, or set SPECTRUM_CACHE to another folder"
    with writing(folder, way_out=way_out), tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        place = Path(scratch) / "whole"
        mixture.dataset.save_to_disk(str(place))
        for number, rows in enumerate(mixture.held_out.values()):
            rows.save_to_disk(str(place / f"{HELD_OUT}{number}"))
        rest = {
            "counts": [asdict(count) for count in mixture.counts],
            "missing": mixture.missing,
            "held_out": list(mixture.held_out),
            "held_out_counts": [asdict(count) for count in mixture.held_out_counts],
        }
        write_json(rest, place / COUNTS)
        place.rename(folder)


def _read(folder: Path) -> Mixture:
    rest = json.loads((folder / COUNTS).read_text(encoding="utf-8"))
    counts, held_out_counts = (
        [TaskCounts(**count) for count in rest[name]] for name in ("counts", "held_out_counts")
    )
    # In memory, as for a single process: a later `map` would otherwise write its cache beside the files.
    held_out = {
        name: cast(Dataset, load_from_disk(str(folder / f"{HELD_OUT}{number}"), keep_in_memory=True))
        for number, name in enumerate(rest["held_out"])
    }
    dataset = cast(Dataset, load_from_disk(str(folder), keep_in_memory=True))
    return Mixture(dataset, counts, rest["missing"], held_out, held_out_counts)
