"""`toolkit pretrain` as a run: worlds become stores, stores become windows, what was learned becomes a backbone.

config.yaml  env.json  metrics.jsonl  checkpoints/    the run, which resumes
<name>/                                               the backbone's folder, once the run is finished
"""

import hashlib
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState

from toolkit.backbones.card import Card
from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.weights import save_backbone
from toolkit.config import PretrainSettings
from toolkit.data.normalise import Normalisation
from toolkit.data.prepare import prepared
from toolkit.data.sources import WINDS
from toolkit.data.store import Store
from toolkit.data.world_identity import field_attributes, world_identity
from toolkit.engine import engine
from toolkit.errors import UserError
from toolkit.files import made_once, whole_file, whole_folder, write_text
from toolkit.model_card import card_text, last_losses, recipe_text
from toolkit.pretexts.contract import Pretext, Target
from toolkit.pretexts.known import pretext_named, readout_names
from toolkit.pretrain import Pretraining, Recipe, held_out_losses, normalisation_for, pretrain, unlabelled
from toolkit.runfolder import RunFolder, check_folder, open_together, write_environment
from toolkit.told import Told
from toolkit.train import Run, Schedule

GRID_TOLERANCE = 1e-3
Pretexts = tuple[tuple[Pretext, float], ...]


@dataclass(frozen=True)
class Source:
    """A world, its store, and what identifies it: path, simulated, sha256, and what its fields say of themselves."""

    world: Path
    store: Store
    identity: dict[str, Any]


def run_pretrain(settings: PretrainSettings, folder: RunFolder, told: Told) -> Path | None:
    """Pretrain into a run folder and return the folder of the backbone; raises `UserError` before it writes.

    Of several processes launched together the first writes everything; the others train with it and return None.
    """
    check_folder(folder.path, folder.resume, folder.overwrite)
    device = engine(settings)
    state = PartialState()
    weighted = tuple((pretext_named(name), weight) for name, weight in settings.pretext.items())
    with state.main_process_first():  # which leaves in the cache what the others then find there
        sources, held_out = _sources(settings, weighted, told)
    identities = {"worlds": [s.identity for s in sources], "held_out": [s.identity for s in held_out]}
    config = settings.model_dump(mode="json") | identities
    resumes = open_together(folder, config)
    backbone = folder.path / settings.name
    if backbone.exists():
        return backbone if state.is_main_process else None
    state.on_main_process(write_environment)(folder.path, folder.command)
    recipe = _recipe(settings, weighted, sources[0].store)
    told.stage("making the targets of the pretexts (once; they are kept in the cache)")
    with state.main_process_first():
        windows, unseen = ([unlabelled(s.store, recipe, cached_target) for s in part] for part in (sources, held_out))
    normalisation = normalisation_for(settings.variables, sources[0].store)
    told.stage(f"training on {sum(len(part.times) for part in windows)} times, {settings.max_steps} steps")
    run = Run(folder.path, resumes, lambda numbers: told.step(numbers, settings.max_steps), device, settings.precision)
    model = pretrain(recipe, windows, normalisation, _schedule(settings), run)
    if not state.is_main_process:
        return None
    scores = last_losses(folder.path / "metrics.jsonl", settings.pretext)
    if unseen:
        told.stage("scoring the held-out worlds")
        losses = held_out_losses(recipe, model, unseen, normalisation, settings.batch_size)
        scores |= {f"held-out {name}": round(loss, 4) for name, loss in losses.items()}
    data = {"worlds": _listed(sources), "held_out": _listed(held_out)}
    return _saved(backbone, _card(settings, recipe, normalisation, data, scores), model, settings)


def cached_target(name: str, target: Target, store: Store) -> np.ndarray:
    """Return the array of a target that is made from a store, from the file beside the store if it was made before.

    The file's name changes with the store's content and with the code that makes the array: the module of `make` and
    those of the toolkit that it takes its functions from.
    """
    make = target.make
    assert make is not None  # the others are read from the store itself
    own = sys.modules[make.__module__]
    modules = {own} | {inspect.getmodule(value) for value in vars(own).values() if inspect.isfunction(value)}
    code = sorted(inspect.getsource(part) for part in modules if part and part.__name__.startswith("toolkit."))
    version = hashlib.sha256(f"{code} {store.sha256}".encode()).hexdigest()[:12]
    path = store.path.with_name(f"{store.path.name}.{name}-{version}.npy")

    def write() -> None:
        with whole_file(path) as temporary:
            np.save(temporary, make(store))

    made_once(path, write)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _sources(settings: PretrainSettings, weighted: Pretexts, told: Told) -> tuple[list[Source], list[Source]]:
    """Prepare the stores of the worlds and of those held out, with the winds where a pretext makes its target."""
    makes = any(target.make is not None for pretext, _ in weighted for target in pretext.targets.values())
    variables = tuple(dict.fromkeys((*settings.variables, *(WINDS if makes else ()))))
    sources = []
    for world in (*settings.worlds, *settings.held_out):
        told.stage(f"preparing fields of {world}")
        store = prepared(world, variables)
        about = {key: value for key, value in field_attributes(world).items() if key in ("source", "size", "seed")}
        span = {"from": str(store.time[0])[:10], "to": str(store.time[-1])[:10], "times": len(store.time)}
        sources.append(Source(world, store, world_identity(world, store) | about | span))
    spacings = [source.store.latitude_spacing for source in sources]
    if any(abs(spacing / spacings[0] - 1) > GRID_TOLERANCE for spacing in spacings):
        listed = ", ".join(f"{source.world} {source.store.latitude_spacing:g}" for source in sources)
        raise UserError(f"The worlds have different grid spacings ({listed} degrees). Pretrain on one grid.")
    return sources[: len(settings.worlds)], sources[len(settings.worlds) :]


def _recipe(settings: PretrainSettings, weighted: Pretexts, store: Store) -> Recipe:
    spec = FeatureSpec(
        variables=settings.variables,
        units=tuple(store.channels[store.names.index(name)].units for name in settings.variables),
        frames=settings.frames,
        grid_degrees=store.latitude_spacing,
        patch=settings.patch,
        dim=settings.dim,
    )
    return Recipe(spec, {"depth": settings.depth, "heads": settings.heads}, weighted, settings.window)


def _listed(sources: list[Source]) -> list[dict[str, Any]]:
    """Return what identifies each world, without the place of this machine where it lies."""
    return [source.identity | {"path": source.world.name} for source in sources]


def _card(
    settings: PretrainSettings,
    recipe: Recipe,
    normalisation: Normalisation,
    data: dict[str, Any],
    scores: dict[str, float],
) -> Card:
    return Card(
        name=settings.name,
        summary=f"Vision transformer pretrained on {' and '.join(settings.variables)} by {', '.join(settings.pretext)}",
        spec=recipe.spec,
        architecture=dict(recipe.architecture),
        normalisation=normalisation,
        pretexts=dict(settings.pretext),
        readouts=readout_names(settings.pretext),
        parameters=0,
        weights_sha256="",
        data=data,
        scores=scores,
    )


def _schedule(settings: PretrainSettings) -> Schedule:
    return Schedule(
        steps=settings.max_steps,
        batch_size=settings.batch_size,
        learning_rates={"": settings.lr},
        warmup_share=settings.warmup_share,
        checkpoint_every=settings.checkpoint_every,
        seed=settings.seed,
    )


def _saved(folder: Path, card: Card, model: Pretraining, settings: PretrainSettings) -> Path:
    with whole_folder(folder) as temporary:
        card = save_backbone(temporary, card, model.backbone, {str(k): v for k, v in model.pretexts.items()})
        recipe = recipe_text(card, settings)
        write_text(temporary / "recipe.yaml", recipe)
        write_text(temporary / "README.md", card_text(card))
    return folder
