"""Talking to the terminal: results on stdout; progress and errors on stderr; exit codes."""

import errno
import json
import os
import signal
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
    from rich.console import Console
    from rich.progress import Progress

    from toolkit.told import CellsSeen, Told

RESUME = "toolkit.resume"
INTERRUPTED, TERMINATED = 130, 143
NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
ELSEWHERE = "Name another place, by --out for results, by TOOLKIT_CACHE for the cache; see `toolkit doctor`."
LINES = 10
"""Without a terminal so many lines are printed of a stage, three times as many of its cells; ten times with --verbose.
"""
KINDS = 20
"""So many kinds of cells are shown on a terminal that is high enough."""


class Guarded(TyperGroup):
    """The root command: what a user can mend becomes one message and exit code 1; Ctrl-C, and the signal by which
    schedulers end a job, a line on how to go on and 130 or 143.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        before = signal.signal(signal.SIGTERM, _terminate)
        try:
            return super().invoke(ctx)
        except UserError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(1) from None
        except OSError as error:
            if error.errno not in NO_ACCESS:
                raise
            typer.echo(f"Error: {error.filename or 'A file'}: {error.strerror}. {ELSEWHERE}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt as stop:
            typer.echo(f"\nStopped. {ctx.meta.get(RESUME, 'Run the same command again.')}", err=True)
            raise typer.Exit(TERMINATED if isinstance(stop, _Terminated) else INTERRUPTED) from None
        finally:
            signal.signal(signal.SIGTERM, before)


class _Terminated(KeyboardInterrupt):
    """Stopped as by Ctrl-C, so that all that was begun is ended and removed, but by another signal."""


def _terminate(*_: object) -> None:
    raise _Terminated


def can_resume(context: typer.Context) -> list[str]:
    """Note how this command is to be resumed should it be stopped; return its command line."""
    from toolkit.runfolder import as_begun

    command = ["toolkit", *sys.argv[1:]]
    context.meta[RESUME] = f"Go on with: {as_begun(command)} --resume"
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
    """Yield whom a long job tells: one bar, or a table of cells, on a terminal, lines otherwise, nothing when quiet.

    Of several processes launched together the first one speaks.
    """
    from toolkit.told import Told

    with warnings.catch_warnings():
        if not verbose:
            warnings.simplefilter("ignore")
        if quiet or os.environ.get("RANK", "0") != "0":
            yield Told()
        elif sys.stderr.isatty():
            with _drawn() as listener:
                yield listener
        else:
            yield _in_lines(10 * LINES if verbose else LINES)


@contextmanager
def _drawn() -> Iterator["Told"]:
    """Yield whom a job tells that is shown as one bar, or as a table of its cells where it has some."""
    from rich.console import Console, Group, RenderableType
    from rich.live import Live
    from rich.text import Text

    from toolkit.cli.cells_shown import cells_table
    from toolkit.told import Told

    console = Console(stderr=True)
    bar = _bar(console)
    known: list[CellsSeen] = []
    task = bar.add_task("starting", total=None, note="")

    def picture() -> RenderableType:
        if not known:
            return bar
        kinds = max(3, min(KINDS, console.height - 5))
        return Group(Text(bar.tasks[task].description), cells_table(known[0], time.monotonic(), kinds))

    with Live(get_renderable=picture, console=console, transient=True, refresh_per_second=10) as live:

        def stage(text: str) -> None:
            known.clear()
            bar.reset(task, description=text, total=None, note="")
            live.refresh()

        def step(numbers: dict[str, float], steps: int) -> None:
            bar.update(task, total=steps, completed=numbers["step"] + 1, note=f"loss {numbers['loss']:.3f}")

        def share(part: float) -> None:
            bar.update(task, total=1.0, completed=part)

        def cells(seen: "CellsSeen") -> None:
            told_before = len(known[0].failed) if known else 0
            for text in _failures(seen, told_before):
                console.print(Text(text))
            known[:] = [seen]
            live.refresh()

        yield Told(stage, step, share, cells)


def _bar(console: "Console") -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    shown = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    return Progress(*shown, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


def _failures(seen: "CellsSeen", told_before: int) -> list[str]:
    """Return a line for every cell that failed, but for so many that have been told of."""
    return [f"Failed: {name}: {error}" for name, error in list(seen.failed.items())[told_before:]]


def _in_lines(lines: int) -> "Told":
    from toolkit.cli.cells_shown import cells_line
    from toolkit.told import Told

    state = {"line": 0, "began": time.monotonic(), "cells": -1, "failed": 0}

    def say(text: str) -> None:
        typer.echo(f"[{time.monotonic() - state['began']:6.1f} s] {text}", err=True)

    def stage(text: str) -> None:
        state.update(line=0, cells=-1, failed=0)
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

    def cells(seen: "CellsSeen") -> None:
        for text in _failures(seen, int(state["failed"])):
            say(f"  {text}")
        state["failed"] = len(seen.failed)
        new = len(seen.kinds) - len(seen.kept)
        line = 3 * lines * seen.ended // new if new else 0
        if line > state["cells"]:
            state["cells"] = line
            say(f"  {cells_line(seen, time.monotonic())}")

    return Told(stage, step, share, cells)
