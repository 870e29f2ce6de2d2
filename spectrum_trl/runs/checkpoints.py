"""Find the checkpoint to resume from, and detect broken ones."""

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from transformers import TrainerState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from spectrum_trl.console import counted
from spectrum_trl.errors import UserError
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.strict.json import read_json

STATE, RECORD = "trainer_state.json", "provenance.json"
SET_ASIDE = "set_aside"
# No library loads a folder without one of these, so a run removes them first and writes them last.
CONFIGS = ("config.json", "adapter_config.json")
# Number of missing files listed in a message.
SHOWN = 5
# One of each group must exist; FSDP writes the later names.
REQUIRED = {
    "weights": ("model.safetensors", "adapter_model.safetensors", "model.safetensors.index.json")
    + ("pytorch_model_fsdp.bin", "pytorch_model_fsdp_0"),
    "optimizer": ("optimizer.pt", "optimizer.bin", "optimizer_0"),
    "scheduler": ("scheduler.pt",),
    "random state": ("rng_state.pth", "rng_state_0.pth"),
}


class Checkpoint(NamedTuple):
    """The checkpoint that a run resumes from.

    Attributes:
        path: The checkpoint, or None to start from the model.
        passed_over: Newer checkpoints that are broken, each with its problem.
        newer: All later checkpoints in the output folder, complete or not.
        record: Settings, versions, data and processes of the run that wrote it.
    """

    path: Path | None
    passed_over: dict[Path, str]
    newer: list[Path]
    record: dict[str, Any]


NONE = Checkpoint(None, {}, [], {})


def find_checkpoint(recipe: Recipe) -> Checkpoint:
    """Resolve ``resume_from_checkpoint``: a path, or ``last`` or ``true`` for the newest complete checkpoint.

    With ``auto``, too, but an unfinished run that has none yet starts again.

    Raises:
        UserError: If there is none, it is broken, or it does not belong to the run in the output folder.
    """
    if not recipe.resumes:
        return NONE
    wanted, folder = str(recipe.training.resume_from_checkpoint), Path(str(recipe.training.output_dir))
    numbered = sorted(folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"), key=step_of, reverse=True)
    if wanted.lower() not in ("last", "true", "auto"):
        return _named(Path(wanted), folder, numbered)
    passed_over: dict[Path, str] = {}
    for checkpoint in numbered:
        problem = problem_of(checkpoint)
        if problem is None:
            newer = numbered[: numbered.index(checkpoint)]
            return Checkpoint(checkpoint, passed_over, newer, _record(checkpoint))
        passed_over[checkpoint] = problem
    if wanted.lower() == "auto" and not any((folder / name).is_file() for name in CONFIGS):
        return Checkpoint(None, passed_over, numbered, {})
    raise UserError(
        f"resume_from_checkpoint: {folder} holds no complete checkpoint; drop the option to start over"
        + (", and add `--overwrite true`" if (folder / RECORD).is_file() else ""),
        *(f"{checkpoint} is broken: {problem}" for checkpoint, problem in passed_over.items()),
    )


def problem_of(checkpoint: Path) -> str | None:
    """Return what is wrong with a checkpoint, or None if it is complete.

    Checkpoints are not written atomically: a full disk or a kill leaves files truncated or missing.
    """
    if not checkpoint.is_dir():
        return "it is not a folder"
    for what, names in REQUIRED.items():
        if not any((checkpoint / name).exists() for name in names):
            return f"it has no {what} ({' or '.join(names)})"
    try:
        state = TrainerState.load_from_json(str(checkpoint / STATE))
        processes = int(_record(checkpoint).get("processes", 1))
        index = checkpoint / "model.safetensors.index.json"
        shards = set(read_json(index)["weight_map"].values()) if index.is_file() else set()
        if odd := [name for name in shards if name != Path(str(name)).name]:
            raise ValueError(f"it names {str(odd[0])[:60]!r}, which is not a file beside it")
    except FileNotFoundError:
        return f"it has no {STATE}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        return f"its {STATE} or index cannot be read ({error})"
    if state.global_step != step_of(checkpoint):
        return f"its {STATE} records another step than its name"
    # Trainer updates this entry when it saves next.
    if not isinstance(state.stateful_callbacks, dict) or "TrainerControl" not in state.stateful_callbacks:
        return f"its {STATE} was not written by Trainer"
    ranks = {f"rng_state_{rank}.pth" for rank in range(processes)} if processes > 1 else set()
    absent = sorted(name for name in shards | ranks if not (checkpoint / name).is_file())
    if absent:
        more = f" and {counted(len(absent) - SHOWN, 'more file')}" if len(absent) > SHOWN else ""
        return f"it has no {', '.join(absent[:SHOWN])}{more}"
    broken = sorted(file.name for file in checkpoint.iterdir() if file.is_file() and not _is_whole(file))
    if broken:
        return f"{', '.join(broken)} cannot be read to the end"
    diverged = [file.name for file in checkpoint.glob("*.safetensors") if not _is_finite(file)]
    return f"the weights in {', '.join(sorted(diverged))} hold NaN or infinity" if diverged else None


def newest_finite(folder: Path) -> Path | None:
    """Return the newest complete checkpoint of a run whose weights are all finite, or None.

    Checkpoints in FSDP's own format are skipped.
    """
    numbered = sorted(folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"), key=step_of, reverse=True)
    looked_at = (checkpoint for checkpoint in numbered if any(checkpoint.glob("*.safetensors")))
    return next((checkpoint for checkpoint in looked_at if problem_of(checkpoint) is None), None)


def way_back(folder: Path) -> str:
    """Return which checkpoint a diverged run can resume from, for a message."""
    last = newest_finite(folder)
    if last is None:
        return "there is no checkpoint whose weights are finite"
    return f"the newest checkpoint whose weights are finite is {last}"


def _is_finite(file: Path) -> bool:
    with safe_open(str(file), framework="pt") as tensors:
        return all(bool(tensors.get_tensor(name).isfinite().all()) for name in tensors.keys())


def _is_whole(file: Path) -> bool:
    if file.suffix == ".safetensors":
        try:
            with safe_open(str(file), framework="numpy") as tensors:
                return len(tensors.keys()) > 0
        except (SafetensorError, OSError):
            return False
    if file.suffix not in (".pt", ".pth", ".bin"):
        return True
    # torch.save writes a zip archive with a checksum of each part.
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    # A damaged header can raise almost any exception.
    except Exception:
        return False


def _named(path: Path, folder: Path, numbered: list[Path]) -> Checkpoint:
    if not path.exists():
        known = ", ".join(checkpoint.name for checkpoint in numbered) or "none"
        raise UserError(
            f"resume_from_checkpoint: {path} does not exist; write `last`, or the path of a checkpoint "
            f"({folder} holds: {known})"
        )
    if problem := problem_of(path):
        raise UserError(f"resume_from_checkpoint: {path} is not a complete checkpoint: {problem}")
    inside = path.resolve().parent in (folder.resolve(), folder.resolve() / SET_ASIDE)
    if not inside and folder.is_dir() and (folder / RECORD).exists():
        raise UserError(
            f"resume_from_checkpoint: {path} does not belong to the run in output_dir {folder}; name a new "
            "output_dir, or a checkpoint in that folder"
        )
    others = [other for other in numbered if other.resolve() != path.resolve()]
    newer = [other for other in others if step_of(other) >= step_of(path)] if inside else []
    return Checkpoint(path, {}, newer, _record(path))


def _record(checkpoint: Path) -> dict[str, Any]:
    """Return the record of the run that wrote a checkpoint; empty if there is none."""
    own = checkpoint / RECORD
    try:
        # A run killed before it could add the record to its checkpoint is the newest one in the folder.
        file = own if own.exists() else checkpoint.resolve().parent / RECORD
        found = read_json(file)
    except (OSError, ValueError):
        return {}
    kinds = {"settings": dict, "versions": dict, "data": list}
    is_record = isinstance(found, dict) and all(isinstance(found.get(k), kind) for k, kind in kinds.items())
    return found if is_record else {}


def step_of(checkpoint: Path) -> int:
    """Return the step in a checkpoint's name, or -1; ``checkpoint-4.2``, set aside second, gives 4."""
    number = checkpoint.name.rpartition("-")[2].partition(".")[0]
    return int(number) if number.isdecimal() else -1
