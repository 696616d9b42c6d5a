"""From what a user asks for to a study, refused where its parts do not fit together."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.backbones.card import Card, backbone_folder, read_card, shipped
from toolkit.config import check_free
from toolkit.errors import UserError, unknown
from toolkit.finetune_run import found_origin
from toolkit.parts import check_store
from toolkit.study.ground import Ground, ground
from toolkit.study.ladder import MOST_STEPS, ladder
from toolkit.study.plan import CLASSICAL, METHODS, SCRATCH, Folders, Study, source_sha256
from toolkit.study.subsets import Subsets, budgets, check_subsets, drawn_subsets, read_subsets
from toolkit.task import Task
from toolkit.task_settings import task_and_settings
from toolkit.told import Told

OWN = ("method", "backbone", "labels", "seed", "compare", "baselines")
"""Settings of `toolkit finetune` that a study gives its cells itself."""
FIRST = {"threads": 1, "validations": 4, "limit_batches": MOST_STEPS}
"""Settings that a study has unless told otherwise."""
USUAL = ("probe", "lora", SCRATCH, CLASSICAL)
"""The methods of a study unless told otherwise."""
SMALLEST, LEAP = 4, 3
"""Groups of the smallest budget, unless told otherwise; each of the next has twice as many, up to a third of all."""


@dataclass(frozen=True)
class Asked:
    """What is to be compared, as a user says it.

    `labels` is a list such as "8,16,all", None for 4, 8, 16, ... and all; no methods are those of `USUAL`, no backbones
    the one of the settings. `ladder` is a file of settings to try, `subsets` that of another study.
    """

    labels: str | None = None
    methods: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    seeds: int = 5
    tries: int = 2
    ladder: Path | None = None
    subsets: Path | None = None


def planned(
    name: str,
    asked: Asked,
    config: Path | None = None,
    overrides: Sequence[str] = (),
    given: Mapping[str, Any] | None = None,
    told: Told | None = None,
) -> tuple[Study, Ground, Subsets]:
    """Return a study of the task called `name`, what it stands on, and its subsets.

    `config`, `overrides` and `given` are those of `toolkit.config.configured`. Raises `UserError` for what is unknown
    or does not fit, and for settings that are not for an override to say.
    """
    told = told or Told()
    check_free("study", overrides, OWN)
    given = dict(given or {}) | {"compare": False, "baselines": False}
    task, settings = task_and_settings(name, config, overrides, given, FIRST)
    wanted = _methods(task, asked.methods)
    rungs = ladder(wanted, settings, asked.tries, asked.ladder)
    cards = _cards(task, asked.backbones or (settings.backbone,))
    place, first = next(iter(cards.values()), (settings.backbone, None))
    origin = found_origin(task, settings, told)
    settings = settings.model_copy(update={
        "backbone": place, "world": origin.world and origin.world.resolve(),
        "data": origin.data and origin.data.resolve(),
    })  # fmt: skip
    told.stage("preparing fields and labels")
    on = ground(settings, first.spec.grid_degrees if first else None)
    for _, card in cards.values():
        check_store(task, card, on.material.store)
    subsets = _subsets(on, asked.seeds, asked.subsets)
    study = Study(
        settings,
        budgets(asked.labels or _doubled(subsets.available), subsets.available),
        tuple(method for method in wanted if method != CLASSICAL),
        tuple(task.baselines) if CLASSICAL in wanted else (),
        {own: found for own, (found, _) in cards.items()} or {"": place},
        _sources([(own, card) for own, (_, card) in cards.items()]),
        asked.seeds,
        rungs,
    )
    _check_folders(study)
    return study, on, subsets


def _methods(task: Task, methods: Sequence[str]) -> tuple[str, ...]:
    """Return the methods, those of `USUAL` that the task has where none is named; `UserError` for one it has not."""
    for method in methods:
        if method not in METHODS:
            raise unknown("method", method, METHODS)
        if method not in (SCRATCH, CLASSICAL) and not task.sees_fields:
            raise UserError(
                f"The task {task.name} looks at no fields, so there is no backbone for {method}. Leave it out."
            )
    if CLASSICAL in methods and not task.baselines:
        raise UserError(f"The task {task.name} has no classical baselines: leave {CLASSICAL} out.")
    there = [method for method in USUAL if task.sees_fields or method in (SCRATCH, CLASSICAL)]
    return tuple(dict.fromkeys(methods)) or tuple(m for m in there if m != CLASSICAL or task.baselines)


def _cards(task: Task, backbones: Sequence[str]) -> dict[str, tuple[str, Card]]:
    """Return {what cells call a backbone: (where it is found, its card)}; their grids must be one."""
    if not task.sees_fields:
        return {}
    found: dict[str, tuple[str, Card]] = {}
    for folder, name in {backbone_folder(name).resolve(): name for name in backbones}.items():
        card = read_card(folder)
        found[_called(card, folder, found)] = (name if name in shipped() else str(folder), card)
    if len(grids := {card.spec.grid_degrees for _, card in found.values()}) > 1:
        told = ", ".join(f"{card.spec.grid_degrees} degrees for {called}" for called, (_, card) in found.items())
        raise UserError(f"The backbones are made for {len(grids)} grids ({told}). Study them one by one.")
    return found


def _called(card: Card, folder: Path, taken: Collection[str]) -> str:
    """Return the name on the card, with more to it where another backbone has that name."""
    more = (folder.parent.name, folder.name, *map(str, range(2, len(taken) + 2)))
    return next(name for name in (card.name, *(f"{card.name} {word}" for word in more)) if name not in taken)


def _sources(cards: Sequence[tuple[str, Card]]) -> dict[str, str]:
    """Return the hashes of what networks begin with; those from scratch have the shape of the first backbone."""
    scratch = [("", source_sha256(card, SCRATCH)) for _, card in cards[:1]]
    return dict([*scratch, *((called, card.weights_sha256) for called, card in cards)])


def _check_folders(study: Study) -> None:
    """Raise `UserError` where two cells would have one folder."""
    ((folder, cells),) = Counter(Folders(Path()).of(cell) for cell in study.cells).most_common(1)
    if cells > 1:
        raise UserError(
            f"Names of methods, baselines or backbones are too alike: {cells} cells share {folder}. Rename one."
        )


def _subsets(on: Ground, seeds: int, file: Path | None) -> Subsets:
    if file is None:
        return drawn_subsets(on.material, range(seeds), on.task.strata)
    subsets = read_subsets(file)
    check_subsets(subsets, on.material)
    if missing := [str(seed) for seed in range(seeds) if seed not in subsets.seeds]:
        raise UserError(f"{file} has no subsets for seed {', '.join(missing)}. Ask for fewer --seeds.")
    return subsets


def _doubled(available: int) -> str:
    """Return the budgets from the smallest on, each twice the one before, and all."""
    counts, count = list[str](), SMALLEST
    while count * LEAP <= available:
        counts.append(str(count))
        count *= 2
    return ",".join([*counts, "all"])
