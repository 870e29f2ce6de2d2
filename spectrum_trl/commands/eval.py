"""``spectrum-trl eval``: evaluate a model on the three axes with lm-evaluation-harness."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Backend = Annotated[
    str, typer.Option(help="spectrum (fast), or another model class of lm-eval, such as hf or vllm.")
]


def evaluate(
    model: Annotated[str, typer.Argument(help="A folder, a Hub id, or spectrum-trl/tiny-base.")],
    tasks: Annotated[
        str, typer.Option(help="Names, tags, globs or YAML files of tasks, separated by commas.")
    ] = "spectrum_quick",
    format: Annotated[
        str | None,
        typer.Option(help="spectrum, colon, chat, chat_simple, verbalized; default: chosen by the model."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum rows per task, for a trial run.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("runs/eval"),
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the real data, or SPECTRUM_DATA.")] = None,
    backend: Backend = "spectrum",
    model_args: Annotated[str, typer.Option(help="Model arguments, such as dtype=bfloat16.")] = "",
    metadata: Annotated[str, typer.Option(help="Options, such as mode=description,samples=20.")] = "",
    include_path: Annotated[list[Path], typer.Option(help="Folder of your own tasks; repeatable.")] = [],  # noqa: B006
    device: Annotated[Literal["cpu", "cuda", "mps"] | None, typer.Option(help="Device to run on.")] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16", "auto"] | None,
        typer.Option(help="Number type; default: float32 on a CPU, the checkpoint's (auto) elsewhere."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Evaluate everything again, ignoring cached results.")
    ] = False,
) -> None:
    """Evaluate a model on steerability, distributional alignment and diversity.

    Run an interrupted command again to resume it. Results are in lm-eval's format; `spectrum-trl compare`
    compares two of them.
    """
    options = _options(metadata, format=format, data_dir=data_dir)
    arguments = _model_arguments(model_args, device=device, dtype=dtype)
    chosen = _tasks(tasks, include_path)

    # Slow imports, so only after the checks above.
    from spectrum_trl.console import console
    from spectrum_trl.errors import refuse
    from spectrum_trl.evaluation import evaluate
    from spectrum_trl.files import folder_problems
    from spectrum_trl.models.load import model_path
    from spectrum_trl.progress import quiet_when_piped

    quiet_when_piped()
    refuse(f"--output: {problem}" for problem in folder_problems(output))
    setup = evaluate.Setup(
        backend=backend,
        model={"pretrained": model_path(model), **arguments},
        options=options,
        output=output,
        limit=limit,
        include=tuple(include_path),
        fresh=fresh,
    )
    refuse(evaluate.evaluate(setup, chosen, out=console())["failed"])


def _options(metadata: str, *, format: str | None, data_dir: Path | None) -> dict[str, Any]:
    from spectrum_trl.evaluation.options import check_names, read_options, read_words

    own = {"format": format or None, "data_dir": str(data_dir) if data_dir else None}
    options = read_words(metadata, option="--metadata", beside=own)
    check_names(options)
    read_options(options)
    return options


def _model_arguments(model_args: str, **own: str | None) -> dict[str, Any]:
    from spectrum_trl.evaluation.options import read_words

    return read_words(model_args, option="--model-args", beside=own)


def _tasks(tasks: str, include_path: Sequence[Path]) -> list[str]:
    # These import datasets.
    from spectrum_trl.evaluation.options import select, task_manager
    from spectrum_trl.evaluation.own.tasks import check_folders

    check_folders(include_path)
    patterns = [part.strip() for part in tasks.split(",") if part.strip()]
    return select(patterns, manager=task_manager(include_path, metadata={}))
