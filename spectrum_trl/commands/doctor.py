"""``spectrum-trl doctor``: check this machine, and what a recipe would take, before hours are spent."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from spectrum_trl.errors import UserError, ended_by_sigterm

if TYPE_CHECKING:
    from spectrum_trl.doctor.health import Finding
    from spectrum_trl.doctor.measure import Measured
    from spectrum_trl.doctor.outlook import Change, Outlook

GB = 1e9
SIGNS = {"fine": "[green]✓[/]", "note": "[yellow]![/]", "wrong": "[red]✗[/]"}
# An estimate so close to the limit may be beyond it.
CLOSE = 0.9


@ended_by_sigterm()
def doctor(
    context: typer.Context,
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe to plan, by file or name. Default: check this machine.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Number of processes, each with a device.")] = 1,
    memory: Annotated[
        float | None, typer.Option(min=0.1, help="Gigabytes of each device of another machine.")
    ] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Price of a device an hour.")] = None,
    tokens_per_second: Annotated[
        float | None, typer.Option(min=0.001, help="Known speed of a device, in place of a measured one.")
    ] = None,
    measure: Annotated[bool, typer.Option(help="Train a few steps, to measure memory and speed.")] = True,
    seconds: Annotated[float, typer.Option(min=1, help="Longest time for these steps.")] = 1800,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check this machine; or, for a recipe, estimate memory, time and cost, and say what would make it fit.

    Fields of the recipe can be overridden, as for train. The exit code is 0 if nothing stops work, 1 if
    something on this machine does, and 2 if the recipe has mistakes or does not fit.
    """
    if recipe is None:
        _need_recipe(context, processes=processes, memory=memory, price=price, speed=tokens_per_second)
        _check_machine(as_json=as_json)
        return
    from spectrum_trl.launch import check_names

    check_names(recipe, context.args)

    from spectrum_trl.console import console
    from spectrum_trl.data.prepare import prepare
    from spectrum_trl.doctor import outlook as plans
    from spectrum_trl.doctor.measure import measure as measure_steps
    from spectrum_trl.doctor.plan import rows_of
    from spectrum_trl.progress import quiet_when_piped
    from spectrum_trl.training.checks import check_all

    quiet_when_piped()
    parsed = plans.read(recipe, context.args, memory=memory)
    check_all(parsed, environment=False)
    tokenizer, family, mixture = prepare(parsed, show_progress=True)
    device = plans.device_of(parsed, processes=processes, memory=memory)
    rows = rows_of(parsed, mixture)
    shared: dict[str, Any] = {"processes": processes, "device": device, "vocab_size": len(tokenizer)}
    found = plans.outlook(parsed, rows, **shared)
    why_not = plans.measurable(parsed, found) if measure else "--no-measure"
    took: Measured | None = None
    if not why_not:
        took = measure_steps(parsed, mixture, rows, tokenizer=tokenizer, words=context.args, timeout=seconds)
    speed = tokens_per_second or (took and took.tokens_per_second)
    hours = speed and found.tokens / speed / processes / 3600
    better = [] if found.fits else [*plans.changes(parsed, mixture, words=context.args, **shared)]
    if as_json:
        _print_json(found, took, hours=hours, price=price, processes=processes, better=better)
    else:
        out = console()
        out.print(f"[bold]tokenizer[/]: {len(tokenizer):,} tokens, template of family {family}")
        _show(found, took, processes=processes)
        _show_time(found, hours, speed=speed, price=price, processes=processes, why_not=why_not)
        for change in better:
            mark = "fits" if change.fits else "does not fit yet"
            line = f"{_gb(change.peak)} a device, {mark}: {' '.join(change.words)}"
            more = f" (on {change.processes} processes)" if change.processes > processes else ""
            out.print(line + more, markup=False, highlight=False, soft_wrap=True)
    if not found.fits:
        raise UserError(_refusal(recipe, found, better))


def _need_recipe(context: typer.Context, *, processes: int, **others: Any) -> None:
    given = [f"--{name}" for name, value in others.items() if value is not None]
    if processes > 1 or given or context.args:
        named = ", ".join([*(["--processes"] if processes > 1 else []), *given, *context.args[:1]])
        raise UserError(f"{named} is about a recipe: name it, spectrum-trl doctor RECIPE …")


def _check_machine(*, as_json: bool) -> None:
    import sys

    from spectrum_trl.doctor.health import findings

    found = findings()
    if as_json:
        import json

        print(json.dumps([finding._asdict() for finding in found], indent=2, ensure_ascii=False))
    else:
        _show_findings(found)
    if any(finding.state == "wrong" for finding in found):
        sys.exit(1)


def _show_findings(found: list["Finding"]) -> None:
    from rich.table import Table

    from spectrum_trl.console import console, plain

    table = Table("", "check", "found", "what to do")
    for finding in found:
        table.add_row(SIGNS[finding.state], plain(finding.name), plain(finding.found), plain(finding.fix))
    console().print(table)


def _gb(size: float) -> str:
    return f"{size / GB:,.2f} GB"


def _show(found: "Outlook", took: "Measured | None", *, processes: int) -> None:
    """Print the estimate by part, and the measured peak."""
    from rich.table import Table

    from spectrum_trl.console import console

    out, memory, batch = console(), found.memory, found.batch
    out.print(
        f"[bold]model[/]: {memory.parameters:,} parameters, {memory.trained:,} of them trained\n"
        f"[bold]largest batch[/]: {batch.rows:,} x {batch.length:,} tokens, {batch.trained:,} of them trained"
    )
    each = found.device.kind if processes == 1 else f"each of {processes} {found.device.kind}s"
    table = Table("memory", "estimated", title=f"Peak memory of {each}")
    table.columns[1].justify = "right"
    for name, size in memory.parts.items():
        table.add_row(name, _gb(size))
    table.add_section()
    table.add_row("[bold]peak[/]", f"[bold]{_gb(memory.peak)}[/]")
    if took:
        error = memory.peak / took.peak - 1
        table.add_row("measured in a few steps", f"{_gb(took.peak)} ({error:+.0%})")
    table.add_row("available", _gb(found.device.memory))
    out.print(table)
    for note in memory.notes:
        out.print(f"note: {note}", markup=False)
    if found.fits and memory.peak > CLOSE * found.device.memory:
        out.print("[yellow]close to the limit:[/] other programs, or an evaluation, may take the rest")


def _show_time(
    found: "Outlook",
    hours: float | None,
    *,
    speed: float | None,
    price: float | None,
    processes: int,
    why_not: str,
) -> None:
    """Print steps, time and cost."""
    from spectrum_trl.console import console, counted

    out = console()
    out.print(
        f"[bold]run[/]: {counted(found.steps, 'step')}, {counted(found.rows, 'row')} in an epoch, "
        f"{counted(found.tokens, 'token')}, {found.trained_tokens:,} of them trained"
    )
    if hours is None:
        why = "" if why_not == "--no-measure" else f" ({why_not})"
        out.print(f"[bold]time[/]: not measured{why}; give a known speed with --tokens-per-second")
        return
    line = f"[bold]time[/]: {_duration(hours)} at {speed:,.0f} tokens a second on each device, "
    out.print(line + "without saving and evaluating")
    if price is not None:
        out.print(f"[bold]cost[/]: {price * hours * processes:,.2f}")


def _duration(hours: float) -> str:
    return f"{hours:,.1f} hours" if hours >= 1 else f"{60 * hours:,.1f} minutes"


def _print_json(
    found: "Outlook",
    took: "Measured | None",
    *,
    hours: float | None,
    price: float | None,
    processes: int,
    better: list["Change"],
) -> None:
    import json

    print(
        json.dumps(
            {
                "device": found.device._asdict(),
                "processes": processes,
                "batch": found.batch._asdict(),
                "memory": {**found.memory._asdict(), "peak": found.memory.peak},
                "measured": took and took._asdict(),
                "steps": found.steps,
                "rows": found.rows,
                "tokens": found.tokens,
                "trained_tokens": found.trained_tokens,
                "hours": hours,
                "cost": None if hours is None or price is None else price * hours * processes,
                "fits": found.fits,
                "changes": [change._asdict() for change in better],
            },
            indent=2,
        )
    )


def _refusal(recipe: str, found: "Outlook", better: list["Change"]) -> str:
    need = f"{recipe} needs about {_gb(found.memory.peak)} on each {found.device.kind}, which has "
    need += f"{_gb(found.device.memory)}"
    if not better or not better[-1].fits:
        return f"{need}; none of the changes above is enough: take a smaller model or larger devices"
    fit = better[-1]
    more = f" and {fit.processes} processes" if "--fsdp" in fit.words else ""
    return f"{need}; it would fit with {' '.join(fit.words)}{more}"
