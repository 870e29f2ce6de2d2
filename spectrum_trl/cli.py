"""The console command ``spectrum-trl``: one verb, one module."""

from pathlib import Path
from typing import Annotated

import typer

from spectrum_trl.errors import user_errors

app = typer.Typer(
    help="Spectrum Tuning on top of TRL: train, preview, evaluate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# A recipe's fields are options too; TRL's parser reads them.
FIELDS = {"allow_extra_args": True, "ignore_unknown_options": True}
RecipeName = Annotated[str, typer.Argument(help="A recipe's file, or the name of a bundled one, as `demo`.")]


@app.command(context_settings=FIELDS)
def train(context: typer.Context, recipe: RecipeName) -> None:
    """Train by a recipe; any of its fields can follow as --field value."""
    from spectrum_trl.recipe import read_recipe
    from spectrum_trl.train import train as run

    run(read_recipe(recipe, overrides=context.args))


@app.command(context_settings=FIELDS)
def preview(
    context: typer.Context,
    recipe: RecipeName,
    samples: Annotated[int, typer.Option(help="Tasks to show a sequence of.")] = 3,
) -> None:
    """Print what a recipe trains on, without training: counts, and sequences with the loss in colour."""
    from spectrum_trl.console import console
    from spectrum_trl.preview import show
    from spectrum_trl.recipe import read_recipe
    from spectrum_trl.train import prepare

    parsed = read_recipe(recipe, overrides=context.args)
    tokenizer, _, mixture = prepare(parsed, show_progress=True)
    show(mixture, tokenizer=tokenizer, console=console(), samples=samples, seed=parsed.data.mixture_seed)


@app.command()
def data(
    folder: Annotated[Path | None, typer.Option("--data-dir", help="Default: $SPECTRUM_DATA.")] = None,
) -> None:
    """List the tasks, and which of them have their data in place."""
    from spectrum_trl.data import list_tasks

    list_tasks(folder)


@app.command(name="eval")
def evaluate(
    model: Annotated[str, typer.Argument(help="A folder, a Hub id, or spectrum-trl/tiny-base.")],
    output: Annotated[Path | None, typer.Option(help="JSON file for the result.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is evaluated and sampled.")] = 0,
) -> None:
    """Measure a model on the miniature world's held-out distributions."""
    from spectrum_trl.evaluate import evaluate_model

    evaluate_model(model, output=output, seed=seed)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="output_dir of a run with `evaluate: miniature`.")],
) -> None:
    """Print a run's evaluation before and after as one table, and draw its curves."""
    from spectrum_trl.report import report_run

    report_run(run)


def main() -> None:
    """Run the command line; a user's mistake ends it with exit code 2."""
    with user_errors():
        app()
