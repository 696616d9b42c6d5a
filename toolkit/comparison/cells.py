"""The cells of a comparison: one pretraining or one probe each, in a process and a run folder of its own."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from filelock import FileLock

from toolkit.backbones.card import Card, read_card
from toolkit.backbones.known import build_backbone
from toolkit.backbones.weights import load_backbone, save_backbone
from toolkit.comparison.plan import NO_WORK, Folders, Work, is_finished, probed_task
from toolkit.comparison.settings import changed_settings
from toolkit.compute import operations_of_step
from toolkit.config import FinetuneSettings, PretrainSettings, Settings
from toolkit.data.prepare import prepared
from toolkit.data.world_identity import world_identity
from toolkit.errors import UserError
from toolkit.files import made_once, whole_folder, write_json
from toolkit.finetune_run import run_finetune
from toolkit.pretexts.draw import normalisation_for, unlabelled
from toolkit.pretexts.known import pretext_named
from toolkit.pretexts.made import cached_target, stored_variables
from toolkit.pretrain_run import recipe_of, run_pretrain
from toolkit.runfolder import RunFolder
from toolkit.told import Told


def counted_step(settings: PretrainSettings, name: str) -> int:
    """Return the operations of one step of a pretext, on windows of the first world."""
    pretext = pretext_named(name, settings.options.get(name))
    store = prepared(settings.worlds[0], stored_variables(settings.variables, [pretext]))
    recipe = recipe_of(settings, ((pretext, 1.0),), store)
    source = unlabelled(store, recipe, cached_target)
    normalisation = normalisation_for(settings.variables, store)
    of_batch = operations_of_step(recipe, [source], normalisation, settings.batch_size, settings.seed)
    return settings.accumulate * of_batch


def pretrain_cell(settings: PretrainSettings, folders: Folders, work: Work, command: Sequence[str]) -> None:
    """Pretrain one backbone, and keep it without what its pretext can hand over: features are compared, not readouts.

    Goes on with what is in its folder. Raises `UserError` where another seed was trained on other fields.
    """
    (pretext,) = settings.pretext
    _check_worlds(settings, folders)
    run, features = folders.pretraining(pretext, settings.seed), folders.features(pretext, settings.seed)

    def make() -> None:
        backbone = run_pretrain(settings, _resumed(run, settings, command), Told())
        assert backbone is not None  # one process
        loaded = load_backbone(backbone)
        seconds = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["seconds"]
        with whole_folder(features) as temporary:
            save_backbone(temporary, replace(loaded.card, pretexts={}, readouts=(), options={}), loaded.module, {})
            write_json(temporary / "work.json", asdict(work) | {"seconds": seconds})

    made_once(features, make)  # a process that outlived a killed comparison may still be at it


def _check_worlds(settings: PretrainSettings, folders: Folders) -> None:
    (name,) = settings.pretext
    variables = stored_variables(settings.variables, [pretext_named(name, settings.options.get(name))])
    now = [world_identity(world, prepared(world, variables))["sha256"] for world in settings.worlds]
    for features in folders.all_features(name):
        if [world["sha256"] for world in read_card(features).data["worlds"]] != now:
            worlds = ", ".join(world.name for world in settings.worlds)
            raise UserError(
                f"{features} was pretrained on other fields or labels than {worlds} has now. Name another --out."
            )


def random_cell(settings: PretrainSettings, folder: Path) -> None:
    """Write the backbone with which every pretraining of this seed begins."""
    store = prepared(settings.worlds[0], settings.variables)
    recipe = recipe_of(settings, (), store)
    card = Card(
        name=settings.name,
        summary="Random weights",
        spec=recipe.spec,
        architecture=dict(recipe.architecture),
        normalisation=normalisation_for(settings.variables, store),
        pretexts={},
        readouts=(),
        parameters=0,
        weights_sha256="",
    )
    with whole_folder(folder) as temporary:
        save_backbone(temporary, card, build_backbone(recipe.spec, recipe.architecture, settings.seed), {})
        write_json(temporary / "work.json", asdict(NO_WORK) | {"seconds": 0.0})


def probe_cell(settings: FinetuneSettings, folder: Path, command: Sequence[str]) -> None:
    """Train a head on frozen features and score it. Goes on with what is in its folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if not is_finished(folder):
            run_finetune(probed_task(settings), settings, _resumed(folder, settings, command), Told())


def _resumed(folder: Path, settings: Settings, command: Sequence[str]) -> RunFolder:
    """Return a run folder to go on with; what was begun with other settings and not finished is begun anew."""
    written = folder / "config.yaml"
    if not written.exists() or changed_settings(written, settings):
        shutil.rmtree(folder, ignore_errors=True)
    return RunFolder(folder, resume=True, overwrite=False, command=command)
