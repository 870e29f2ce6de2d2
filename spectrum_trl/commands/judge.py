"""``spectrum-trl judge``: measure how well a judge model agrees with human labels."""

from pathlib import Path
from typing import Annotated

import typer

from spectrum_trl.console import counted


def judge(
    model: Annotated[str, typer.Argument(help="A folder or Hub id, or the name at the endpoint.")],
    endpoint: Annotated[
        str | None, typer.Option(help="URL of an OpenAI-compatible API, such as https://api.openai.com/v1.")
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option(help="JSON Lines with description, text and valid. Default: 40 bundled texts."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder that caches an endpoint's verdicts.")] = Path(
        "runs/judge"
    ),
    threshold: Annotated[float, typer.Option(help="Probability above which a text is valid.")] = 0.5,
) -> None:
    """Compare a judge's verdicts with labels before relying on it.

    A judge that calls every text valid agrees with about half of the bundled labels.
    """
    from spectrum_trl.console import console
    from spectrum_trl.errors import UserError, refuse
    from spectrum_trl.evaluation.judging.judge import JudgeSettings, agreement, read_labelled
    from spectrum_trl.files import folder_problems, writing
    from spectrum_trl.progress import quiet_when_piped
    from spectrum_trl.strict.schema import parsed

    quiet_when_piped()
    settings = parsed(JudgeSettings, {"model": model, "endpoint": endpoint, "threshold": threshold})
    texts = read_labelled(labelled)
    if endpoint:
        refuse(f"--output: {problem}" for problem in folder_problems(output))
        with writing(output):
            output.mkdir(parents=True, exist_ok=True)
    found = agreement(settings, texts, folder=output)
    out = console()
    out.print(
        f"{model} agrees with {found.accuracy:.1%} of {counted(found.n, 'label')}: "
        f"{counted(found.wrongly_valid, 'invalid text')} judged valid, "
        f"{counted(found.wrongly_invalid, 'valid text')} judged invalid",
        markup=False,
    )
    if found.unjudged:
        raise UserError(
            f"no verdict on {found.unjudged} of {counted(len(texts), 'text')}, because "
            f"{endpoint or model} returned none; run the same command again to judge only these"
        )
