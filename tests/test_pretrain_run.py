import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit import pretrain_run
from toolkit.config import PretrainSettings
from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.pretrain_run import run_pretrain
from toolkit.runfolder import RunFolder
from toolkit.told import Told


def test_worlds_on_different_grids_are_refused(
    monkeypatch: pytest.MonkeyPatch, tiny_world: Path, smooth_store: Store, tmp_path: Path
) -> None:
    """One backbone has one grid spacing: worlds that differ in it are named, and no run folder is made."""
    finer = replace(smooth_store, latitude=np.linspace(90, -90, 131))
    stores = iter([smooth_store, finer])
    monkeypatch.setattr(pretrain_run, "prepared", lambda *_: next(stores))
    settings = PretrainSettings(worlds=(tiny_world, tiny_world), pretext={"masked": 1.0})
    with pytest.raises(UserError, match=r"different grid spacings .* 2\.8125, .* 1\.38462 degrees"):
        run_pretrain(settings, RunFolder(tmp_path / "run", False, False, ()), Told())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"window": (30, 32)}, r"A window of 30 x 32 pixels does not divide into the backbone's patches of 4"),
        ({"window": (96, 96)}, r"A window of 96 x 96 pixels does not fit on a grid of 65 x 128"),
        ({"patch": 8, "pretext": {"lagrangian": 1.0}}, "'lagrangian' needs patches of 4 pixels, not 8"),
        ({"options": {"nextframe": {"hours": [6]}}}, "There are options for nextframe, but"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_written(
    others: dict, said: str, tiny_world: Path, tmp_path: Path
) -> None:
    """Windows, patches and options that cannot go together are an error that leaves no run folder behind."""
    settings = PretrainSettings(worlds=(tiny_world,), **{"pretext": {"masked": 1.0}, "dim": 16, "depth": 1} | others)
    with pytest.raises(UserError, match=said):
        run_pretrain(settings, RunFolder(tmp_path / "run", False, False, ()), Told())
    assert not (tmp_path / "run").exists()


def test_tensorboard_is_looked_for_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tiny_world: Path, tmp_path: Path
) -> None:
    """Without the extra the run does not begin."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    settings = PretrainSettings(worlds=(tiny_world,), tensorboard=True)
    with pytest.raises(UserError, match=r"earth-toolkit\[tensorboard\]"):
        run_pretrain(settings, RunFolder(tmp_path / "run", False, False, ()), Told())
    assert not (tmp_path / "run").exists()


def test_a_world_is_not_held_out_from_itself(tiny_world: Path, tmp_path: Path) -> None:
    """Scores of weather that was trained on are not called those of unseen weather."""
    settings = PretrainSettings(worlds=(tiny_world,), held_out=(tiny_world,), pretext={"masked": 1.0})
    with pytest.raises(UserError, match="is a world to train on and held out"):
        run_pretrain(settings, RunFolder(tmp_path / "run", False, False, ()), Told())
    assert not (tmp_path / "run").exists()
