"""What a backbone has learned, asked again: the scores of its pretexts on a world, and what each has to show."""

from collections.abc import Sequence
from pathlib import Path

from toolkit.backbones.card import backbone_folder, check_fits_store
from toolkit.backbones.weights import Backbone, load_backbone
from toolkit.config import Settings
from toolkit.data.normalise import Normalisation
from toolkit.data.prepare import prepared
from toolkit.data.store import Store
from toolkit.data.world_identity import world_identity
from toolkit.engine import engine
from toolkit.errors import UserError
from toolkit.files import whole_folder, write_json
from toolkit.pretexts.draw import Recipe, unlabelled
from toolkit.pretexts.known import pretexts_of
from toolkit.pretexts.made import cached_target, stored_variables
from toolkit.pretrain import Pretraining, held_out_scores
from toolkit.runfolder import RunFolder, check_folder, open_run
from toolkit.told import Told

BATCH_SIZE = 64


def run_examine(
    name: str, worlds: Sequence[Path], settings: Settings, folder: RunFolder, told: Told
) -> dict[str, float]:
    """Write what the pretexts of a backbone have to show of worlds and return the scores; `UserError` before it writes.

    The folder gets scores.json and a folder of its own for each pretext that has more to show.
    """
    check_folder(folder.path, folder.resume, folder.overwrite)
    device = engine(settings)
    backbone = load_backbone(backbone_folder(name))
    model = pretraining_of(backbone).to(device)
    variables = stored_variables(backbone.card.spec.variables, pretexts_of(backbone.card).values())
    told.stage("preparing fields")
    stores = [prepared(world, variables) for world in worlds]
    for store in stores:
        check_fits_store(backbone.card, store, backbone.card.spec.variables)
    sources = [unlabelled(store, model.recipe, cached_target) for store in stores]
    identities = [world_identity(world, store) for world, store in zip(worlds, stores, strict=True)]
    config = {"backbone": name, "weights_sha256": backbone.card.weights_sha256, "worlds": identities}
    open_run(folder.path, config, folder.resume, folder.overwrite)
    told.stage("scoring the pretexts")
    scores = held_out_scores(model.recipe, model, sources, backbone.card.normalisation, BATCH_SIZE)
    write_json(folder.path / "scores.json", scores)
    write_examinations(folder.path, model, backbone.card.normalisation, stores, told)
    return scores


def pretraining_of(backbone: Backbone) -> Pretraining:
    """Return a loaded backbone with the modules of its pretexts as they were trained.

    `UserError` where they, or the teacher of one, were not kept.
    """
    card, pretexts = backbone.card, pretexts_of(backbone.card)
    if missing := [name for name in pretexts if name not in backbone.pretexts]:
        raise UserError(f"The backbone {card.name} has no weights for its pretext '{missing[0]}'.")
    if missing := [name for name, p in pretexts.items() if p.teacher is not None and name not in backbone.teachers]:
        raise UserError(
            f"The backbone {card.name} has no weights for the teacher of its pretext '{missing[0]}', without which it "
            "has no score. Train it again."
        )
    weighted = tuple((pretext, card.pretexts[name]) for name, pretext in pretexts.items())
    model = Pretraining(Recipe(card.spec, card.architecture, weighted, card.window, card.hidden), seed=0)
    model.backbone.load_state_dict(backbone.module.state_dict())
    for name, weights in backbone.pretexts.items():
        model.pretexts[name].load_state_dict(weights)
    for name, weights in backbone.teachers.items():
        model.teachers[name].load_state_dict(weights)
    return model.eval()


def write_examinations(
    folder: Path, model: Pretraining, normalisation: Normalisation, stores: Sequence[Store], told: Told
) -> None:
    """Let every pretext that can show what it learned do so, in a folder of its own, unless that is there already."""
    for pretext, _ in model.recipe.pretexts:
        if pretext.examine and not (folder / pretext.name).exists():
            told.stage(f"examining {pretext.name}")
            with whole_folder(folder / pretext.name) as temporary:
                pretext.examine(model.learned(pretext.name, normalisation), stores, temporary)
