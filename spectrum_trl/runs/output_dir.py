"""Check the output folder before anything is loaded, and lock it while a run uses it."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.runs.checkpoints import CONFIGS, RECORD
from spectrum_trl.runs.run_folder import FILES, HISTORY, RECIPE, listed

LOCK = ".spectrum-trl.lock"
FULL_DISK: tuple[int, ...] = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def reserve_output_dir(recipe: Recipe, *, is_main: bool) -> Iterator[None]:
    """Lock the output folder while the block runs, and remove it afterwards if nothing was written.

    Nothing happens in processes other than the main one, which writes.

    Raises:
        UserError: If the folder cannot be used, or another run is using it.
    """
    if not is_main:
        yield
        return
    _check_output_dir(recipe)
    folder = Path(str(recipe.training.output_dir))
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"output_dir {folder} is in use by another run; wait for it to finish, or name another folder"
        ) from error
    except OSError as error:
        raise UserError(f"output_dir {folder} cannot be written: {error.strerror or error}") from error
    try:
        _check_output_dir(recipe)
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not _is_full_disk(error):
            raise
        raise UserError(
            f"the disk of output_dir {folder} is full ({shutil.disk_usage(folder).free:,} bytes left); free "
            "some space, then continue with `--resume_from_checkpoint last`, or start over with "
            "`--overwrite true`"
        ) from error
    finally:
        # Removed while still locked, so no other process can have locked the file that vanishes.
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):
            for parent in missing:
                parent.rmdir()


def _check_output_dir(recipe: Recipe) -> None:
    # Whether the folder can be written is checked when the recipe is read.
    if not recipe.training.output_dir:
        raise UserError(f"{recipe.path}: output_dir is missing; name a folder for the trained model")
    folder = Path(recipe.training.output_dir)
    resuming = recipe.resumes
    if resuming and recipe.run.overwrite:
        raise UserError("overwrite and resume_from_checkpoint are mutually exclusive; leave one of them out")
    if not folder.is_dir() or not any(file.name != LOCK for file in folder.iterdir()):
        return
    if not (folder / FILES).is_file() and not (folder / RECORD).is_file():
        raise UserError(
            f"output_dir {folder} contains files that no spectrum-trl run wrote; name another folder"
        )
    # A user may have put a folder in place of a file, which can be neither replaced nor deleted as a file.
    names = {FILES, RECORD, RECIPE, HISTORY, "README.md", *CONFIGS, *listed(folder)}
    refuse(
        f"output_dir {folder}: {name} is a folder, but a run writes a file there; move it elsewhere"
        for name in sorted(names)
        if (folder / name).is_dir()
    )
    if recipe.run.overwrite:
        _check_replaceable(folder, recipe)
    elif not (folder / RECORD).is_file():
        # A run that was stopped before it wrote anything but the list of its files.
        return
    elif not resuming:
        raise UserError(
            f"output_dir {folder} contains another run; name another folder, add "
            "`--resume_from_checkpoint last` to continue it, or `--overwrite true` to replace it"
        )


def _is_full_disk(error: Exception) -> bool:
    """Return whether an error means a full disk: safetensors and torch raise their own error types."""
    if isinstance(error, OSError):
        return error.errno in FULL_DISK
    return any(
        sign in str(error) for sign in ("os error 28", "No space left", "unexpected pos", "write failed")
    )


def _check_replaceable(folder: Path, recipe: Recipe) -> None:
    """Raise if the folder may hold more than a run: the user's files, or inputs of the new run."""
    inside = folder.resolve()

    def holds(path: str | os.PathLike[str]) -> bool:
        resolved = Path(path).expanduser().resolve()
        return resolved == inside or inside in resolved.parents

    inputs: dict[str, list[str | None]] = {
        "model_name_or_path": [recipe.model.model_name_or_path],
        "copy_role_tokens_from": [recipe.run.copy_role_tokens_from],
        "data_dir": [recipe.data.data_dir or os.environ.get("SPECTRUM_DATA")],
        "train_files": list(recipe.data.train_files or ()),
    }
    problems = [
        f"{key} {path} is in it" for key, paths in inputs.items() for path in paths if path and holds(path)
    ]
    if folder.is_symlink():
        problems.append("it is a link")
    if holds(Path.cwd()):
        problems.append("the current folder is in it; start the run from another folder")
    if holds(recipe.path):
        problems.append(f"the recipe {recipe.path} is in it; copy the recipe elsewhere first")
    if not (folder / FILES).is_file():
        problems.append(
            f"it has no {FILES}, the list of files that the earlier run wrote; remove the folder yourself"
        )
    refuse(f"output_dir {folder} is not overwritten: {problem}" for problem in problems)
