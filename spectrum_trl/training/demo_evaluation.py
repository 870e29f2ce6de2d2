"""Measure the models that the demo compares, for recipes with ``evaluate: tiny``."""

import time
from collections.abc import Iterator

from accelerate import PartialState
from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.console import plain
from spectrum_trl.errors import UserError, located
from spectrum_trl.models.load import load_model, load_tokenizer
from spectrum_trl.paths import bundled
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.runs.run_folder import RunFolder
from spectrum_trl.tiny import scores
from spectrum_trl.tiny.evaluation_items import evaluation_items
from spectrum_trl.tiny.scores import (
    ALL_TOKENS,
    BEST,
    COLUMNS,
    INSTRUCT,
    PRETRAINED,
    TUNED,
    WORDINGS,
    TinyResult,
)

PAGE = "report.html"
Measured = Iterator[tuple[str, TinyResult]]


def evaluate_run(
    recipe: Recipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    folder: RunFolder,
    out: Console,
    trained: bool,
) -> None:
    """Measure models on the tiny world's held-out distributions if the recipe sets ``evaluate``.

    Before training, the pretrained model and its instruct sibling are measured, each in the format that suits
    it; after training, the trained model is. The results are saved in the run's folder.
    """
    if recipe.run.evaluate == "none" or not PartialState().is_main_process:
        return
    started = time.monotonic()
    if recipe.run.recorded and trained and recipe.training.assistant_only_loss:
        title = COLUMNS[ALL_TOKENS].title
        out.print(f"[bold]{plain(title)}[/]: a recorded result; `make demo-all-tokens` reproduces it")
    for name, found in _tuned(recipe, model, tokenizer) if trained else _others(recipe, model):
        folder.add_json(f"{name}.json", scores.as_json(found))
    when = "after" if trained else "before"
    out.print(f"[bold]evaluation {when} training[/]: {time.monotonic() - started:.0f} s")


def show_results(recipe: Recipe, *, folder: RunFolder, out: Console) -> None:
    """Print the tables of a run's evaluation, if it has one, and write its picture and a page of figures."""
    if recipe.run.evaluate == "none" or not PartialState().is_main_process:
        return
    # Imported here, because plotting takes a second to import and few recipes need it.
    from spectrum_trl.report.page import page_of
    from spectrum_trl.report.reading import read_evaluations
    from spectrum_trl.report.write import write
    from spectrum_trl.tiny.report import report_run

    files = report_run(folder.path, out=out)
    page = page_of(read_evaluations(scores.results_of(str(folder.path))), pairs=[])
    files += write(page, output=folder.path / PAGE)
    folder.list_files(files)
    out.print(f"all figures on a page: {folder.path / PAGE}", markup=False)


def check_recorded(recipe: Recipe) -> None:
    """Check that the recorded result that a recipe names can be read and compared.

    Raises:
        UserError: If it cannot.
    """
    if recipe.run.recorded and recipe.run.evaluate != "none":
        with located("recorded: "):
            found = scores.load(bundled("recipes") / recipe.run.recorded)
        items = evaluation_items(0)
        prompts = [world.description for world in items.urns]
        prompts += [text for one in (items.coin, items.die, items.number) for text in one.descriptions]
        prompts += [world.description for world in (*items.full_urns, *items.ranges)]
        if scores.measured_on(found) != (0, "evaluation", tuple(prompts)):
            raise UserError(
                f"recorded: {recipe.run.recorded} was measured on other items than this run will be; "
                "remove `recorded`, or record it again with `make demo-all-tokens`"
            )


def _tuned(recipe: Recipe, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Measured:
    # Imported here like the report above: few recipes need lm-eval.
    from spectrum_trl.evaluation.tiny import evaluate

    yield TUNED if recipe.training.assistant_only_loss else ALL_TOKENS, evaluate(model, tokenizer)


def _others(recipe: Recipe, model: PreTrainedModel) -> Measured:
    from spectrum_trl.evaluation.tiny import evaluate

    # The published tokenizer: with our template, a text would end with the end of a turn.
    own = load_tokenizer(str(recipe.model.model_name_or_path), revision=recipe.model.model_revision)
    fmt = COLUMNS[PRETRAINED].fmt
    found = [evaluate(model, own, fmt=fmt, wording=wording, plain=plain) for wording, plain in WORDINGS]
    yield PRETRAINED, found[0]
    yield BEST, scores.best_of(found)
    if sibling := recipe.run.copy_role_tokens_from:
        instruct = load_model(sibling).eval()
        yield INSTRUCT, evaluate(instruct, load_tokenizer(sibling), fmt=COLUMNS[INSTRUCT].fmt)
    if recorded := recipe.run.recorded:
        yield ALL_TOKENS, scores.load(bundled("recipes") / recorded)
