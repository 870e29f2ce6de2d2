"""The console command ``spectrum-trl``: one module of this package per subcommand."""

import typer

from spectrum_trl.commands.app import app as playground
from spectrum_trl.commands.ask import ask
from spectrum_trl.commands.compare import compare
from spectrum_trl.commands.data import app as data
from spectrum_trl.commands.eval import evaluate
from spectrum_trl.commands.judge import judge
from spectrum_trl.commands.merge import merge
from spectrum_trl.commands.preview import preview
from spectrum_trl.commands.push import push
from spectrum_trl.commands.report import report
from spectrum_trl.commands.serve import serve
from spectrum_trl.commands.survey import survey
from spectrum_trl.commands.tiny import tiny
from spectrum_trl.commands.train import train
from spectrum_trl.console import quiet_libraries
from spectrum_trl.errors import UserError, user_errors

app = typer.Typer(
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
app.add_typer(data, name="data")
app.command(name="eval")(evaluate)
app.command()(ask)
app.command()(survey)
app.command()(serve)
app.command(name="app")(playground)
app.command()(compare)
app.command()(judge)
app.command()(tiny)
app.command()(report)
app.command()(merge)
app.command()(push)


def main() -> None:
    """Run the command line; a user's mistake exits with code 2."""
    quiet_libraries()
    with user_errors():
        try:
            app()
        except SystemExit as ended:
            # Typer says no more than "Aborted".
            if isinstance(early := getattr(ended.__context__, "__cause__", None), EOFError):
                raise UserError(
                    f"a file ends too early ({early}): it was cut short; fetch or copy it again"
                ) from early
            raise
