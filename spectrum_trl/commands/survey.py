"""``spectrum-trl survey``: ask survey questions for many groups, and score the shares of the answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spectrum_trl.commands.model_options import Device, Dtype, Format, Model
from spectrum_trl.console import counted
from spectrum_trl.errors import UserError, located

if TYPE_CHECKING:
    from spectrum_trl.ask.results import Probabilities
    from spectrum_trl.ask.survey import Asked, Survey

PROBLEMS_SHOWN = 20


def survey(
    model: Model,
    table: Annotated[
        Path,
        typer.Argument(
            help="CSV or JSON Lines with group, question, options (yes|no) and, if known, shares."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for long.csv, wide.csv, scores.csv.")
    ] = Path("runs/survey"),
    description: Annotated[
        str | None, typer.Option(help="Description of the prompts; {group} stands for the group.")
    ] = None,
    group: Annotated[str, typer.Option(help="Name of the table's column of groups.")] = "group",
    question: Annotated[str, typer.Option(help="Name of its column of questions.")] = "question",
    options: Annotated[str, typer.Option(help="Name of its column of options.")] = "options",
    shares: Annotated[str, typer.Option(help="Name of its column of true shares.")] = "shares",
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not go on with an interrupted run.")] = False,
    format: Format = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Ask a model survey questions for groups of people, and compare the shares with true ones.

    Prints the scores of the distributional axis beside the uniform guess, which a model must beat. Run an
    interrupted command again to go on where it was; its tables have the same bytes.
    """
    from spectrum_trl.files import folder_problems

    problems = [f"--output: {problem}" for problem in folder_problems(output)]
    if table.resolve() in {(output / f"{name}.csv").resolve() for name in ("long", "wide", "scores")}:
        problems.append(f"--output: {table} itself would be replaced; name another folder")
    if str(output) == "-":
        problems.append("--output: three tables are written, so name a folder")
    if problems:
        raise UserError(*problems)
    from spectrum_trl.ask import survey as surveys

    names = {"group": group, "question": question, "options": options, "shares": shares}
    text = surveys.DESCRIPTION if description is None else description
    surveys.check_description(text)
    with located(f"{table}: "):
        asked = surveys.read_table(_frame(table), names=names)
    settings = {"format": format, "dtype": dtype, "device": device}
    found = _ask(model, asked, text, output=output, fresh=fresh, **settings)
    if found is not None:
        _write(found, output)


def _frame(table: Path) -> Any:
    import pandas as pd

    from spectrum_trl.ask.rows import read_rows

    if not table.is_file():
        raise UserError("there is no such file")
    rows = list(read_rows(table))
    if problems := [f"row {row.number}: {row.problem}" for row in rows if row.problem]:
        raise UserError(*problems[:PROBLEMS_SHOWN])
    return pd.DataFrame([row.fields for row in rows])


def _ask(
    model: str, asked: Sequence["Asked"], description: str, *, output: Path, fresh: bool, **settings: Any
) -> "Survey | None":
    """Return the results, or None in a process that others finish after."""
    from spectrum_trl.ask import survey as surveys
    from spectrum_trl.ask.batch import answer_launched
    from spectrum_trl.ask.model import SpectrumModel
    from spectrum_trl.ask.rows import Row
    from spectrum_trl.files import writing
    from spectrum_trl.models.folder import fingerprints
    from spectrum_trl.progress import quiet_when_piped

    quiet_when_piped()
    loaded = SpectrumModel.from_pretrained(model, **settings)
    questions = surveys.checked_questions(asked, model=loaded, description=description)

    def answer(rows: Sequence[Row]) -> list[dict[str, Any]]:
        numbers = [row.number for row in rows]
        those = [asked[n] for n in numbers], [questions[n] for n in numbers]
        return [{"log_probabilities": one.log_probabilities} for one in surveys.answers(*those, model=loaded)]

    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    whole = output / ".answers.jsonl"
    settings |= {"model": model, "weights": fingerprints(model), "questions": questions, "asked": asked}
    rows = (Row(number, {}) for number in range(len(asked)))
    ended = answer_launched(rows, answer, output=whole, settings=settings, fresh=fresh)
    return surveys.tables(asked, _answered(whole)) if ended.joined else None


def _answered(file: Path) -> list["Probabilities"]:
    """Return the answers in a file, and remove it."""
    import math
    import string

    from spectrum_trl.ask.results import Probabilities
    from spectrum_trl.strict.json import strict_json

    with file.open(encoding="utf-8") as lines:
        found = [strict_json(line)["log_probabilities"] for line in lines]
    file.unlink()
    # What is impossible is null in JSON.
    logs = [tuple(-math.inf if p is None else p for p in one) for one in found]
    return [Probabilities(tuple(string.ascii_uppercase[: len(one)]), one) for one in logs]


def _write(found: Any, output: Path) -> None:
    from rich.table import Table

    from spectrum_trl.console import console
    from spectrum_trl.evaluation.results import LOWEST_COVERAGE
    from spectrum_trl.files import write_atomic, writing

    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        for name, frame in found._asdict().items():
            if frame.empty:
                # Without true shares there are no scores, and none of an earlier survey may stay.
                (output / f"{name}.csv").unlink(missing_ok=True)
                continue
            with write_atomic(output / f"{name}.csv") as temporary:
                frame.to_csv(temporary, index=False)
    out = console()
    low = found.wide.low_coverage.sum()
    if len(found.scores):
        table = Table("score", "model", "95% interval", "uniform guess")
        for row in found.scores.itertuples():
            interval = f"[{row.low:.3f}, {row.high:.3f}]" if row.low == row.low else "too few questions"
            uniform = (
                ""
                if row.uniform_guess is None or row.uniform_guess != row.uniform_guess
                else f"{row.uniform_guess:.3f}"
            )
            table.add_row(row.score, f"{row.model:.4g}", interval.replace("[", r"\["), uniform)
        out.print(table)
        first = found.scores.iloc[0]
        out.print(
            f"{counted(int(first.rows), 'row')} of {counted(int(first.questions), 'question')}",
            highlight=False,
        )
    if low:
        out.print(
            f"{low} of {len(found.wide)} rows have a coverage below {LOWEST_COVERAGE}: their shares say "
            "little",
            highlight=False,
        )
    out.print(f"{output}: long.csv, wide.csv, scores.csv", markup=False, highlight=False)
