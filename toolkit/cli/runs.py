"""`toolkit evaluate`, `toolkit predict` and `toolkit report`: what is done with a finished run."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import options
from toolkit.cli.tables import metric_table
from toolkit.cli.terminal import print_json, told

Fields = Annotated[
    str | None, typer.Option(help="Fields: a NetCDF or GRIB file, a Zarr, a folder, a pattern or a URL.")
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
    data: options.Data = None,
    threshold: Annotated[float | None, typer.Option(help="Least probability; the run's own by default.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier prediction.")] = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Run a fine-tuned model over whole fields, or at the rows of a table (--data); writes a table, a map and notes."""
    from dataclasses import asdict

    from toolkit.evaluate_run import recorded, recorded_task
    from toolkit.predict import PredictOptions
    from toolkit.predict_run import predict_run

    task = recorded_task(recorded(run), data)
    with told(quiet, verbose) as listener:
        result = predict_run(task, run, fields, data, out, listener, PredictOptions(threshold, overwrite))
    if json:
        print_json(asdict(result))
        return
    for note in result.notes:
        typer.echo(f"Note: {note}")
    typer.echo(f"{result.rows} rows at {result.times} times\nFolder: {result.folder}")


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
