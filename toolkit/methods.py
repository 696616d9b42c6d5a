"""One method of adapting a backbone, from the settings of a run to a trained model and its thresholds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from accelerate import PartialState

from toolkit.adapt import Lora
from toolkit.backbones.weights import Backbone
from toolkit.columns import ColumnCode, fit_columns
from toolkit.config import FinetuneSettings
from toolkit.evaluate import chosen, predictor
from toolkit.examples import Examples, joined
from toolkit.fit import Seen, fit, seen
from toolkit.parts import Parts, assemble
from toolkit.split import TRAIN, VALIDATION
from toolkit.task import Task, Thresholds
from toolkit.told import Told
from toolkit.train import Run, Schedule

BACKBONE_RATE = {"probe": 0.0, "lora": 1.0, "full": 0.3, "scratch": 1.0}
"""The backbone's learning rate relative to the head's."""

See = Callable[[Parts, str], Seen]
"""(model, "train", "validation" or "test") -> the windows of that part, and what training does not change of them."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained model, its thresholds, and the lowest validation loss, infinite where there was none."""

    parts: Parts
    thresholds: Thresholds
    validation: float


def schedule_of(settings: FinetuneSettings, method: str, examples: int) -> Schedule:
    """Return how a method is trained on this many windows."""
    steps = max(settings.least_steps, round(settings.epochs * examples / settings.batch_size))
    steps = min(steps, settings.limit_batches or steps)
    return Schedule(
        steps=steps,
        batch_size=settings.batch_size,
        learning_rates={"head": settings.lr, "backbone": settings.lr * BACKBONE_RATE[method]},
        warmup_share=settings.warmup_share,
        weight_decay=settings.weight_decay,
        validate_every=max(1, steps // settings.validations),
        checkpoint_every=max(1, min(100, steps // 4)),
        seed=settings.seed,
    )


def built(task: Task, settings: FinetuneSettings, method: str, backbone: Backbone | None, columns: ColumnCode) -> Parts:
    """Assemble the model of a method from the run's settings."""
    lora = Lora(settings.lora_rank, settings.lora_alpha, settings.lora_blocks)
    card, used = (backbone.card, None if method == "scratch" else backbone) if backbone else (None, None)
    return assemble(task, card, used, method, lora, settings.seed, columns)


def in_memory(parts_of: Mapping[str, Examples], device: str) -> See:
    """Return the function that computes what training does not change whenever it is asked."""
    return lambda parts, name: seen(parts, parts_of[name], device)


def fitted(
    task: Task,
    settings: FinetuneSettings,
    method: str,
    backbone: Backbone | None,
    examples: Mapping[str, Examples],
    see: See,
    run: Run,
    told: Told,
) -> Fitted:
    """Train a method on the training part and choose its thresholds on the validation part."""
    train = examples[TRAIN]
    parts = built(task, settings, method, backbone, fit_columns(train.table, task.inputs.columns))
    own_share = -(-len(train) // PartialState().num_processes)  # each process sees batches of its own
    schedule = schedule_of(settings, method, own_share)
    told.stage(f"training {method} on {len(train)} windows, {schedule.steps} steps")
    reporting = replace(run, report=lambda numbers: told.step(numbers, schedule.steps))
    validation = see(parts, VALIDATION)
    progress = fit(task, parts, see(parts, TRAIN), validation, schedule, reporting)
    thresholds = chosen(task, predictor(task, parts, validation.frozen), validation.examples)
    if task.refit:
        both = joined(train, examples[VALIDATION])
        parts = built(task, settings, method, backbone, fit_columns(both.table, task.inputs.columns))
        steps = round((progress.best_step or schedule.steps) * len(both) / len(train))
        schedule = replace(schedule, steps=steps, validate_every=0)
        told.stage(f"training {method} again on {len(both)} windows with those of validation, {schedule.steps} steps")
        again = seen(parts, both, run.device)
        fit(task, parts, again, again, schedule, replace(reporting, folder=run.folder / "refit"))
    return Fitted(parts, thresholds, progress.best)
