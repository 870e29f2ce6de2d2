"""``spectrum-trl tiny``: measure one model on the tiny world's held-out distributions."""

from pathlib import Path
from typing import Annotated

import typer


def tiny(
    model: Annotated[str, typer.Argument(help="A folder, a Hub id, or spectrum-trl/tiny-base.")],
    output: Annotated[Path | None, typer.Option(help="JSON file for the result.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is evaluated and sampled.")] = 0,
) -> None:
    """Measure a model on the tiny world's held-out distributions."""
    from spectrum_trl.console import console
    from spectrum_trl.files import check_writable, writing
    from spectrum_trl.models.load import check_vocabulary, load_model, load_tokenizer
    from spectrum_trl.prompts import templates
    from spectrum_trl.tiny import measure, table

    if output:
        check_writable(output)
    tokenizer = load_tokenizer(model)
    templates.install(tokenizer)
    loaded = load_model(model).eval()
    check_vocabulary(loaded, tokenizer)
    result = measure.evaluate(loaded, tokenizer, seed=seed)
    table.show({model: result}, console=console())
    if output:
        with writing(output):
            measure.save(result, output)
