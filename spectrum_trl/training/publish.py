"""Publish a trained model on the Hugging Face Hub, with the figures of its evaluations in the card."""

import math
import re
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCard
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from spectrum_trl.console import counted
from spectrum_trl.errors import UserError, refuse
from spectrum_trl.evaluation.options import Options
from spectrum_trl.evaluation.results import newest, samples_file
from spectrum_trl.files import write_json
from spectrum_trl.known_tasks import tasks
from spectrum_trl.models.folder import whole_record
from spectrum_trl.models.load import model_path
from spectrum_trl.report.figures import rows_of
from spectrum_trl.report.page import page_of
from spectrum_trl.report.reading import Evaluation, read_evaluations
from spectrum_trl.report.write import summary_markdown
from spectrum_trl.runs.checkpoints import RECORD
from spectrum_trl.strict.json import read_json
from spectrum_trl.suite.building.push import upload

# What a model needs to be loaded; a run's history, checkpoints and recipe, which names paths, stay here.
PUBLISHED = (
    *("*.safetensors", "*.safetensors.index.json", "*.jinja", "*.model", "tokenizer*", "README.md"),
    *("config.json", "generation_config.json", "adapter_config.json", "special_tokens_map.json"),
    *("preprocessor_config.json", "processor_config.json", "added_tokens.json", "vocab.json", "merges.txt"),
)
# Options of an evaluation of which less than the default measures less.
SMALLER = ("sequences", "outputs", "samples", "max_tokens")
TASK_TYPE = "text-generation"
UNKNOWN = "unknown"


class Staged(NamedTuple):
    """The files and figures to publish.

    Attributes:
        files: Name and size in bytes of each file.
        figures: Task, metric and value of each figure of the card.
        left_out: Figures of low coverage, which mean nothing.
    """

    files: dict[str, int]
    figures: list[tuple[str, str, float]]
    left_out: list[str]


def stage(run: Path, target: Path, *, repo: str, results: Sequence[Path], public: bool) -> Staged:
    """Copy what will be published into a folder, and write the card.

    Args:
        run: Folder of a finished run.
        target: An empty folder.
        repo: Model id on the Hub, as ``owner/name``.
        results: Folders or files of the model's evaluations.
        public: Whether the model will be public.

    Raises:
        UserError: With every problem at once: no finished run, data whose terms forbid it, results of another
            model or of a part of the rows.
    """
    problems = list(_run_problems(run))
    record: Any = {} if problems else _record(run)
    problems += [*_repo_problems(repo), *_licence_problems(record, public=public)]
    evaluations: list[Evaluation] = []
    for folder in results:
        try:
            evaluations.append(_evaluation(folder, run))
        except UserError as error:
            problems += error.problems
    refuse(problems)
    for pattern in PUBLISHED:
        for file in run.glob(pattern):
            shutil.copyfile(file, target / file.name)
    data = [{**one, "task": Path(one["task"]).name} for one in record.get("data", ())]
    # Of the settings, only what an evaluation needs in order to know who was trained on.
    settings = {"held_out_share": record.get("settings", {}).get("held_out_share", 0.0)}
    write_json({"versions": record.get("versions", {}), "settings": settings, "data": data}, target / RECORD)
    card = ModelCard.load(target / "README.md")
    left_out: list[str] = []
    figures = [figure for one in evaluations for figure in _figures(one, left_out)]
    card.data.model_name, card.data.eval_results = repo.rpartition("/")[2], figures or None
    tables = (re.sub("^#", "##", summary_markdown(page_of([one])), flags=re.M) for one in evaluations)
    card.text = "\n\n".join([card.text, *tables])
    card.save(target / "README.md")
    return Staged(
        {file.name: file.stat().st_size for file in sorted(target.iterdir())},
        [(str(one.dataset_name), one.metric_type, float(one.metric_value)) for one in figures],
        left_out,
    )


def publish(run: Path, repo: str, *, results: Sequence[Path] = (), public: bool = False) -> str:
    """Publish a run's model, and return the URL of the commit.

    Args:
        run: Folder of a finished run.
        repo: Model id on the Hub; created if it does not exist.
        results: Folders or files of the model's evaluations.
        public: Whether the model is public; otherwise private.

    Raises:
        UserError: As `stage`, or if the Hub refuses it.
    """
    staging = partial(stage, run, repo=repo, results=results, public=public)
    return upload(staging, repo, kind="model", public=public)


def _run_problems(run: Path) -> Iterator[str]:
    if not run.is_dir():
        yield f"there is no folder {run}; name the output_dir of a finished run"
    elif not (run / RECORD).is_file() or not any(run.glob("*.safetensors")):
        yield f"{run} holds no finished run: it lacks {RECORD} or weights"
    elif not (run / "README.md").is_file():
        yield f"{run} has no model card README.md; a finished run writes one"


def _repo_problems(repo: str) -> Iterator[str]:
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        yield f"{repo}: {' '.join(str(error).split())}"
    if "/" not in repo:
        yield f"{repo}: expected owner/name"


def _record(run: Path) -> Any:
    try:
        record = whole_record(read_json(run / RECORD))
        if not all(isinstance(one["task"], str) for one in record.get("data", ())):
            raise ValueError("data: expected a list of tasks")
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{run / RECORD} cannot be read: {error}") from error
    return record


def _licence_problems(record: Any, *, public: bool) -> Iterator[str]:
    known = tasks()
    for one in record.get("data", ()):
        # The licence of a user's own data is the user's to know.
        if (task := known.get(one["task"])) is None:
            continue
        source = task.source
        if source.forbids:
            yield f"{task.name}: its terms do not allow passing it on ({source.forbids}); train without it"
        elif public and source.is_unlicensed:
            yield (
                f"{task.name}: no licence allows publishing what is made of it ({source.licence}); leave "
                "--public out, or train without it"
            )


def _evaluation(folder: Path, run: Path) -> Evaluation:
    """Return a whole evaluation of the run."""
    file = newest(folder)
    try:
        results = read_json(file, finite=False)
        config = results["config"]
        evaluated, limit = str(config["model_args"]["pretrained"]), config.get("limit")
        options = dict(config.get("metadata") or {})
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is not a results file of `spectrum-trl eval`: {error!r}") from error
    if Path(model_path(evaluated)).resolve() != run.resolve():
        raise UserError(f"{file} holds results of {evaluated}, not of {run}; name those of this run")
    if limit is not None:
        raise UserError(
            f"{file} is of {counted(limit, 'row')} per task, which a card would not say; evaluate "
            "without --limit"
        )
    if smaller := [
        f"{key}={options[key]}"
        for key in SMALLER
        if isinstance(options.get(key), int) and options[key] < Options.model_fields[key].default
    ]:
        raise UserError(
            f"{file} is of smaller tasks ({', '.join(smaller)}), which a card would not say; evaluate without"
        )
    if not any(samples_file(file, task).is_file() for task in results.get("results", ())):
        raise UserError(
            f"{file} has no samples beside it, from which the card's tables are made; evaluate again with "
            "`spectrum-trl eval`, which saves them"
        )
    return read_evaluations([str(file)])[0]


def _figures(evaluation: Evaluation, left_out: list[str]) -> Iterator[EvalResult]:
    """Yield the headlines of an evaluation as the card has them."""
    for row in rows_of([evaluation]):
        if row.low_coverage or math.isnan(row.value):
            left_out.append(f"{row.task}: {row.metric}")
            continue
        known = {"low": row.low, "high": row.high, "baseline": row.baseline, "baseline_value": row.reference}
        known |= {"answers": row.answers}
        args = {name: one for name, one in known.items() if one != "" and one == one}
        yield EvalResult(
            task_type=TASK_TYPE,
            dataset_type=row.task,
            dataset_name=row.task,
            dataset_split=row.group.split,
            dataset_args={"format": evaluation.paired.formats.get(row.task, UNKNOWN)},
            metric_type=row.metric,
            metric_value=row.value,
            metric_args={"n": row.n, **args},
        )
