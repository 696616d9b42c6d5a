"""`toolkit evaluate`, `toolkit predict` and `toolkit report`: what is done with a finished run."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import options
from toolkit.cli.tables import metric_table
from toolkit.cli.terminal import print_json, told

Fields = Annotated[str, typer.Option(help="Fields: a NetCDF or GRIB file, a Zarr, a folder, a pattern or a URL.")]


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
    threshold: Annotated[float | None, typer.Option(help="Least probability; the run's own by default.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier prediction.")] = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Run a fine-tuned model over whole fields; writes detections.csv, map.png and notes.txt."""
    from dataclasses import asdict

    from toolkit.evaluate_run import recorded
    from toolkit.plugins import task_named
    from toolkit.predict import PredictOptions, predict_fields

    task = task_named(recorded(run)["task"])
    with told(quiet, verbose) as listener:
        result = predict_fields(run, fields, out, task, listener, PredictOptions(threshold, overwrite))
    if json:
        print_json(asdict(result))
        return
    for note in result.notes:
        typer.echo(f"Note: {note}")
    typer.echo(f"{result.detections} detections at {result.times} times, probability {result.threshold:.2f} or more")
    typer.echo(f"Folder: {result.folder}")


def report(run: options.RunPath, json: options.Json = False) -> None:
    """Write the report of a finished run again."""
    from toolkit.evaluate_run import recorded
    from toolkit.plugins import task_named
    from toolkit.report.page import write_report

    task = task_named(recorded(run)["task"])
    page = write_report(run, figures=task.figures)
    if json:
        print_json({"report": str(page)})
    else:
        typer.echo(f"Report: {page}")
