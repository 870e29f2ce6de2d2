"""``spectrum-trl judge``: does a language model judge as people do?"""

from pathlib import Path
from typing import Annotated

import typer


def judge(
    model: Annotated[str, typer.Argument(help="A folder or Hub id, or the name at the endpoint.")],
    endpoint: Annotated[
        str | None, typer.Option(help="URL of an OpenAI-compatible API, as https://api.openai.com/v1.")
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option(help="JSON Lines with description, text and valid. Default: 40 invented texts."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder where an endpoint's verdicts are kept.")] = Path(
        "runs/judge"
    ),
    threshold: Annotated[float, typer.Option(help="Probability above which a text is valid.")] = 0.5,
) -> None:
    """Compare a judge's verdicts with labels, before it is believed.

    A judge that calls everything valid is right about half of the texts that come with the package.
    """
    from spectrum_trl.console import console
    from spectrum_trl.errors import UserError
    from spectrum_trl.evaluation.judging.agreement import agreement, read_labelled
    from spectrum_trl.evaluation.judging.judge import read_settings
    from spectrum_trl.files import folder_problems, writing
    from spectrum_trl.progress import quiet_when_piped

    quiet_when_piped()
    settings = read_settings({"model": model, "endpoint": endpoint, "threshold": threshold})
    texts = read_labelled(labelled)
    if endpoint:
        if problems := [f"--output: {problem}" for problem in folder_problems(output)]:
            raise UserError(*problems)
        with writing(output):
            output.mkdir(parents=True, exist_ok=True)
    found = agreement(settings, texts, folder=output)
    out = console()
    out.print(
        f"{model} agrees with {found.accuracy:.1%} of {found.n} labels: {found.wrongly_valid} invalid texts "
        f"are called valid, {found.wrongly_invalid} valid ones invalid",
        markup=False,
    )
    if found.unjudged:
        raise UserError(
            f"{found.unjudged} of {len(texts)} texts have no verdict, since {endpoint or model} did not give "
            "one; the same command again asks for these only"
        )
