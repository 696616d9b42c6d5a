"""`toolkit examine`: how good a backbone is at what it was trained by."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import options
from toolkit.cli.tables import aligned
from toolkit.cli.terminal import can_resume, print_json, told

Worlds = Annotated[list[Path], typer.Option(help="World that the backbone has not seen; may be repeated.")]


def examine(
    context: typer.Context,
    backbone: Annotated[str, typer.Argument(help="Name of a backbone (see `toolkit backbones`), or its folder.")],
    world: Worlds,
    out: options.Out = None,
    device: options.Device = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Score a backbone's pretexts on worlds, and write the tables and pictures that they have to show."""
    from toolkit.config import Settings, configured
    from toolkit.examine import run_examine
    from toolkit.report.learned import write_learned_figures
    from toolkit.runfolder import RunFolder

    settings = configured(Settings, None, given=options.flags(context, Settings))
    folder = out or Path("runs") / f"examine-{Path(backbone).name}"
    with told(quiet, verbose) as listener:
        given = RunFolder(folder, resume, overwrite, can_resume(context))
        scores = run_examine(backbone, world, settings, given, listener)
        listener.stage("drawing")
        write_learned_figures(folder)
    if json:
        print_json({"folder": str(folder), "scores": scores})
        return
    typer.echo(aligned([[name, f"{value:.4g}"] for name, value in scores.items()]))
    typer.echo(f"\nFolder: {folder}")
