"""`toolkit finetune` as a run: the folder is checked, the world found or made, the settings written, then it begins."""

from pathlib import Path
from typing import Any

from accelerate import PartialState

from toolkit.config import FinetuneSettings
from toolkit.data.prepare import prepared
from toolkit.data.world.embedded import embedded_folder, embedded_world
from toolkit.data.world_identity import world_identity
from toolkit.engine import engine
from toolkit.finetune import finetune
from toolkit.runfolder import RunFolder, check_folder, open_together, write_environment
from toolkit.task import Task
from toolkit.told import Told
from toolkit.train import Run


def default_folder(settings: FinetuneSettings, task: Task) -> Path:
    """Return where a fine-tuning writes unless told otherwise: runs/<task>-<method>-<labels>-<seed>."""
    return Path("runs") / f"{task.name}-{settings.method}-{settings.labels or 'all'}-{settings.seed}"


def found_world(settings: FinetuneSettings, told: Told) -> Path:
    """Return the world of the settings, or the embedded one, which is simulated if it is not in the cache."""
    if settings.world is not None:
        return settings.world
    if not embedded_folder().exists():
        told.stage("simulating the small world (once; it is kept in the cache)")
    return embedded_world(told.share)


def run_finetune(task: Task, settings: FinetuneSettings, folder: RunFolder, told: Told) -> dict[str, Any] | None:
    """Fine-tune into a run folder and return the content of its results.json; raises `UserError` before it writes.

    Of several processes launched together the first writes everything; the others train with it and return None.
    """
    check_folder(folder.path, folder.resume, folder.overwrite)
    device = engine(settings)
    state = PartialState()
    with state.main_process_first():  # which leaves in the cache what the others then find there
        world = found_world(settings, told)
        told.stage("preparing fields")
        store = prepared(world, (*task.inputs.variables, *task.inputs.also))
    config = settings.model_dump(mode="json") | {"world": world_identity(world, store)}
    resumes = open_together(folder, config)
    state.on_main_process(write_environment)(folder.path, folder.command)
    run = Run(folder.path, resume=resumes, device=device, precision=settings.precision)
    results = finetune(task, settings, world, run, told)
    return results if state.is_main_process else None
