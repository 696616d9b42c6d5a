"""`toolkit pretrain` as a run: worlds become stores, stores become windows, what was learned becomes a backbone.

config.yaml  env.json  metrics.jsonl  checkpoints/    the run, which resumes
<name>/                                               the backbone's folder, once the run is finished
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState

from toolkit.backbones.card import Card
from toolkit.backbones.contract import Shape, Wishes
from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.known import kind_named, shape_named
from toolkit.backbones.weights import load_backbone, save_backbone
from toolkit.checkpoint import check_tensorboard
from toolkit.config import PretrainSettings
from toolkit.data.normalise import Normalisation
from toolkit.data.prepare import prepared
from toolkit.data.store import Store
from toolkit.data.world_identity import made_by, world_identity
from toolkit.engine import engine
from toolkit.errors import UserError
from toolkit.examine import pretraining_of, write_examinations
from toolkit.files import whole_folder, write_text
from toolkit.model_card import card_text, last_losses, recipe_text
from toolkit.pretexts.contract import Pretext
from toolkit.pretexts.draw import Recipe, Unlabelled, draw, normalisation_for, unlabelled
from toolkit.pretexts.known import pretext_named
from toolkit.pretexts.made import cached_target, stored_variables
from toolkit.pretrain import Phase, Pretraining, held_out_scores, pretrain
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


@dataclass(frozen=True)
class Ready:
    """What a run trains on: its recipe, its worlds and those held out, the windows of both, how they are normalised."""

    recipe: Recipe
    sources: list[Source]
    held_out: list[Source]
    windows: list[Unlabelled]
    unseen: list[Unlabelled]
    normalisation: Normalisation

    @property
    def times(self) -> int:
        """Number of times to draw windows from."""
        return sum(len(part.times) for part in self.windows)


def run_pretrain(settings: PretrainSettings, folder: RunFolder, told: Told) -> Path | None:
    """Pretrain into a run folder and return the folder of the backbone; raises `UserError` before it writes.

    Of several processes launched together the first writes everything; the others train with it and return None.
    """
    check_folder(folder.path, folder.resume, folder.overwrite)
    device, state = engine(settings), PartialState()
    if settings.tensorboard:
        check_tensorboard()
    ready = made_ready(settings, told)
    identities = {"worlds": [s.identity for s in ready.sources], "held_out": [s.identity for s in ready.held_out]}
    resumes = open_together(folder, settings.model_dump(mode="json") | identities)
    backbone = folder.path / settings.name
    if backbone.exists():
        state.on_main_process(_examined)(folder.path, backbone, ready, device, told)
        return backbone if state.is_main_process else None
    state.on_main_process(write_environment)(folder.path, folder.command)
    told.stage(f"training on {ready.times} times, {settings.max_steps} steps")
    run = Run(
        folder.path,
        resumes,
        lambda numbers: told.step(numbers, settings.max_steps),
        device,
        settings.precision,
        settings.workers,
        settings.compiled,
        settings.tensorboard,
    )
    schedule, phase = schedule_of(settings), phase_of(settings)
    model = pretrain(ready.recipe, ready.windows, ready.normalisation, schedule, run, phase, settings.checkpointing)
    if not state.is_main_process:
        return None
    scores = last_losses(folder.path / "metrics.jsonl", settings.pretext)
    if ready.unseen:
        told.stage("scoring the held-out worlds")
        found = held_out_scores(ready.recipe, model, ready.unseen, ready.normalisation, settings.batch_size)
        scores |= {f"held-out {name}": round(score, 4) for name, score in found.items()}
    data = {"worlds": _listed(ready.sources), "held_out": _listed(ready.held_out)}
    _save(backbone, _card(settings, ready.recipe, ready.normalisation, data, scores), model, settings)
    if ready.unseen:
        stores = [source.store for source in ready.held_out]
        write_examinations(folder.path, model, ready.normalisation, stores, told)
    return backbone


def made_ready(settings: PretrainSettings, told: Told) -> Ready:
    """Prepare the stores of a run's worlds and make what its pretexts read; raises `UserError` for what does not fit.

    Of several processes one leaves in the cache what the others then find there.
    """
    if stray := sorted(settings.options.keys() - settings.pretext.keys()):
        raise UserError(f"There are options for {', '.join(stray)}, but it is not among the pretexts of this run.")
    named = {name: pretext_named(name, settings.options.get(name)) for name in settings.pretext}
    if settings.held_out and settings.name in named and named[settings.name].examine:
        raise UserError(
            f"The name '{settings.name}' is that of a pretext, whose examination has a folder of that name in the run. "
            f"Give the backbone another: name={settings.name}-1."
        )
    weighted = tuple((named[name], weight) for name, weight in settings.pretext.items())
    shape = shape_of(settings)
    if any(side % shape.patch for side in settings.window):
        h, w = settings.window
        raise UserError(f"A window of {h} x {w} pixels does not divide into the backbone's patches of {shape.patch}.")
    with PartialState().main_process_first():
        sources, held_out = _sources(settings, weighted, told)
    recipe = recipe_of(settings, weighted, sources[0].store)
    told.stage("making the targets of the pretexts (once; they are kept in the cache)")
    # One process makes them. The others wait for its files, as long as that may take, and not for its word.
    windows, unseen = ([unlabelled(s.store, recipe, cached_target) for s in part] for part in (sources, held_out))
    normalisation = normalisation_for(settings.variables, sources[0].store)
    Pretraining(recipe, settings.seed)  # what does not fit together says so now, when nothing is written yet
    draw(windows, recipe, normalisation, 1, settings.seed)
    return Ready(recipe, sources, held_out, windows, unseen, normalisation)


def _sources(settings: PretrainSettings, weighted: Pretexts, told: Told) -> tuple[list[Source], list[Source]]:
    """Prepare the stores of the worlds and of those held out, with what pretexts make their targets of."""
    variables = stored_variables(settings.variables, [pretext for pretext, _ in weighted])
    sources = []
    for world in (*settings.worlds, *settings.held_out):
        told.stage(f"preparing fields of {world}")
        store = prepared(world, variables)
        span = {"from": str(store.time[0])[:10], "to": str(store.time[-1])[:10], "times": len(store.time)}
        sources.append(Source(world, store, world_identity(world, store) | made_by(world) | span))
    spacings = [source.store.latitude_spacing for source in sources]
    if any(abs(spacing / spacings[0] - 1) > GRID_TOLERANCE for spacing in spacings):
        listed = ", ".join(f"{source.world} {source.store.latitude_spacing:g}" for source in sources)
        raise UserError(f"The worlds have different grid spacings ({listed} degrees). Pretrain on one grid.")
    trained, held_out = sources[: len(settings.worlds)], sources[len(settings.worlds) :]
    seen = {source.store.sha256 for source in trained}
    if both := [str(source.world) for source in held_out if source.store.sha256 in seen]:
        raise UserError(f"{both[0]} is a world to train on and held out: its scores would not be of unseen weather.")
    return trained, held_out


def shape_of(settings: PretrainSettings) -> Shape:
    """Return the shape that the kind of backbone gives to what the settings wish."""
    return shape_named(settings.backbone, Wishes(settings.patch, settings.dim, settings.depth, settings.heads))


def recipe_of(settings: PretrainSettings, weighted: Pretexts, store: Store) -> Recipe:
    """Return what is learned of fields like the store's."""
    shape = shape_of(settings)
    spec = FeatureSpec(
        variables=settings.variables,
        units=tuple(store.channels[store.names.index(name)].units for name in settings.variables),
        frames=settings.frames,
        grid_degrees=store.latitude_spacing,
        patch=shape.patch,
        dim=shape.dim,
    )
    return Recipe(spec, shape.architecture, weighted, settings.window, settings.hidden)


def _listed(sources: list[Source]) -> list[dict[str, Any]]:
    """Return what identifies each world, without the place of this machine where it lies."""
    return [source.identity | {"path": source.world.name} for source in sources]


def _examined(folder: Path, backbone: Path, ready: Ready, device: str, told: Told) -> None:
    """Examine a saved backbone as far as the run was stopped before."""
    if ready.held_out:
        model = pretraining_of(load_backbone(backbone)).to(device)
        stores = [source.store for source in ready.held_out]
        write_examinations(folder, model, ready.normalisation, stores, told)


def _card(
    settings: PretrainSettings,
    recipe: Recipe,
    normalisation: Normalisation,
    data: dict[str, Any],
    scores: dict[str, float],
) -> Card:
    return Card(
        name=settings.name,
        summary=f"{kind_named(settings.backbone).summary} pretrained on {' and '.join(settings.variables)} by "
        f"{', '.join(settings.pretext)}",
        spec=recipe.spec,
        architecture=dict(recipe.architecture),
        normalisation=normalisation,
        pretexts=dict(settings.pretext),
        readouts=tuple(p.readout.name for p, _ in recipe.pretexts if p.readout),
        options=settings.options,
        window=settings.window,
        hidden=settings.hidden,
        parameters=0,
        weights_sha256="",
        data=data,
        scores=scores,
    )


def schedule_of(settings: PretrainSettings) -> Schedule:
    """Return how long and how fast a run trains; a plateau is looked for once its first phase is over."""
    return Schedule(
        steps=settings.max_steps,
        batch_size=settings.batch_size,
        learning_rates={"": settings.lr},
        warmup_share=settings.warmup_share,
        weight_decay=settings.weight_decay,
        gradient_norm=settings.gradient_norm,
        checkpoint_every=settings.checkpoint_every,
        seed=settings.seed,
        accumulate=settings.accumulate,
        average=settings.average,
        decay=settings.decay,
        optimizer=settings.optimizer,
        plateau_steps=settings.plateau_steps,
        plateau_from=settings.first_steps,
    )


def phase_of(settings: PretrainSettings) -> Phase | None:
    """Return the first phase of a run of all its processes, None where there is none."""
    together = settings.accumulate * PartialState().num_processes
    return Phase(settings.first_steps * together, settings.first_batches) if settings.first_steps else None


def _save(folder: Path, card: Card, model: Pretraining, settings: PretrainSettings) -> None:
    with whole_folder(folder) as temporary:
        modules, teachers = ({str(k): v for k, v in kept.items()} for kept in (model.pretexts, model.teachers))
        card = save_backbone(temporary, card, model.backbone, modules, teachers)
        recipe = recipe_text(card, settings)
        write_text(temporary / "recipe.yaml", recipe)
        write_text(temporary / "README.md", card_text(card))
