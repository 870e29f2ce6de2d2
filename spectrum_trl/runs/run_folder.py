"""The files of a run in its folder, and a list of them: only listed files are ever replaced or deleted."""

import json
import os
import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from spectrum_trl.console import console
from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import Interrupted, UserError
from spectrum_trl.files import write_json
from spectrum_trl.recipe.read import Recipe, write_recipe
from spectrum_trl.recipe.recipe_file import SECRETS
from spectrum_trl.runs.checkpoints import CONFIGS, RECORD, SET_ASIDE, Checkpoint, step_of
from spectrum_trl.runs.resume import before, data_of, model_of, settings_of, versions
from spectrum_trl.strict.json import read_json

RECIPE, HISTORY, FILES = "recipe.yaml", "history.jsonl", "run_files.json"
STAGING, STAGED = ".saving", ".saved"
# Options of one start, left out of the saved recipe, which can be run again or resumed.
STARTS = ("overwrite", "resume_from_checkpoint", "resume_despite_changes")


class RunFolder:
    """The output folder of one run.

    Nothing is written, and nothing of an earlier run removed, before `begin`: a run that fails before its
    first step leaves the folder unchanged.
    """

    def __init__(self, recipe: Recipe, *, is_main: bool) -> None:
        """Take the recipe's ``output_dir``; in processes other than the main one, all methods do nothing."""
        self.path = Path(str(recipe.training.output_dir))
        self.begun = False
        self._recipe, self.is_main = recipe, is_main
        self._record: dict[str, Any] = {}
        self._event: dict[str, Any] = {}
        self._waiting: dict[str, Any] = {}
        self._newer: list[Path] = []

    def prepare(self, mixture: Mixture, *, checkpoint: Checkpoint, changes: Mapping[str, list[Any]]) -> None:
        """Collect what `begin` will write: the record of the data, and for the history what changed.

        Checkpoints newer than the one that the run resumes from are set aside.
        """
        self._record = {
            "settings": settings_of(self._recipe),
            "processes": PartialState().num_processes,
            "versions": versions(),
            "model": model_of(self._recipe),
            **before(self._recipe),
            **data_of(mixture),
        }
        settings = self._recipe.settings
        self._event = {
            "event": "resumed" if checkpoint.path else "started",
            "checkpoint": checkpoint.path and str(checkpoint.path),
            "changes": dict(changes),
            "processes": self._record["processes"],
            "recipe": {name: settings[name] for name in settings if name not in (*STARTS, *SECRETS)},
        }
        self._newer = list(checkpoint.newer)

    def begin(self) -> None:
        """Claim the folder: write the recipe and the record of this start, and add it to the history."""
        if self.begun or not self.is_main:
            return
        self.begun = True
        self.path.mkdir(parents=True, exist_ok=True)
        # The list comes first: it marks the folder as that of a run.
        self.list_files(finish_move(self.path))
        if self._recipe.run.overwrite:
            remove_listed(self.path)
            # Checkpoints that an interrupted run had not yet listed could be mistaken for this run's.
            set_aside(self.path.glob(f"{PREFIX_CHECKPOINT_DIR}-*"), self.path)
        self._keep_record()
        set_aside(self._newer, self.path)
        self.list_files([])
        write_json(self._record, self.path / RECORD)
        write_recipe(self._event["recipe"], self.path / RECIPE)
        event = {"time": datetime.now(UTC).isoformat(timespec="seconds"), **self._event}
        _append_line(json.dumps(event, ensure_ascii=False, default=str), self.path / HISTORY)
        self.list_files([self.path / name for name in (RECIPE, RECORD, HISTORY)])
        for name, value in self._waiting.items():
            self.add_json(name, value)

    def _keep_record(self) -> None:
        """Copy the record into checkpoints that a killed run wrote but could not add it to."""
        record = self.path / RECORD
        for checkpoint in sorted(self.path.glob(f"{PREFIX_CHECKPOINT_DIR}-*"), key=step_of):
            if record.is_file() and checkpoint.is_dir() and not (checkpoint / RECORD).exists():
                shutil.copyfile(record, checkpoint / RECORD)
                self.list_files([checkpoint / RECORD])

    def add_record(self, checkpoint: Path) -> None:
        """Write this start's record into a checkpoint, and list all its files."""
        if self.is_main:
            write_json(self._record, checkpoint / RECORD)
            # TRL writes a model card beside the checkpoint.
            self.list_files([*checkpoint.rglob("*"), self.path / "README.md"])

    def add_to_record(self, name: str, value: Any) -> None:
        """Add to the record of a run that has begun."""
        self._record[name] = value
        write_json(self._record, self.path / RECORD)

    def add_json(self, name: str, value: Any) -> None:
        """Write a JSON file into the folder, now or once the run has begun."""
        if not self.is_main:
            return
        if not self.begun:
            self._waiting[name] = value
            return
        write_json(value, self.path / name)
        self.list_files([self.path / name])

    def list_files(self, files: Iterable[Path]) -> None:
        """Add files to the list of files that the run wrote."""
        names = {file.relative_to(self.path).as_posix() for file in files if file.is_file()}
        present = {name for name in listed(self.path) if (self.path / name).is_file()}
        write_json(sorted(present | names | {FILES}), self.path / FILES)

    def publish(self, staging: Path) -> None:
        """Move a staged model into place; `finish_move` finishes an interrupted move."""
        if self.is_main:
            # A single rename decides: before it the old model is valid, after it the new one.
            staging.rename(self.path / STAGED)
            self.list_files(finish_move(self.path))


def finish_move(folder: Path) -> list[Path]:
    """Finish moving a staged model into place, even if an earlier process was stopped halfway.

    Returns:
        The files in their final places; empty if nothing was staged.
    """
    staged = folder / STAGED
    if not staged.is_dir():
        return []
    for config in CONFIGS:
        (folder / config).unlink(missing_ok=True)
    files = sorted(file for file in staged.rglob("*") if file.is_file())
    names = [file.relative_to(staged) for file in files]
    for old in listed(folder):
        # Shards and templates of the previous model that the new one does not replace.
        is_model = Path(old).name.endswith((".safetensors", ".safetensors.index.json", ".jinja"))
        is_checkpoint = Path(old).parts[0].startswith(PREFIX_CHECKPOINT_DIR)
        if is_model and not is_checkpoint and Path(old) not in names:
            (folder / old).unlink(missing_ok=True)
    for name in sorted(names, key=lambda name: name.as_posix() in CONFIGS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).replace(folder / name)
    shutil.rmtree(staged)
    return [folder / name for name in names]


def listed(folder: Path) -> list[str]:
    """Return the files that the run in a folder wrote, relative to the folder.

    Raises:
        UserError: If the list is damaged or names files outside the folder.
    """
    file = folder / FILES
    if not file.is_file():
        return []
    try:
        names = read_json(file)
    except ValueError as error:
        raise UserError(
            f"{file} is damaged ({error}); remove the folder yourself, or name another"
        ) from error
    if not isinstance(names, list) or not all(_can_be_inside(folder, name) for name in names):
        raise UserError(
            f"{file} lists files outside its folder, or impossible file names; remove the folder yourself, "
            "or name another"
        )
    return names


def remove_listed(folder: Path) -> None:
    """Delete the files that an earlier run wrote, and folders left empty by this; keep all others.

    The list itself is deleted last, so an interrupted removal can be repeated.
    """
    files = [folder / name for name in listed(folder) if name != FILES]
    for file in files:
        if not any(parent.is_symlink() for parent in file.parents if folder in parent.parents):
            file.unlink(missing_ok=True)
    for parent in sorted({p for file in files for p in file.parents if folder in p.parents}, reverse=True):
        if parent.is_dir() and not parent.is_symlink() and not any(parent.iterdir()):
            parent.rmdir()
    (folder / FILES).unlink(missing_ok=True)


def set_aside(checkpoints: Iterable[Path], folder: Path) -> None:
    """Move checkpoints away: rotation would count them, and resuming could mistake them for newer ones."""
    for checkpoint in list(checkpoints):
        (folder / SET_ASIDE).mkdir(exist_ok=True)
        target, number = folder / SET_ASIDE / checkpoint.name, 1
        while target.exists():
            number += 1
            target = target.with_name(f"{checkpoint.name}.{number}")
        checkpoint.rename(target)
        console().print(f"set aside: moved {checkpoint} to {target}", markup=False)


class KeepRunFolder(TrainerCallback):
    """Begin the run at its first step, and add the record to every checkpoint."""

    def __init__(self, folder: RunFolder) -> None:
        """Store the folder."""
        self._folder = folder

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Begin the run."""
        self._folder.begin()

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Add the record."""
        self._folder.add_record(self._folder.path / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")


@contextmanager
def explain_interrupt(folder: RunFolder) -> Iterator[None]:
    """Turn Ctrl-C into one line that says how to resume the run.

    Raises:
        Interrupted: In the main process; the others exit silently.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        # The signal arrives twice if a launcher forwards what the terminal has already sent to both.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if not folder.is_main:
            raise
        if not folder.begun:
            way_on = "nothing was written yet"
        elif any(folder.path.glob(f"{PREFIX_CHECKPOINT_DIR}-*")):
            way_on = "continue from the newest checkpoint with `--resume_from_checkpoint last`"
        else:
            way_on = "it has no checkpoint to resume from; start over with `--overwrite true`"
        raise Interrupted(f"the run in {folder.path}: {way_on}") from error


def _append_line(line: str, file: Path) -> None:
    with open(file, "a+b") as stream:
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            # A full disk or a kill may have truncated the previous line.
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        stream.write(line.encode() + b"\n")


def _can_be_inside(folder: Path, name: Any) -> bool:
    path = Path(name) if isinstance(name, str) else Path()
    if not path.parts or path.is_absolute() or ".." in path.parts:
        return False
    try:
        os.lstat(folder / path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    # Names that are too long or contain invalid characters.
    except (OSError, ValueError):
        return False
    return True
