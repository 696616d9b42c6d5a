"""Asking a backbone again what it has learned."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from toolkit.backbones.weights import load_backbone, save_backbone
from toolkit.cli import app
from toolkit.config import PretrainSettings, Settings
from toolkit.errors import UserError
from toolkit.examine import pretraining_of, run_examine
from toolkit.pretexts.draw import Recipe
from toolkit.pretexts.known import pretext_named
from toolkit.pretrain import Encoding, Pretraining
from toolkit.pretrain_run import run_pretrain
from toolkit.runfolder import RunFolder
from toolkit.told import Told


def test_a_backbone_comes_back_with_its_teacher(random_backbone: Path, tmp_path: Path) -> None:
    """What is measured with it is what was measured before; a teacher that was not kept is missed."""
    loaded = load_backbone(random_backbone)
    card, x = replace(loaded.card, pretexts={"dino": 1.0}, readouts=()), torch.arange(80.0).reshape(1, 5, 4, 4)
    model = Pretraining(Recipe(card.spec, card.architecture, ((pretext_named("dino"), 1.0),), card.window), seed=7)
    torch.nn.init.ones_(model.backbone.patch_embed.bias)  # the teacher lags behind
    modules, teachers = dict(model.pretexts.items()), dict(model.teachers.items())
    save_backbone(tmp_path, card, model.backbone, modules, teachers)
    again = pretraining_of(load_backbone(tmp_path))
    assert torch.equal(Encoding(again).teacher("dino", x), Encoding(model.eval()).teacher("dino", x))
    assert not torch.equal(Encoding(again).teacher("dino", x), again.joint("dino")(x))
    save_backbone(tmp_path, card, model.backbone, modules)
    with pytest.raises(UserError, match="no weights for the teacher of its pretext 'dino'"):
        pretraining_of(load_backbone(tmp_path))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_it_is_done_on_the_device_that_is_asked_for(random_backbone: Path, tiny_world: Path, tmp_path: Path) -> None:
    """A device that is not there is an error, and nothing is written."""
    folder = RunFolder(tmp_path / "examined", False, False, ())
    with pytest.raises(UserError, match="There is no CUDA device"):
        run_examine(str(random_backbone), [tiny_world], Settings(device="cuda"), folder, Told())
    assert not folder.path.exists()


@pytest.mark.slow
def test_an_examination_goes_on(tiny_world: Path, other_tiny_world: Path, tmp_path: Path) -> None:
    """Asked again with --resume it gives the same scores and leaves what is there; without it the folder is refused."""
    settings = PretrainSettings(
        worlds=(tiny_world,), pretext={"inpaint": 1.0}, frames=(0,), window=(16, 16), dim=16, depth=1, heads=2,
        max_steps=1, batch_size=2, workers=0,
    )  # fmt: skip
    backbone = run_pretrain(settings, RunFolder(tmp_path / "run", False, False, ()), Told())
    assert backbone is not None
    folder = RunFolder(tmp_path / "examined", False, False, ())
    scores = run_examine(str(backbone), [other_tiny_world], Settings(), folder, Told())
    (folder.path / "inpaint" / "own.txt").write_text("kept")
    assert run_examine(str(backbone), [other_tiny_world], Settings(), replace(folder, resume=True), Told()) == scores
    assert (folder.path / "inpaint" / "own.txt").exists()
    with pytest.raises(UserError, match="is not empty"):
        run_examine(str(backbone), [other_tiny_world], Settings(), folder, Told())
    words = ["examine", str(backbone), "--world", str(other_tiny_world), "--out", str(folder.path), "-q"]
    answer = CliRunner().invoke(app, [*words, "--resume", "--json"])
    assert json.loads(answer.stdout)["scores"] == pytest.approx(scores)


def test_a_pretext_whose_weights_were_not_kept_is_named(random_backbone: Path) -> None:
    """A backbone that lacks the weights of one of its pretexts cannot be examined."""
    backbone = load_backbone(random_backbone)
    kept = {name: weights for name, weights in backbone.pretexts.items() if name != "masked"}
    with pytest.raises(UserError, match="has no weights for its pretext 'masked'"):
        pretraining_of(replace(backbone, pretexts=kept))
