"""Who may write into the output folder: checks before anything is loaded, and a lock while a run uses it."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from spectrum_trl.errors import UserError
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.runs.record import RECORD
from spectrum_trl.runs.run_folder import CONFIGS, FILES, HISTORY, RECIPE, listed

LOCK = ".spectrum-trl.lock"
FULL_DISK: tuple[int, ...] = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def reserve_output_dir(recipe: Recipe, *, is_main: bool) -> Iterator[None]:
    """Keep the output folder for this run while the block runs; leave none behind if nothing was written.

    Args:
        recipe: Whose ``output_dir``, ``overwrite`` and ``resume_from_checkpoint`` decide.
        is_main: Whether this process is the one that writes; the others pass through.

    Raises:
        UserError: If the folder cannot be used, or another run is using it.
    """
    if not is_main:
        yield
        return
    check_output_dir(recipe)
    folder = Path(str(recipe.training.output_dir))
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"output_dir {folder} is in use by another run; wait until it ends, or name another folder"
        ) from error
    except OSError as error:
        raise UserError(f"output_dir {folder} cannot be written: {error.strerror or error}") from error
    try:
        check_output_dir(recipe)
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not _is_full_disk(error):
            raise
        raise UserError(
            f"the disk of output_dir {folder} is full ({shutil.disk_usage(folder).free:,} bytes left); make "
            "room, then go on with `--resume_from_checkpoint last`, or start anew with `--overwrite true`"
        ) from error
    finally:
        # While it is still locked, so that nobody else can have locked the file that vanishes.
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):
            for parent in missing:
                parent.rmdir()


def check_output_dir(recipe: Recipe) -> None:
    """Check that the output folder is free, or holds a run that is to be continued or replaced.

    Raises:
        UserError: If the folder is missing in the recipe, or holds something else; that it can be written has
            been checked when the recipe was read.
    """
    if not recipe.training.output_dir:
        raise UserError(f"{recipe.path}: output_dir is missing; name a folder for the trained model")
    folder = Path(recipe.training.output_dir)
    resuming = recipe.resumes
    if resuming and recipe.run.overwrite:
        raise UserError("overwrite and resume_from_checkpoint exclude each other; leave one of them out")
    if not folder.is_dir() or not any(file.name != LOCK for file in folder.iterdir()):
        return
    if not (folder / FILES).is_file() and not (folder / RECORD).is_file():
        raise UserError(
            f"output_dir {folder} holds files that no run of spectrum-trl wrote; name another folder"
        )
    # What a user has made of a run's file: a folder, which can be neither replaced nor deleted as a file.
    names = {FILES, RECORD, RECIPE, HISTORY, "README.md", *CONFIGS, *listed(folder)}
    if folders := sorted(name for name in names if (folder / name).is_dir()):
        raise UserError(
            *(
                f"output_dir {folder}: {name} is a folder, where a run writes a file; move it elsewhere"
                for name in folders
            )
        )
    if recipe.run.overwrite:
        _check_replaceable(folder, recipe)
    elif not (folder / RECORD).is_file():
        # A run that was stopped before it had written anything but its list.
        return
    elif not resuming:
        raise UserError(
            f"output_dir {folder} holds another run; name another folder, add "
            "`--resume_from_checkpoint last` to continue it, or `--overwrite true` to replace it"
        )


def _is_full_disk(error: Exception) -> bool:
    """Tell whether an error is that of a full disk: safetensors and torch raise errors of their own."""
    if isinstance(error, OSError):
        return error.errno in FULL_DISK
    return any(
        sign in str(error) for sign in ("os error 28", "No space left", "unexpected pos", "write failed")
    )


def _check_replaceable(folder: Path, recipe: Recipe) -> None:
    """Refuse to replace what could be more than a run: the user's own place, or what the new run reads."""
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
        f"{key} {path} lies in it" for key, paths in inputs.items() for path in paths if path and holds(path)
    ]
    if folder.is_symlink():
        problems.append("it is a link")
    if holds(Path.cwd()):
        problems.append("the current folder lies in it; start the run from elsewhere")
    if holds(recipe.path):
        problems.append(f"the recipe {recipe.path} lies in it; copy that elsewhere first")
    if not (folder / FILES).is_file():
        problems.append(
            f"it has no {FILES}, which lists what the earlier run wrote; remove the folder yourself"
        )
    if problems:
        raise UserError(*(f"output_dir {folder} is not overwritten: {problem}" for problem in problems))
