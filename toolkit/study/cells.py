"""The cells of a study, each in a process and a folder of its own."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from toolkit.backbones.card import Card, backbone_folder
from toolkit.backbones.weights import Backbone, load_backbone
from toolkit.columns import fit_columns
from toolkit.config import FinetuneSettings
from toolkit.engine import engine
from toolkit.evaluate import outputs, scored, stated
from toolkit.examples import Examples
from toolkit.files import write_json
from toolkit.frozen import is_stored, stored
from toolkit.memory import forget_peak, peak_bytes
from toolkit.methods import Fitted, See, built, fitted
from toolkit.metrics import evaluate_metrics
from toolkit.parts import Parts, check_store
from toolkit.plugins import task_named
from toolkit.split import PARTS, TEST, TRAIN, VALIDATION
from toolkit.study.ground import Ground, Taken, features_folder, ground, see_taken, taken
from toolkit.study.plan import CELL, SCRATCH, TRIAL, source_sha256
from toolkit.study.recorded import write_scores
from toolkit.told import Told
from toolkit.train import Run

RUN, SCORES = "run", "scores.npz"
BEGUN = "begun.json"
"""What a training was begun with: it is gone on with only where that is the same."""


@dataclass(frozen=True)
class Groups:
    """The groups that a cell is trained on, and those it is validated on."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Trained:
    on: Ground
    examples: Mapping[str, Examples]
    see: See
    model: Fitted
    source: dict[str, str]


def features_cell(settings: FinetuneSettings, part: str, number: int) -> None:
    """Compute what a method does not change of the windows of a part, cut for the time of this number."""
    parts, cut, card = _of_cut(settings, part, number)
    stored(parts, cut, engine(settings), card, features_folder())


def there_are_features(settings: FinetuneSettings, part: str, number: int) -> bool:
    """Whether `features_cell` has been done, for these windows and this backbone."""
    parts, cut, card = _of_cut(settings, part, number)
    return is_stored(parts, cut, card, features_folder())


def trial_cell(settings: FinetuneSettings, groups: Groups, folder: Path) -> None:
    """Train a network and write its lowest validation loss. Goes on with what is in its folder."""

    def work() -> dict[str, Any]:
        trained = _trained(settings, groups, folder / RUN)
        return {"validation": trained.model.validation} | trained.source

    _once(folder / TRIAL, settings, groups, work)


def network_cell(settings: FinetuneSettings, groups: Groups, folder: Path, trial: Path | None) -> None:
    """Train a network and score it on the test part, alone and, from scratch, with the task's completions.

    `trial`: the folder of a trial with the same settings and groups, whose training is not repeated and counts as the
    cell's.
    """
    run = (trial or folder) / RUN
    before = trial / TRIAL if trial and run.exists() else None

    def work() -> dict[str, Any]:
        trained = _trained(settings, groups, run)
        task, test, model = trained.on.task, trained.examples[TEST], trained.model
        output = outputs(model.parts, test, trained.see(model.parts, TEST).frozen)
        result = stated(task, task.decode(output, test), model.thresholds, test)
        write_scores(folder / SCORES, result.scores)
        for name, complete in task.completions.items() if settings.method == SCRATCH else ():
            said = complete(trained.examples[TRAIN], trained.examples[VALIDATION])(result.table, test)
            scores = evaluate_metrics(task.metrics, said, task.truth(test), test.table)
            write_scores(folder / completed(name), scores)
        return {"thresholds": dict(model.thresholds)} | trained.source

    _once(folder / CELL, settings, groups, work, before)
    shutil.rmtree(run, ignore_errors=True)


def baseline_cell(settings: FinetuneSettings, name: str, groups: Groups, folder: Path) -> None:
    """Fit a baseline of the task and score it on the test part."""

    def work() -> dict[str, Any]:
        on = opened(settings)[0]
        sets = {part: of.examples() for part, of in _taken(on, groups).items()}
        predict = on.task.baselines[name](sets[TRAIN], sets[VALIDATION])
        result = scored(on.task, predict, sets[VALIDATION], sets[TEST])
        write_scores(folder / SCORES, result.scores)
        return {"thresholds": dict(result.thresholds)}

    _once(folder / CELL, settings, groups, work)


def completed(name: str) -> str:
    """Return the file of the scores with a completion."""
    return f"scores + {name}.npz"


def opened(settings: FinetuneSettings) -> tuple[Ground, Backbone | None]:
    """Return the ground and the backbone of a cell, which must fit; None for a task that looks at no fields."""
    task = task_named(settings.task, settings.options, settings.data)
    if not task.sees_fields:
        return ground(settings, None), None
    backbone = load_backbone(backbone_folder(settings.backbone))
    on = ground(settings, backbone.card.spec.grid_degrees)
    check_store(task, backbone.card, on.material.store)
    return on, backbone


def _of_cut(settings: FinetuneSettings, part: str, number: int) -> tuple[Parts, Examples, Card]:
    """Return a model that is not trained, the windows of a cut, and the card of the backbone."""
    on, backbone = opened(settings)
    assert backbone is not None
    cut = on.cut(part, number)
    code = fit_columns(cut.table, on.task.inputs.columns)
    return built(on.task, settings, settings.method, backbone, code), cut, backbone.card


def _taken(on: Ground, groups: Groups) -> dict[str, Taken]:
    """Return the windows of each part."""
    own = {TRAIN: groups.train, VALIDATION: groups.validation, TEST: ()}
    return {part: taken(on, part, own[part]) for part in PARTS}


def _trained(settings: FinetuneSettings, groups: Groups, run: Path) -> _Trained:
    """Train a network in a run folder, or go on there, and choose its thresholds."""
    on, backbone = opened(settings)
    device = engine(settings)
    sets = _taken(on, groups)
    whole = {part: of.examples() for part, of in sets.items()}
    see = see_taken(sets, whole, device, backbone.card if backbone else None)
    source = {"source_sha256": source_sha256(backbone.card, settings.method)} if backbone else {}
    _begin(run, _given(settings, groups) | source)
    going = Run(run, resume=True, device=device, precision=settings.precision)
    model = fitted(on.task, settings, settings.method, backbone, whole, see, going, Told())
    return _Trained(on, whole, see, model, source)


def _begin(run: Path, given: Mapping[str, Any]) -> None:
    """Remove a training that was begun with something else, and write what this one is given."""
    begun = run / BEGUN
    if not begun.is_file() or json.loads(begun.read_text()) != given:
        shutil.rmtree(run, ignore_errors=True)
        write_json(begun, given)


def _given(settings: FinetuneSettings, groups: Groups) -> dict[str, Any]:
    return {"settings": settings.model_dump(mode="json"), "groups": {k: list(v) for k, v in asdict(groups).items()}}


def _once(
    result: Path,
    settings: FinetuneSettings,
    groups: Groups,
    work: Callable[[], dict[str, Any]],
    before: Path | None = None,
) -> None:
    """Do a cell's work and write its result, which says what it was given and what it took, unless it is there.

    What it took has in it what the result `before`, of which the work is the rest, took.
    """
    result.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(result.with_name(f".{result.name}.lock")):  # a process that outlived a killed study may be at it
        if result.is_file():
            return
        forget_peak()
        began = time.perf_counter()
        found = work()
        spent = json.loads(before.read_text()) if before else {"seconds": 0.0, "peak_mb": 0.0}
        seconds = spent["seconds"] + time.perf_counter() - began
        peak_mb = max(round(peak_bytes() / 1e6, 1), spent["peak_mb"])
        took = {"seconds": round(seconds, 2), "peak_mb": peak_mb}
        write_json(result, _given(settings, groups) | found | took)
