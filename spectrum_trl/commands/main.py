"""The console command ``spectrum-trl``: one module of this package per subcommand."""

from typing import Any

import typer
from typer.core import TyperGroup

from spectrum_trl.commands.app import app as playground
from spectrum_trl.commands.ask import ask
from spectrum_trl.commands.compare import compare
from spectrum_trl.commands.data import app as data
from spectrum_trl.commands.doctor import doctor
from spectrum_trl.commands.eval import evaluate
from spectrum_trl.commands.grid import grid
from spectrum_trl.commands.judge import judge
from spectrum_trl.commands.merge import merge
from spectrum_trl.commands.preview import preview
from spectrum_trl.commands.push import push
from spectrum_trl.commands.report import report
from spectrum_trl.commands.serve import serve
from spectrum_trl.commands.survey import survey
from spectrum_trl.commands.tiny import tiny
from spectrum_trl.commands.train import train
from spectrum_trl.commands.transfer_tokens import transfer_tokens
from spectrum_trl.console import quiet_libraries
from spectrum_trl.errors import ended_early, user_errors


class _Commands(TyperGroup):
    """Takes an EOFError before typer does, which says no more than "Aborted"."""

    def invoke(self, context: Any) -> Any:
        try:
            return super().invoke(context)
        except EOFError as error:
            raise ended_early(error) from error


app = typer.Typer(
    cls=_Commands,
    help="Spectrum Tuning on top of TRL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# A recipe's fields are options too; TRL parses them.
WITH_FIELDS = {"allow_extra_args": True, "ignore_unknown_options": True}

# No --help from typer: `train --help` lists the recipe's fields.
app.command(context_settings={**WITH_FIELDS, "help_option_names": []})(train)
app.command(context_settings=WITH_FIELDS)(preview)
app.command(context_settings=WITH_FIELDS)(doctor)
app.add_typer(data, name="data")
app.command(name="eval")(evaluate)
app.command()(ask)
app.command()(survey)
app.command()(serve)
app.command(name="app")(playground)
app.command()(grid)
app.command()(compare)
app.command()(judge)
app.command()(tiny)
app.command()(report)
app.command()(merge)
app.command()(transfer_tokens)
app.command()(push)


def main() -> None:
    """Run the command line; a user's mistake exits with code 2."""
    quiet_libraries()
    with user_errors():
        app()
