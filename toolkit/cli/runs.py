"""`toolkit evaluate`, `toolkit predict` and `toolkit report`: what is done with a finished run."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import options
from toolkit.cli.tables import metric_table
from toolkit.cli.terminal import print_json, told

Fields = Annotated[
    str | None,
    typer.Option(
        help="Fields, for tasks that look at some: a NetCDF or GRIB file, a Zarr, a folder; without --data also a "
        "pattern or a URL."
    ),
]
Rows = Annotated[
    Path | None,
    typer.Option("--data", help="Table of the rows to predict at, for tasks that look at columns of it."),
]


def evaluate(
    run: options.RunPath,
    world: Annotated[Path | None, typer.Option(help="World folder; the run's own by default.")] = None,
    data: options.Data = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Score a run's model again, on its own test part or on another world's; writes evaluation.json."""
    from toolkit.evaluate_run import evaluate_run, recorded, recorded_origin, recorded_task

    config = recorded(run)
    with told(quiet, verbose) as listener:
        scores = evaluate_run(recorded_task(config, data), run, recorded_origin(config, world, data), listener)
    if json:
        print_json(scores)
    else:
        of = " and ".join(scores[name]["path"] for name in ("world", "data") if scores[name])
        typer.echo(f"{scores['groups']} groups, {scores['windows']} windows of {of}")
        typer.echo(metric_table(scores["metrics"]))


def predict(
    run: options.RunPath,
    out: Annotated[Path, typer.Option(help="Folder to write into.")],
    fields: Fields = None,
    data: Rows = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]VALUE",
            help="From where on something is stated, in place of what the run chose; with its name, and repeated, "
            "where a task has several.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier prediction.")] = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Run a fine-tuned model over whole fields, or at the rows of a table (--data).

    Writes a table and notes; of whole fields also a map.
    """
    from dataclasses import asdict

    from toolkit.evaluate_run import recorded, recorded_task
    from toolkit.predict import PredictOptions
    from toolkit.predict_run import predict_run

    task = recorded_task(recorded(run), data)
    with told(quiet, verbose) as listener:
        chosen = PredictOptions(_thresholds(threshold or ()), overwrite)
        result = predict_run(task, run, fields, data, out, listener, chosen)
    if json:
        print_json(asdict(result))
        return
    for note in result.notes:
        typer.echo(f"Note: {note}")
    typer.echo(f"{result.rows} rows at {result.times} times\nFolder: {result.folder}")


def _thresholds(words: Iterable[str]) -> dict[str, float]:
    from toolkit.errors import UserError

    chosen = {}
    for word in words:
        name, _, value = word.rpartition("=")
        try:
            chosen[name] = float(value)
        except ValueError:
            raise UserError(f"--threshold {word} is no number, nor NAME=NUMBER, such as 0.3.") from None
    return chosen


def report(run: options.RunPath, json: options.Json = False) -> None:
    """Write the report of a finished run again."""
    from toolkit.evaluate_run import recorded, recorded_task
    from toolkit.report.page import write_report

    task = recorded_task(recorded(run))
    page = write_report(run, figures=task.figures)
    if json:
        print_json({"report": str(page)})
    else:
        typer.echo(f"Report: {page}")
