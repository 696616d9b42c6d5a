"""The command line: parse, call, print. Nothing heavy is imported before a command runs."""

from typing import Annotated

import typer

from toolkit.cli import about, compare, config, data, examine, features, runs, study, tasks, training
from toolkit.cli.terminal import Guarded, alone

SHARED = ("pretrain", "finetune")
"""The commands that several processes can do together."""

app = typer.Typer(
    cls=Guarded,
    help="Pretrain a backbone on unlabelled weather, adapt it to a few labels, and see how many labels that saved.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data.app, name="data")
app.command()(training.pretrain)
app.command()(training.finetune)
app.command()(study.study)
app.command()(compare.compare)
app.command()(runs.evaluate)
app.command()(runs.predict)
app.command()(runs.report)
app.add_typer(tasks.app, name="tasks")
app.command()(about.backbones)
app.command()(examine.examine)
app.command()(features.features)
app.add_typer(config.app, name="config")
app.command()(about.doctor)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"toolkit {version('earth-toolkit')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that go before a command."""
    if context.invoked_subcommand not in SHARED:
        alone(str(context.invoked_subcommand))


def main() -> None:
    """Run the command line; exits with 0, 1 for an error, 2 for a wrong command line, 130 for Ctrl-C."""
    app(prog_name="toolkit")
