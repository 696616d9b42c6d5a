"""`toolkit pretrain` and `toolkit finetune`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli import options
from toolkit.cli.cells_shown import rough_duration
from toolkit.cli.tables import aligned, score_table
from toolkit.cli.terminal import alone, can_resume, print_json, told

if TYPE_CHECKING:
    from toolkit.config import FinetuneSettings, PretrainSettings
    from toolkit.pretrain_dry_run import PretrainEstimate
    from toolkit.task import Task

TaskName = Annotated[
    str, typer.Argument(help="Name of a task (see `toolkit tasks list`), or the path of its .py file.")
]
Method = Annotated[
    str | None, typer.Option(help="probe, lora, full or scratch; lora by default, where the task has no other.")
]
Labels = Annotated[
    int | None, typer.Option(help="How many labelled groups (storms, stations) to train on; all by default.")
]
Backbone = Annotated[
    str | None, typer.Option(help="Name of a backbone (see `toolkit backbones`) or its folder; general-vit by default.")
]
Compare = Annotated[bool | None, typer.Option("--compare/--no-compare", help="Train from scratch too; the default.")]
Baselines = Annotated[
    bool | None, typer.Option("--baselines/--no-baselines", help="Fit the task's baselines too; the default.")
]

Pretexts = Annotated[list[str] | None, typer.Option(metavar="NAME[=WEIGHT]", help="Objective; may be repeated.")]
Worlds = Annotated[list[Path] | None, typer.Option(help="World folder; may be repeated.")]
Recipe = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file of settings, or a recipe's name, such as atmodist.")
]
Kind = Annotated[str | None, typer.Option("--backbone", help="Kind of backbone: vit, resnet, timm:NAME.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes that draw batches ahead.")]
Accumulate = Annotated[int | None, typer.Option("--accumulate", help="Batches that make up a step, in each process.")]


def finetune(
    context: typer.Context,
    task: TaskName,
    overrides: options.Overrides = None,
    config: options.Config = None,
    world: options.World = None,
    data: options.Data = None,
    out: options.Out = None,
    method: Method = None,
    labels: Labels = None,
    backbone: Backbone = None,
    seed: options.Seed = None,
    epochs: Annotated[
        float | None, typer.Option(help="Times to go through the training windows; the task's own number by default.")
    ] = None,
    batch_size: options.BatchSize = None,
    lr: options.Rate = None,
    lora_rank: Annotated[int | None, typer.Option(help="Rank of the LoRA updates.")] = None,
    lora_alpha: Annotated[int | None, typer.Option(help="Scale of the LoRA updates.")] = None,
    lora_blocks: Annotated[int | None, typer.Option(help="How many of the last blocks LoRA updates.")] = None,
    compare: Compare = None,
    baselines: Baselines = None,
    limit_batches: Annotated[int | None, typer.Option(help="Stop after this many steps, for a trial.")] = None,
    device: options.Device = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Adapt a backbone to a task's labels and report how well that works."""
    from toolkit.config import FinetuneSettings
    from toolkit.task_settings import task_and_settings

    given = options.flags(context, FinetuneSettings)
    found, settings = task_and_settings(task, config, overrides or (), given)
    _check_lora(given, settings.method)
    if dry_run:
        _dry_run(found, settings, json, quiet, verbose)
        return
    from toolkit.finetune_run import default_folder, run_finetune
    from toolkit.report.page import write_report
    from toolkit.runfolder import RunFolder

    folder = out or default_folder(settings, found)
    with told(quiet, verbose) as listener:
        results = run_finetune(found, settings, RunFolder(folder, resume, overwrite, can_resume(context)), listener)
        if results is None:
            return
        listener.stage("writing the report")
        report = write_report(folder, figures=found.figures)
    if json:
        print_json(results | {"folder": str(folder), "report": str(report)})
    else:
        typer.echo(f"{score_table(results)}\n\nReport: {report}")


def _check_lora(given: Mapping[str, Any], method: str) -> None:
    from toolkit.errors import UserError

    if method != "lora" and (idle := [name for name in given if name.startswith("lora_") and given[name] is not None]):
        raise UserError(f"--{idle[0].replace('_', '-')} is for --method lora, not {method}: leave it out.")


def pretrain(
    context: typer.Context,
    overrides: options.Overrides = None,
    config: Recipe = None,
    world: Worlds = None,
    pretext: Pretexts = None,
    backbone: Kind = None,
    max_steps: Annotated[int | None, typer.Option(help="Training steps.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the backbone.")] = None,
    out: options.Out = None,
    seed: options.Seed = None,
    batch_size: options.BatchSize = None,
    accumulate: Accumulate = None,
    workers: Workers = None,
    lr: options.Rate = None,
    device: options.Device = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a backbone without labels on one or more worlds."""
    from toolkit.config import PretrainSettings, configured
    from toolkit.recipes import settings_file

    given = options.flags(context, PretrainSettings) | {"worlds": world or None, "pretext": _weights(pretext)}
    settings = configured(PretrainSettings, settings_file(config), overrides or (), given)
    if dry_run:
        _pretrain_dry_run(settings, json, quiet, verbose)
        return
    from toolkit.pretrain_run import run_pretrain
    from toolkit.report.learned import write_learned_figures
    from toolkit.runfolder import RunFolder

    folder = RunFolder(out or Path("runs") / f"pretrain-{settings.name}", resume, overwrite, can_resume(context))
    with told(quiet, verbose) as listener:
        written = run_pretrain(settings, folder, listener)
        if written is None:
            return
        write_learned_figures(folder.path)
    if json:
        print_json({"folder": str(folder.path), "backbone": str(written)})
    else:
        typer.echo(f"Backbone: {written}\nUse it with: toolkit finetune TASK --backbone {written}")


def _weights(pretexts: list[str] | None) -> dict[str, str] | None:
    """Return {name: weight} of NAME or NAME=WEIGHT; the settings check the weights."""
    pairs = (pretext.partition("=") for pretext in pretexts or ())
    return {name: weight if equals else "1" for name, equals, weight in pairs} or None


def _dry_run(task: "Task", settings: "FinetuneSettings", json: bool, quiet: bool, verbose: bool) -> None:
    from dataclasses import asdict

    from toolkit.dry_run import estimate

    alone("finetune --dry-run")
    with told(quiet, verbose) as listener:
        expected = estimate(task, settings, listener)
    if json:
        print_json(asdict(expected))
        return
    share = 100 * expected.trainable / expected.parameters
    rows = [[part, f"{count} windows of {expected.groups[part]} groups"] for part, count in expected.windows.items()]
    rows += [[f"steps, {method}", str(steps)] for method, steps in expected.steps.items()]
    rows += [
        ["parameters", f"{expected.parameters:,}, of which {expected.trainable:,} ({share:.1f} %) are trained"],
        ["memory", f"about {expected.peak_memory_bytes / 2**20:.0f} MiB on {expected.device}"],
        ["time", f"about {expected.seconds:.0f} s ({expected.seconds_per_step:.3f} s per step), without baselines"],
    ]
    typer.echo(aligned(rows))


def _pretrain_dry_run(settings: "PretrainSettings", json: bool, quiet: bool, verbose: bool) -> None:
    from dataclasses import asdict

    from toolkit.pretrain_dry_run import estimate_pretraining

    with told(quiet, verbose) as listener:
        expected = estimate_pretraining(settings, listener)
    if expected is None:
        return
    if json:
        print_json(asdict(expected))
    else:
        typer.echo(aligned(_expected(settings, expected)))


def _expected(settings: "PretrainSettings", expected: "PretrainEstimate") -> list[list[str]]:
    """Return what a pretraining would take as rows of a table."""
    parts = {"encoder": expected.encoder} | expected.modules
    sizes = ", ".join(f"{name} {count:,}" for name, count in parts.items())
    taken = ", ".join(f"{name} {held / 2**20:,.0f}" for name, held in expected.memory.items())
    first = f", the first {settings.first_steps:,} of them over the same {settings.first_batches:,} batches"
    worlds = [[world, f"{times:,} times to draw windows from"] for world, times in expected.times.items()]
    each = f"{expected.processes} x {settings.accumulate} x {settings.batch_size}"
    return [
        *worlds,
        ["held out", f"{expected.held_out} worlds"],
        ["steps", f"{expected.steps:,}{first if settings.first_steps else ''}"],
        ["windows", f"{expected.windows_per_step:,} in each step (processes x batches x windows: {each})"],
        ["parameters", f"{sum(parts.values()):,} ({sizes})"],
        [
            "memory",
            f"about {expected.memory_bytes / 2**30:.2f} GiB in each process on {expected.device} (MiB: {taken})",
        ],
        [
            "time",
            f"about {rough_duration(expected.seconds)} ({expected.seconds_per_step:.3f} s for a step, "
            f"{expected.windows_per_second:.0f} windows per second)",
        ],
    ]
