"""Log evaluations to Weights & Biases: figures under our names and the paper's, samples, and the page."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.headlines import headlines
from spectrum_trl.report.figures import number_of
from spectrum_trl.report.page import Page
from spectrum_trl.report.reading import Evaluation
from spectrum_trl.report.readings import readings_of

# The names of the paper's own logs, each with our metric, whose mean over tasks it is.
OF_THE_PAPER = {
    "eval/all_acc_geq_1": "accuracy",
    "eval/loss_geq_1": "loss",
    "js_divergence.mean": "js_divergence",
    "aggregate/percent_valid_mean": "share_valid",
    "aggregate/unique_gens_pct_mean": "share_unique",
    "aggregate/unique_valid_count_mean": "yield_count",
}


def log(evaluations: Sequence[Evaluation], page: Page, *, html: Path, project: str) -> None:
    """Log each evaluation as a run of a project, named as in the report.

    Args:
        evaluations: As for the page.
        page: The page, which has the figures.
        html: The page's file.
        project: Name of the project.

    Raises:
        UserError: If Weights & Biases is missing, takes no runs, or its key is missing.
    """
    try:
        import wandb
    except ImportError as error:
        raise UserError("--wandb needs wandb: pip install 'spectrum-trl[wandb]'") from error
    for one in evaluations:
        try:
            with wandb.init(project=project, name=one.name, job_type="evaluation") as run:
                run.config.update({"model": one.model, **(one.file.config or {})})
                run.summary.update(figures_of(one, page) | means_of(one))
                for task, readings in readings_of([one]):
                    table = wandb.Table(columns=["prompt", "answer"])
                    for reading in readings:
                        prompt = "\n".join(f"{role}: {text}" for role, text in reading.turns)
                        for row in reading.rows:
                            table.add_data(prompt, "\n".join(map(_text, row)))
                    run.log({f"samples/{task}": table})
                run.log({"report": wandb.Html(html.read_text(encoding="utf-8"), inject=False)})
        # Whatever is wrong with its settings, pydantic says.
        except (wandb.Error, ValueError) as error:
            said = " ".join(str(error).split())
            raise UserError(f"--wandb: {said} Or set WANDB_MODE=offline") from error


def figures_of(one: Evaluation, page: Page) -> dict[str, float]:
    """Return the headlines of an evaluation with their baselines, by ``task/metric``."""
    found = {}
    for row in page.rows:
        if row.model == one.name:
            found[f"{row.task}/{row.metric}"] = row.value
            found |= {f"{row.task}/{row.metric}/{name}": value for name, value in row.baselines.items()}
    return found


def means_of(one: Evaluation) -> dict[str, float]:
    """Return the means over tasks under the paper's names, of those that were evaluated."""
    # A task may have several headlines, each with all of its figures.
    tasks = {task: figures for task, _, figures in headlines(one.headlines_of())}
    found = {}
    for name, metric in OF_THE_PAPER.items():
        values = [number_of(figures, metric) for figures in tasks.values() if metric in figures]
        if known := [value for value in values if value == value]:
            found[name] = statistics.fmean(known)
    return found


def _text(cell: str | list[str]) -> str:
    return cell if isinstance(cell, str) else ", ".join(cell)
