"""``spectrum-trl tiny``: evaluate one model on the tiny world's held-out distributions."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def tiny(
    model: Annotated[str, typer.Argument(help="A folder, a Hub id, or spectrum-trl/tiny-base.")],
    output: Annotated[Path | None, typer.Option(help="JSON file for the result.")] = None,
    format: Annotated[
        Literal["spectrum", "colon", "chat", "chat_simple"], typer.Option(help="How prompts are written.")
    ] = "spectrum",
    part: Annotated[
        Literal["evaluation", "choice"],
        typer.Option(help="The test part, or the part for choosing settings."),
    ] = "evaluation",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the evaluated items and of sampling.")] = 0,
) -> None:
    """Evaluate a model on the tiny world's held-out distributions."""
    from spectrum_trl.console import console
    from spectrum_trl.evaluation.tiny import evaluate
    from spectrum_trl.files import check_writable, writing
    from spectrum_trl.models.load import check_vocabulary, load_model, load_tokenizer
    from spectrum_trl.tiny import scores, table

    if output:
        check_writable(output)
    tokenizer = load_tokenizer(model)
    loaded = load_model(model).eval()
    check_vocabulary(loaded, tokenizer)
    found = evaluate(loaded, tokenizer, seed=seed, part=part, fmt=format)
    console().print(table.table({model: found}))
    if output:
        with writing(output):
            scores.save(found, output)
