"""The options that commands share, each defined once. None means: not given on the command line."""

from pathlib import Path
from typing import Annotated, Any

import typer

Config = Annotated[Path | None, typer.Option("--config", "-c", help="YAML file of settings.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings, such as seed=1.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder to write into.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything drawn at random.")]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu or cuda.")]
Precision = Annotated[str | None, typer.Option("--precision", help="no, bf16 or fp16.")]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Windows per batch, in each process.")]
Rate = Annotated[float | None, typer.Option("--lr", help="Peak learning rate.")]
Threads = Annotated[int | None, typer.Option("--threads", help="Processor threads; 0 leaves torch's own choice.")]
Seeds = Annotated[int, typer.Option(min=1, help="How often everything is done, with seeds 0, 1, ...")]
Jobs = Annotated[int, typer.Option(min=1, help="How many cells run at a time, with one thread each.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what is in the folder; what is finished stays.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Remove what was done in the folder and begin again.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what there is to do and what that takes; write nothing but the cache.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more, and show the warnings of libraries.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print results as JSON.")]
Offline = Annotated[bool, typer.Option("--offline", help="Fetch nothing; take what is there.")]
World = Annotated[
    Path | None, typer.Option("--world", help="World folder: fields and labels; the small simulated one by default.")
]
Data = Annotated[Path | None, typer.Option("--data", help="File or folder of labels, in place of the world's own.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `toolkit finetune` wrote.")]


def flags(context: typer.Context, settings: type[Any]) -> dict[str, Any]:
    """Return the command line's values for the fields of a settings class, None where one was not given."""
    return {name: value for name, value in context.params.items() if name in settings.model_fields}
