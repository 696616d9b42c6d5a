"""Talking to the terminal: results on stdout; progress and errors on stderr; exit codes."""

import json
import os
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from toolkit.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress

    from toolkit.told import Told

RESUME = "toolkit.resume"
INTERRUPTED = 130
LINES = 10
"""Without a terminal so many lines are printed of a stage; ten times as many with --verbose."""


class Guarded(TyperGroup):
    """The root command: a `UserError` becomes one message and exit code 1, Ctrl-C a line on how to go on and 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo(f"\nStopped. {ctx.meta.get(RESUME, 'Run the same command again.')}", err=True)
            raise typer.Exit(INTERRUPTED) from None


def can_resume(context: typer.Context) -> list[str]:
    """Note how this command is to be resumed should it be stopped; return its command line."""
    command = ["toolkit", *sys.argv[1:]]
    again = [word for word in command if word not in ("--overwrite", "--resume")]
    context.meta[RESUME] = f"Go on with: {shlex.join([*again, '--resume'])}"
    return command


def alone(command: str) -> None:
    """Raise `UserError` where a launcher started several processes for a command that is done by one."""
    processes = os.environ.get("WORLD_SIZE", "1")
    if processes != "1":
        raise UserError(f"`toolkit {command}` is done by one process, not by {processes}: run it without a launcher.")


def print_json(content: Any) -> None:
    """Print a result as JSON on stdout."""
    typer.echo(json.dumps(content, indent=2, default=str))


@contextmanager
def told(quiet: bool, verbose: bool) -> Iterator["Told"]:
    """Yield whom a long job tells: one bar on a terminal, lines otherwise, nothing when quiet.

    Of several processes launched together the first one speaks.
    """
    from toolkit.told import Told

    with warnings.catch_warnings():
        if not verbose:
            warnings.simplefilter("ignore")
        if quiet or os.environ.get("RANK", "0") != "0":
            yield Told()
        elif sys.stderr.isatty():
            with _bar() as bar:
                yield _on_bar(bar)
        else:
            yield _in_lines(10 * LINES if verbose else LINES)


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    shown = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    return Progress(*shown, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True)


def _on_bar(bar: "Progress") -> "Told":
    from toolkit.told import Told

    task = bar.add_task("starting", total=None, note="")

    def stage(text: str) -> None:
        bar.reset(task, description=text, total=None, note="")

    def step(numbers: dict[str, float], steps: int) -> None:
        bar.update(task, total=steps, completed=numbers["step"] + 1, note=f"loss {numbers['loss']:.3f}")

    def share(part: float) -> None:
        bar.update(task, total=1.0, completed=part)

    return Told(stage, step, share)


def _in_lines(lines: int) -> "Told":
    from toolkit.told import Told

    state = {"line": 0, "began": time.monotonic()}

    def say(text: str) -> None:
        typer.echo(f"[{time.monotonic() - state['began']:6.1f} s] {text}", err=True)

    def stage(text: str) -> None:
        state["line"] = 0
        say(text)

    def at(part: float, text: Callable[[], str]) -> None:
        line = int(lines * part + 1e-9)
        if line > state["line"]:
            state["line"] = line
            say(text())

    def step(numbers: dict[str, float], steps: int) -> None:
        done = int(numbers["step"]) + 1
        at(done / steps, lambda: f"  step {done}/{steps}, loss {numbers['loss']:.4f}")

    def share(part: float) -> None:
        at(part, lambda: f"  {100 * part:.0f} %")

    return Told(stage, step, share)
