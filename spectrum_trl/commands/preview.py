"""``spectrum-trl preview``: show a recipe's training data without training."""

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from spectrum_trl.commands.train import RecipeName

if TYPE_CHECKING:
    from spectrum_trl.recipe.arguments import DataArguments, TaskOptions

# Nothing is trained or evaluated, so a recipe for GPUs can be previewed without one.
ON_ANY_MACHINE = ("--use_cpu", "true", "--evaluate", "none")


def preview(
    context: typer.Context,
    recipe: RecipeName,
    samples: Annotated[int, typer.Option(min=0, help="Number of tasks to show an example from.")] = 3,
    most: Annotated[
        int | None, typer.Option(min=1, help="Maximum sequences per task, for a quick look.")
    ] = None,
) -> None:
    """Print a recipe's training data without training: counts, and sequences with trained tokens coloured."""
    from spectrum_trl.launch import check_names

    check_names(recipe, context.args)

    from spectrum_trl.console import console
    from spectrum_trl.data.prepare import prepare
    from spectrum_trl.data.preview import show
    from spectrum_trl.recipe.read import read_recipe
    from spectrum_trl.training.checks import check_all

    parsed = read_recipe(recipe, overrides=[*context.args, *ON_ANY_MACHINE])
    check_all(parsed, environment=False)
    if most:
        _cap(parsed.data, most)
    tokenizer, _, mixture = prepare(parsed, show_progress=True)
    show(mixture, tokenizer=tokenizer, console=console(), samples=samples, seed=parsed.data.mixture_seed)


def _cap(data: "DataArguments", most: int) -> None:
    """Lower the caps of all tasks and files to ``most`` sequences."""
    data.max_sequences = min(data.max_sequences or most, most)
    named: dict[str, TaskOptions]
    for named in (data.tasks, cast(Any, data.train_files)):
        for name, options in named.items():
            cap = min(options.max_sequences or most, data.max_sequences)
            named[name] = options.model_copy(update={"max_sequences": cap})
