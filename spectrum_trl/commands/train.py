"""``spectrum-trl train``: train a model as a recipe says."""

from typing import Annotated

import typer

RecipeName = Annotated[str, typer.Argument(help="A recipe's file, or the name of a bundled one, as `demo`.")]


def train(context: typer.Context, recipe: RecipeName) -> None:
    """Train by a recipe; any of its fields can follow as --field value."""
    from spectrum_trl.training.recipe import read_recipe
    from spectrum_trl.training.train import train as run

    run(read_recipe(recipe, overrides=context.args))
