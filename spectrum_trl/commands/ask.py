"""``spectrum-trl ask``: ask a model for probabilities, samples and distributions."""

import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spectrum_trl.commands.model_options import Adapter, Device, Dtype, Format, Model, Quantization
from spectrum_trl.console import counted
from spectrum_trl.errors import UserError

if TYPE_CHECKING:
    from spectrum_trl.ask.asking import Wanted
    from spectrum_trl.ask.rows import Templates


def ask(
    model: Model,
    description: Annotated[str | None, typer.Option(help="What is sampled.")] = None,
    example: Annotated[list[str], typer.Option(help="An earlier output; repeatable.")] = [],  # noqa: B006
    input: Annotated[str | None, typer.Option(help="What the output is conditioned on.")] = None,
    answers: Annotated[str | None, typer.Option(help="Answers, separated by commas.")] = None,
    answers_file: Annotated[Path | None, typer.Option(help="File with one answer a line.")] = None,
    schema: Annotated[Path | None, typer.Option(help="JSON Schema of the answers.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Number of samples.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Number of likeliest first tokens.")] = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            help="CSV, TSV, JSON or JSON Lines, one question a row (- for JSON Lines from standard input); "
            "{column} in the other options stands for the row's value."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON Lines file for the answers to --questions.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not go on with an interrupted run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the samples.")] = 0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Maximum tokens of an answer.")] = 256,
    format: Format = None,
    adapter: Adapter = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    quantization: Quantization = None,
) -> None:
    """Ask a model: probabilities of answers with their coverage, samples, or its likeliest answers.

    Without --answers, --schema, --sample or --top, the likeliest whole answers are searched.
    """
    from spectrum_trl.ask.asking import Wanted
    from spectrum_trl.ask.rows import Templates

    output = None if str(output) == "-" else output
    templates = Templates(description, tuple(example), input)
    wanted = Wanted(
        _answers(answers, answers_file),
        _schema(schema),
        sample,
        top,
        seed=seed,
        max_new_tokens=max_new_tokens,
    )
    _check(wanted, templates, questions=questions, output=output, formats=(as_json, as_csv))
    loaded = _load(
        model, format=format, adapter=adapter, dtype=dtype, device=device, quantization=quantization
    )
    if questions is None:
        _ask_one(loaded, templates, wanted, as_json=as_json, as_csv=as_csv)
    else:
        names = {"model": model, "adapter": adapter, "format": format, "dtype": dtype}
        names |= {"device": device, "quantization": quantization}
        _ask_file(loaded, templates, wanted, questions=questions, output=output, fresh=fresh, names=names)


def _answers(listed: str | None, file: Path | None) -> tuple[str, ...] | None:
    if listed is not None and file is not None:
        raise UserError("give either --answers or --answers-file")
    if file is not None:
        try:
            lines = [line.removesuffix("\r") for line in file.read_text("utf-8-sig").split("\n")]
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise UserError(f"--answers-file {file} cannot be read: {reason}") from error
        if not any(line.strip() for line in lines):
            raise UserError(f"--answers-file {file} is empty: expected one answer a line")
        return tuple(line for line in lines if line.strip())
    if listed is None:
        return None
    # As in CSV, an answer with a comma is written in quotes.
    several = "\n" in listed or "\r" in listed
    cells = (
        [] if several else [cell.strip() for cell in next(csv.reader([listed], skipinitialspace=True), [])]
    )
    if not cells or not all(cells):
        raise UserError(
            "--answers: an answer is empty or of several lines; give a JSON file with --questions"
        )
    return tuple(cells)


def _schema(file: Path | None) -> Any:
    from spectrum_trl.strict.json import read_json

    if file is None:
        return None
    try:
        return read_json(file)
    except (OSError, ValueError) as error:
        raise UserError(
            f"--schema {file} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error


def _check(
    wanted: "Wanted",
    templates: "Templates",
    *,
    questions: Path | None,
    output: Path | None,
    formats: tuple[bool, bool],
) -> None:
    """Check everything that needs no model, before one is loaded."""
    from spectrum_trl.files import check_writable

    problems = []
    chosen = [name for name in ("answers", "schema", "sample", "top") if getattr(wanted, name) is not None]
    if len(chosen) > 1:
        problems.append(f"give only one of {', '.join(f'--{name}' for name in chosen)}")
    if all(formats):
        problems.append("give either --json or --csv")
    if questions is None and output is not None:
        problems.append("--output: only answers to --questions are written to a file; use > FILE")
    if questions is not None and any(formats):
        problems.append("--json, --csv: the answers to --questions are JSON Lines")
    if questions is not None and str(questions) != "-" and not questions.is_file():
        problems.append(f"--questions: there is no file {questions}")
    elif questions is not None and output is not None and questions.resolve() == output.resolve():
        problems.append(f"--output: {questions} itself would be replaced; name another file")
    if questions is not None and output is None and int(os.environ.get("WORLD_SIZE") or 1) > 1:
        problems.append("--output: several processes need a file for the answers; name one")
    if problems:
        raise UserError(*problems)
    if questions is not None:
        templates.columns()
    if output is not None:
        check_writable(output)


def _load(model: str, **settings: Any) -> Any:
    from spectrum_trl.ask.model import SpectrumModel
    from spectrum_trl.progress import quiet_when_piped

    quiet_when_piped()
    return SpectrumModel.from_pretrained(model, **settings)


def _ask_one(model: Any, templates: "Templates", wanted: "Wanted", *, as_json: bool, as_csv: bool) -> None:
    from spectrum_trl.ask.asking import ask as answered
    from spectrum_trl.ask.questions import Question, as_text
    from spectrum_trl.ask.show import show
    from spectrum_trl.console import console
    from spectrum_trl.files import finite

    question = Question(
        description=templates.description, examples=list(templates.examples), input=templates.input
    )
    (found,) = answered(model, [question], wanted)
    if as_json:
        print(json.dumps(finite(found), ensure_ascii=False))
    elif as_csv:
        rows = found.get("samples") or found.get("tokens") or found["answers"]
        whole = {"coverage": found["coverage"]} if "coverage" in found else {}
        rows = [{n: as_text(v) if n == "value" else v for n, v in row.items()} | whole for row in rows]
        writer = csv.DictWriter(sys.stdout, list(rows[0]) if rows else ["answer"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        show(found, out=console())


def _ask_file(
    model: Any,
    templates: "Templates",
    wanted: "Wanted",
    *,
    questions: Path,
    output: Path | None,
    fresh: bool,
    names: dict[str, Any],
) -> None:
    import shutil
    import tempfile

    from spectrum_trl.ask.asking import ask_rows, check_wanted
    from spectrum_trl.ask.batch import answer_launched
    from spectrum_trl.ask.rows import Row, read_rows
    from spectrum_trl.files import sha256_of
    from spectrum_trl.models.folder import fingerprints

    check_wanted(model, wanted)

    def answer(rows: Sequence[Row]) -> list[dict[str, Any]]:
        return ask_rows(model, rows, templates, wanted)

    with tempfile.TemporaryDirectory() as folder:
        if str(questions) == "-":
            questions = Path(folder, "standard input.jsonl")
            with questions.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        whole = output or Path(folder, "answers.jsonl")
        settings = {
            **{name: value for name, value in names.items()},
            "weights": fingerprints(names["adapter"] or names["model"]),
            "questions": sha256_of(questions),
            "options": [*templates, *wanted],
        }
        ended = answer_launched(read_rows(questions), answer, output=whole, settings=settings, fresh=fresh)
        if output is None:
            with whole.open(encoding="utf-8") as file_of_answers:
                shutil.copyfileobj(file_of_answers, sys.stdout)
    if ended.failed:
        raise UserError(f'{counted(ended.failed, "row")} could not be answered: see "error" in their lines')
