"""``spectrum-trl preview``: what a recipe trains on, without training."""

from typing import Annotated

import typer

from spectrum_trl.commands.train import RecipeName

# Nothing is trained, so a recipe for GPUs can be looked at without one.
ON_ANY_MACHINE = ("--use_cpu", "true")


def preview(
    context: typer.Context,
    recipe: RecipeName,
    samples: Annotated[int, typer.Option(min=0, help="Number of tasks to show an example from.")] = 3,
) -> None:
    """Print what a recipe trains on, without training: counts, and sequences with the loss in colour."""
    from spectrum_trl.train import check_names

    check_names(recipe, context.args)

    from spectrum_trl.console import console
    from spectrum_trl.data.prepare import prepare
    from spectrum_trl.data.preview import show
    from spectrum_trl.recipe.read import read_recipe
    from spectrum_trl.training.checks import check_all

    parsed = read_recipe(recipe, overrides=[*context.args, *ON_ANY_MACHINE])
    check_all(parsed, environment=False)
    tokenizer, _, mixture = prepare(parsed, show_progress=True)
    show(mixture, tokenizer=tokenizer, console=console(), samples=samples, seed=parsed.data.mixture_seed)
