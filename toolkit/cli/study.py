"""`toolkit study`: how many labels pretraining saves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli import options
from toolkit.cli.cells_shown import rough_duration
from toolkit.cli.tables import aligned
from toolkit.cli.terminal import can_resume, print_json, told

if TYPE_CHECKING:
    from toolkit.runfolder import RunFolder
    from toolkit.study.ground import Ground
    from toolkit.study.plan import Study
    from toolkit.study.subsets import Subsets
    from toolkit.study.table import StudyTable

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Settings of all trainings, and options of the task, such as weight_decay=0.1. Method, backbone, labels "
        "and seed are the study's own.",
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        metavar="LIST", help="Budgets of labelled groups, such as 8,16,all; by default 4, 8, 16, ... and all."
    ),
]
Methods = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Of probe, lora, full, scratch and classical (the task's baselines); without full by default.",
    ),
]
Backbones = Annotated[str | None, typer.Option(metavar="LIST", help="Shipped ones or folders; general-vit by default.")]
Ladder = Annotated[
    Path | None, typer.Option(metavar="FILE", help="YAML file of the settings to try, {method: [{setting: value}]}.")
]
SubsetsFile = Annotated[
    Path | None, typer.Option("--subsets", metavar="FILE", help="The subsets.json of another study, to be used again.")
]
Tries = Annotated[int, typer.Option(min=1, help="Settings tried for every method and budget; validation chooses.")]
Backend = Annotated[str, typer.Option(help="loky (this machine) or dask (a cluster).")]
Scheduler = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Of the dask scheduler, tcp://HOST:8786.")]


def study(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="Installed task, or the path of a .py file.")],
    overrides: Overrides = None,
    config: options.Config = None,
    labels: Labels = None,
    methods: Methods = None,
    backbones: Backbones = None,
    seeds: options.Seeds = 5,
    tries: Tries = 2,
    ladder: Ladder = None,
    subsets: SubsetsFile = None,
    world: options.World = None,
    data: options.Data = None,
    out: options.Out = None,
    jobs: options.Jobs = 1,
    backend: Backend = "loky",
    scheduler: Scheduler = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure how many labels pretraining saves: a task with few labels and with many, by every method.

    Exits with 1 where a cell failed; the report has all others, and --resume tries the failed ones again.
    """
    from toolkit.report.study import write_study_pages
    from toolkit.runfolder import RunFolder, check_folder
    from toolkit.study.gathered import gathered
    from toolkit.study.run import run_study
    from toolkit.study.settings import Asked, planned
    from toolkit.workers import workers_named

    workers = workers_named(backend, scheduler or "", jobs)
    folder = RunFolder((out or Path("studies") / Path(task).stem).resolve(), resume, overwrite, can_resume(context))
    with told(quiet, verbose) as listener:
        if not dry_run:
            check_folder(folder.path, resume, overwrite)
        asked = Asked(labels, _listed(methods), _listed(backbones), seeds, tries, ladder, subsets)
        plan = planned(task, asked, config, overrides or (), {"world": world, "data": data}, listener)
        if dry_run:
            _say_plan(plan, folder, jobs, json)
            return
        failed = run_study(*plan, folder, workers, listener)
        listener.stage("comparing the scores")
        table = gathered(plan[0], plan[1], folder.path, failed, folder.command)
        page = write_study_pages(folder.path, table)
    if json:
        print_json(table.content | {"folder": str(folder.path)})
    else:
        typer.echo(f"{_scores(table)}\n\nReport: {page}")
    for name, error in table.failed.items():
        typer.echo(f"Failed: {name}: {error}", err=True)
    if table.failed:
        raise typer.Exit(1)


def _listed(words: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(",") if word.strip()) if words else ()


def _scores(table: "StudyTable") -> str:
    """Return the primary metric of every line by labels, and the labels saved."""
    metric = table.metrics[table.primary]
    budgets = sorted({point.labels for curve in metric.curves for point in curve.points})
    rows = [[f"{table.groups} with labels", *map(str, budgets)]]
    for curve in metric.curves:
        values = {point.labels: point.value for point in curve.points}
        rows.append(
            [curve.line.name, *("-" if (v := values.get(labels)) is None else f"{v:.4g}" for labels in budgets)]
        )
    saved = [[f"{s.ours.name} against {s.theirs.name}", s.words] for s in metric.savings]
    head = f"{metric.metric}, {metric.unit} ({metric.better} is better), mean of {table.about['seeds']} seeds"
    return f"{head}\n{aligned(rows)}" + (f"\n\nlabels saved\n{aligned(saved)}" if saved else "")


def _say_plan(plan: "tuple[Study, Ground, Subsets]", folder: "RunFolder", jobs: int, json: bool) -> None:
    """Print what a study takes and how much of it is done; `UserError` where it could not go on with what is there."""
    from dataclasses import asdict

    from toolkit.study.estimate import outlook
    from toolkit.study.plan import Folders
    from toolkit.study.run import check_resumable

    study, on, subsets = plan
    if not folder.overwrite:
        check_resumable(study, on, Folders(folder.path))
    rows = outlook(study, on, subsets, Folders(folder.path))
    seconds = sum(row.seconds or 0.0 for row in rows) / jobs
    if json:
        content = {"budgets": list(study.budgets), "seeds": study.seeds, "kinds": [asdict(row) for row in rows]}
        print_json(content | {"seconds": seconds})
        return
    shown = [
        [row.kind, str(row.to_do), str(row.done), "not known" if row.seconds is None else rough_duration(row.seconds)]
        for row in rows
    ]
    typer.echo(aligned([["cells", "to do", "done", "about"], *shown]))
    unknown = sum(row.to_do for row in rows if row.seconds is None)
    known = f"about {rough_duration(seconds)} with --jobs {jobs}" if seconds or not unknown else ""
    typer.echo(", and ".join(filter(None, (known, f"{unknown} cells whose time is not known" if unknown else ""))))
