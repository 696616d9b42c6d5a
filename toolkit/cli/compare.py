"""`toolkit compare`: which pretext gives the better features, at the same computing."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli import options
from toolkit.cli.tables import aligned
from toolkit.cli.terminal import can_resume, print_json, told

if TYPE_CHECKING:
    from toolkit.comparison.plan import Comparison, Folders
    from toolkit.comparison.run import Plan
    from toolkit.comparison.table import Table

Worlds = Annotated[list[Path] | None, typer.Option(help="World folder to pretrain on; may be repeated.")]
TaskWorld = Annotated[Path | None, typer.Option(help="World folder of the tasks; the small simulated one by default.")]
Pretexts = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Pretext; may be repeated. All by default.")]
Tasks = Annotated[
    list[str] | None,
    typer.Option(metavar="TASK", help="Task; may be repeated. All by default that look at what the backbone sees."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Settings of every pretraining, such as dim=64; those of every probe begin with 'probe.', those of one "
        "pretext's pretrainings or one task's probes with its name, such as dino.lr=3e-4 or hurricane.epochs=5.",
    ),
]


def compare(
    context: typer.Context,
    overrides: Overrides = None,
    world: Worlds = None,
    task_world: TaskWorld = None,
    pretext: Pretexts = None,
    task: Tasks = None,
    seeds: options.Seeds = 3,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps of `masked`; the others get as many operations, whatever steps that makes."),
    ] = None,
    labels: Annotated[
        int | None, typer.Option(min=1, help="How many labelled groups a probe is trained on; all by default.")
    ] = None,
    jobs: options.Jobs = 1,
    out: options.Out = Path("runs/comparison"),
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare pretexts: pretrain each at the same computing, then probe the frozen features on tasks.

    Exits with 1 where a cell failed; the table has all others, and --resume tries the failed ones again.
    """
    from toolkit.comparison.plan import Folders
    from toolkit.comparison.run import plan_of, run_comparison
    from toolkit.comparison.settings import Asked, check_finished, planned
    from toolkit.report.comparison import write_pages
    from toolkit.runfolder import RunFolder, check_settings

    asked = Asked(tuple(world or ()), task_world, tuple(pretext or ()), tuple(task or ()), seeds, steps, labels)
    comparison = planned(asked, overrides or ())
    folder = out or Path("runs/comparison")
    with told(quiet, verbose) as listener:
        if dry_run:
            if not overwrite:
                check_settings(folder, comparison.recorded())
                check_finished(comparison, Folders(folder))
            _say_plan(comparison, Folders(folder), plan_of(comparison, Folders(folder), listener), json)
            return
        run = RunFolder(folder, resume, overwrite, can_resume(context))
        table = run_comparison(comparison, run, jobs, listener)
        write_pages(folder, table)
    if json:
        print_json(table.content | {"folder": str(folder)})
    else:
        typer.echo(f"{_scores(table)}\n\nTable: {folder / 'comparison.md'}")
    for name, error in table.failed.items():
        typer.echo(f"Failed: {name}: {error}", err=True)
    if table.failed:
        raise typer.Exit(1)


def _scores(table: "Table") -> str:
    """Return the primary metric of each task by pretext, marked where it differs from that of random weights."""
    from toolkit.comparison.plan import NONE
    from toolkit.report.comparison import STAR, places_of, scored_row, tera

    of_task = {}
    for name, task in table.tasks.items():
        metric = task.metrics[task.primary]
        mark = {row.pretext: STAR for row in metric.rows if row.against_none and row.against_none.certain}
        of_task[name] = {
            row.pretext: f"{scored_row(row, places_of(metric))} {mark.get(row.pretext, '')}".rstrip()
            for row in metric.rows
        }
    heads = [
        f"{name}: {task.primary} ({task.metrics[task.primary].better} is better)" for name, task in table.tasks.items()
    ]
    rows = [["pretext", "steps", "operations, 1e12", *heads]]
    for name, spent in table.spent.items():
        own = [scores.get(name, "-") for scores in of_task.values()]
        rows.append([name, f"{spent.work.steps:,}", tera(spent.work.operations), *own])
    return f"{aligned(rows)}\n{STAR} differs from {NONE}, after Holm's correction (p < 0.05)"


def _say_plan(comparison: "Comparison", folders: "Folders", plan: "Plan", json: bool) -> None:
    """Print what a comparison takes and how much of it is done."""
    from toolkit.comparison.plan import NO_WORK, NONE

    works = {NONE: NO_WORK} | plan.works
    seeds = range(comparison.seeds)
    content: dict[str, Any] = {"seeds": comparison.seeds, "pretexts": {}, "failed": plan.failed}
    for name, work in works.items():
        content["pretexts"][name] = {
            "operations_per_step": work.operations_per_step,
            "steps": work.steps,
            "operations": work.operations,
            "pretrained": sum(folders.has_features(name, seed) for seed in seeds),
            "probed": {task: sum(folders.has_probe(name, seed, task) for seed in seeds) for task in comparison.probes},
        }
    if json:
        print_json(content)
        return
    rows = [["pretext", "operations of a step", "steps", "operations", "pretrained", *comparison.probes]]
    for name, own in content["pretexts"].items():
        counts = [own["pretrained"], *own["probed"].values()]
        numbers = [f"{own['operations_per_step']:.3g}", f"{own['steps']:,}", f"{own['operations']:.3g}"]
        rows.append([name, *numbers, *(f"{count} of {comparison.seeds}" for count in counts)])
    typer.echo(aligned(rows))
    for name, error in plan.failed.items():
        typer.echo(f"Failed: {name}: {error}", err=True)
