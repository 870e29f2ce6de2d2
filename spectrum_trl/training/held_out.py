"""Held-out loss while training: per trained token of each task, its curves, and the best step."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from rich.console import Console
from transformers import EarlyStoppingCallback, TrainerCallback, TrainerState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import SFTTrainer

from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import UserError, nearest
from spectrum_trl.files import write_atomic, writing
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.runs.checkpoints import problem_of, step_of
from spectrum_trl.runs.run_folder import RunFolder
from spectrum_trl.training.tracking import add_curves

PREFIX, MEAN = "eval_", "eval_loss"
PICTURE = "loss.png"
# With more tasks, colours could not be told apart: their lines are grey, and the legend names the mean alone.
MOST_COLOURS = 10


class Best(NamedTuple):
    """The best evaluation while training.

    Attributes:
        metric: What was compared, for example ``eval_loss``.
        step: After how many steps; 0 before the first.
        value: The metric then.
        last: The metric at the last evaluation.
    """

    metric: str
    step: int
    value: float
    last: float


def check_metric(recipe: Recipe, mixture: Mixture) -> None:
    """Check that the recipe's ``metric_for_best_model`` will be measured.

    Raises:
        UserError: If it is not the mean loss or the loss of a held-out task.
    """
    known = [MEAN, *map(task_metric, mixture.held_out)]
    if mixture.held_out and (metric := metric_of(recipe.training)) not in known:
        raise UserError(
            f"metric_for_best_model: expected one of {', '.join(known)}, but it is {metric!r}."
            f"{nearest(metric, known)}"
        )


def callbacks(recipe: Recipe) -> list[TrainerCallback]:
    """Return what stops a run early, if its recipe sets ``early_stopping_patience``."""
    patience = recipe.run.early_stopping_patience
    return [EarlyStoppingCallback(patience)] if patience else []


def task_metric(task: str) -> str:
    """Return the name under which a task's loss is logged."""
    return f"{PREFIX}{task}_loss"


def metric_of(args: Any) -> str:
    """Return the name under which the metric of the best step is logged."""
    return PREFIX + str(args.metric_for_best_model or "loss").removeprefix(PREFIX)


def losses(trainer: SFTTrainer) -> dict[str, float]:
    """Measure the held-out loss of each task in nats per trained token, and their mean with equal weights.

    Every rank must call this. Trainer's own evaluation averages over batches, in which tokens of short
    sequences count more.

    Returns:
        The losses, by the names under which they are logged.
    """
    trainer.model_wrapped.eval()
    held_out = cast(dict[str, Dataset], trainer.eval_dataset)
    found = {task_metric(name): _loss(trainer, rows) for name, rows in held_out.items()}
    return {MEAN: sum(found.values()) / len(found), **found}


def _loss(trainer: SFTTrainer, rows: Dataset) -> float:
    size, ranks = trainer.args.per_device_eval_batch_size, trainer.accelerator.num_processes
    total, tokens = 0.0, 0
    for start in range(
        trainer.accelerator.process_index * size, _up_to(len(rows), size * ranks), size * ranks
    ):
        own = range(start, min(start + size, len(rows)))
        # A rank without rows must run the model as well, because sharded weights are gathered from all.
        batch = trainer.data_collator([rows[index] for index in own or range(1)])
        inputs = trainer._prepare_inputs(batch)
        with torch.no_grad(), trainer.compute_loss_context_manager():
            scored = trainer.model_wrapped(**inputs, use_cache=False, fused_lm_head=True)
        if own:
            total -= scored.log_probs.double().sum().item()
            tokens += int(scored.label_mask.sum())
    sums = gather_object([(total, tokens)])
    return sum(each for each, _ in sums) / sum(n for _, n in sums)


def _up_to(n: int, size: int) -> int:
    """Round up to whole batches of all ranks."""
    return -(-n // size) * size


def best_of(history: Sequence[dict[str, Any]], args: Any) -> Best | None:
    """Return the best evaluation in a trainer's log, the first among equals; None without an evaluation."""
    metric = metric_of(args)
    found = [entry for entry in history if metric in entry]
    if not found:
        return None
    choose = max if args.greater_is_better else min
    best = choose(found, key=lambda entry: entry[metric])
    return Best(metric, best["step"], best[metric], found[-1][metric])


def find_best(state: TrainerState, *, folder: Path, out: Console) -> None:
    """Find the best checkpoint of a resumed run in its own folder, which may have been moved or copied.

    Where it is gone or broken, the best step is the best from here on.
    """
    if state.best_global_step is None:
        return
    own = folder / f"{PREFIX_CHECKPOINT_DIR}-{state.best_global_step}"
    if (problem := problem_of(own)) is None:
        state.best_model_checkpoint = str(own)
        return
    out.print(f"the best checkpoint so far, {own}, cannot be used: {problem}", markup=False, style="yellow")
    state.best_model_checkpoint = state.best_metric = state.best_global_step = None


def has_stopped(trainer: SFTTrainer) -> bool:
    """Return whether a run has waited for a better loss as long as its recipe allows."""
    waiting = _waiting(trainer)
    return any(one.early_stopping_patience_counter >= one.early_stopping_patience for one in waiting)


@contextmanager
def keep_patience(trainer: SFTTrainer) -> Iterator[None]:
    """Keep the recipe's patience where a checkpoint's is restored with how long the run has waited."""
    own = [one.early_stopping_patience for one in _waiting(trainer)]
    yield
    for restored, patience in zip(_waiting(trainer), own, strict=True):
        restored.early_stopping_patience = patience


def _waiting(trainer: SFTTrainer) -> list[EarlyStoppingCallback]:
    found = trainer.callback_handler.callbacks
    return [one for one in found if isinstance(one, EarlyStoppingCallback)]


def report(trainer: SFTTrainer, *, recipe: Recipe, folder: RunFolder, out: Console) -> None:
    """Print and record the best step of a run that has ended, and draw its losses into its folder."""
    history, state = trainer.state.log_history, trainer.state
    best = best_of(history, trainer.args)
    if best is None or not folder.is_main:
        return
    # Not the best step: its checkpoint may be gone, or was never written.
    loaded = state.best_model_checkpoint if trainer.args.load_best_model_at_end else None
    saved = step_of(Path(loaded)) if loaded else state.global_step
    folder.add_to_record("held_out_loss", {**best._asdict(), "saved_step": saved})
    with writing(folder.path):
        draw(history, folder.path / PICTURE, best=best)
    folder.list_files([folder.path / PICTURE])
    add_curves(recipe, folder.path / PICTURE, best=best._asdict())
    out.print(
        f"best step: {best.step:,}, with {best.metric} {best.value:.4f} ({best.last:.4f} in the last "
        f"evaluation); the weights of step {saved:,} are saved; curves: {folder.path / PICTURE}",
        markup=False,
    )


def draw(history: Sequence[dict[str, Any]], path: Path, *, best: Best) -> None:
    """Plot training and held-out losses by step, with the best step, atomically to a PNG file."""
    # Plotting takes a second to import, and few runs need it.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    ax = figure.subplots()
    names = {
        name for entry in history for name in entry if name.startswith(PREFIX) and name.endswith("_loss")
    }
    tasks = sorted(names - {MEAN})
    for number, name in enumerate(tasks):
        few = len(tasks) <= MOST_COLOURS
        label = name.removeprefix(PREFIX).removesuffix("_loss").replace("$", r"\$")
        style: dict[str, Any] = {"color": f"C{number}", "label": label} if few else {"color": "0.8"}
        ax.plot(*_series(history, name), linewidth=1, marker=".", **style)
    ax.plot(
        *_series(history, MEAN), color="black", linewidth=2, marker="o", markersize=4, label="held out, mean"
    )
    ax.plot(*_series(history, "loss"), color="black", linestyle=":", label="training")
    ax.axvline(best.step, color="black", linewidth=0.8, linestyle="--", label=f"best step: {best.step:,}")
    ax.set(xlabel="step", ylabel="loss (nats per trained token)")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False)
    with write_atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def _series(history: Sequence[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    found = [(entry["step"], entry[name]) for entry in history if name in entry]
    return [step for step, _ in found], [value for _, value in found]
