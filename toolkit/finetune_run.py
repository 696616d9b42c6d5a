"""`toolkit finetune` as a run: the folder is checked, the world found or made, the settings written, then it begins."""

from pathlib import Path
from typing import Any

from accelerate import PartialState

from toolkit.config import FinetuneSettings
from toolkit.data.world.embedded import embedded_world
from toolkit.engine import engine
from toolkit.finetune import finetune, load_data, opened_backbone
from toolkit.origin import Origin, identity
from toolkit.parts import check_method
from toolkit.runfolder import RunFolder, check_folder, open_together, write_environment
from toolkit.task import Task
from toolkit.told import Told
from toolkit.train import Run


def default_folder(settings: FinetuneSettings, task: Task) -> Path:
    """Return where a fine-tuning writes unless told otherwise: runs/<task>-<method>-<labels>-<seed>."""
    return Path("runs") / f"{task.name}-{settings.method}-{settings.labels or 'all'}-{settings.seed}"


def found_origin(task: Task, settings: FinetuneSettings, told: Told) -> Origin:
    """Return world and labels of the settings; for a task that needs a world the embedded one, where none is named."""
    world = settings.world
    if world is None and (task.sees_fields or settings.data is None):
        world = embedded_world(told)
    return Origin(world, settings.data)


def run_finetune(task: Task, settings: FinetuneSettings, folder: RunFolder, told: Told) -> dict[str, Any] | None:
    """Fine-tune into a run folder and return the content of its results.json; raises `UserError` before it writes.

    Of several processes launched together the first writes everything; the others train with it and return None.
    """
    check_folder(folder.path, folder.resume, folder.overwrite)
    check_method(task, settings.method)
    device = engine(settings)
    state = PartialState()
    with state.main_process_first():  # which leaves in the cache what the others then find there
        origin = found_origin(task, settings, told)
        told.stage("preparing fields and labels")
        data = load_data(task, origin, settings)
    backbone = opened_backbone(task, settings, data)
    config = settings.model_dump(mode="json") | identity(task, origin, data.material.store)
    resumes = open_together(folder, config)
    state.on_main_process(write_environment)(folder.path, folder.command)
    run = Run(folder.path, resume=resumes, device=device, precision=settings.precision)
    results = finetune(task, settings, data, backbone, run, told)
    return results if state.is_main_process else None
