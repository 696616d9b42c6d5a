"""`toolkit evaluate`, `toolkit predict` and `toolkit report`: what is done with a finished run."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import options
from toolkit.cli.tables import metric_table
from toolkit.cli.terminal import print_json, told

Fields = Annotated[Path, typer.Option(help="Field file, or folder of files: NetCDF, GRIB or Zarr.")]


def evaluate(
    run: options.RunPath,
    world: Annotated[Path | None, typer.Option(help="World folder; the run's own by default.")] = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Score a run's model again, on its own world's test years or on another world's; writes evaluation.json."""
    from toolkit.evaluate_run import evaluate_run

    with told(quiet, verbose) as listener:
        scores = evaluate_run(run, world, listener)
    if json:
        print_json(scores)
    else:
        typer.echo(f"{scores['groups']} groups, {scores['windows']} windows of {scores['world']['path']}")
        typer.echo(metric_table(scores["metrics"]))


def predict(
    run: options.RunPath,
    fields: Fields,
    out: Annotated[Path, typer.Option(help="Folder to write into.")],
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Run a fine-tuned model over whole fields."""
    from dataclasses import asdict

    from toolkit.predict import predict_fields

    with told(quiet, verbose) as listener:
        result = predict_fields(run, fields, out, listener)
    if json:
        print_json(asdict(result))
    else:
        typer.echo(str(result))


def report(run: options.RunPath, json: options.Json = False) -> None:
    """Write the report of a finished run again."""
    from toolkit.evaluate_run import recorded
    from toolkit.plugins import task_named
    from toolkit.report.page import write_report

    task = task_named(recorded(run)["task"])
    page = write_report(run, figures=getattr(task, "figures", ()))
    if json:
        print_json({"report": str(page)})
    else:
        typer.echo(f"Report: {page}")
