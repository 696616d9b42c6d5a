import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate import PartialState

from toolkit import pretrain_run
from toolkit.config import PretrainSettings
from toolkit.data.store import Store, as_dataset
from toolkit.errors import UserError
from toolkit.pretexts.made import cached_target
from toolkit.pretrain_run import made_ready, run_pretrain
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
        ({"hidden": 0.0}, r"Nothing is hidden \(hidden=0\), and the pretext 'masked' learns from what is hidden alone"),
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


def test_targets_may_take_longer_than_processes_wait_for_each_other(
    tiny_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While they are made, no process waits for a word of the first, which would come too late."""
    waiting: list[bool] = [False]

    @contextmanager
    def first(_state: PartialState) -> Iterator[None]:
        waiting.append(True)
        yield
        waiting.append(False)

    def make(*given: Any) -> np.ndarray:
        assert not waiting[-1]
        return cached_target(*given)

    monkeypatch.setattr(PartialState, "main_process_first", first)
    monkeypatch.setattr(pretrain_run, "cached_target", make)
    made_ready(PretrainSettings(worlds=(tiny_world,), dim=16, depth=1), Told())
    assert True in waiting


def test_a_backbone_is_not_called_as_its_examination(tiny_world: Path, other_tiny_world: Path, tmp_path: Path) -> None:
    """Both have a folder of their name in the run."""
    settings = PretrainSettings(
        worlds=(tiny_world,), held_out=(other_tiny_world,), pretext={"inpaint": 1.0}, name="inpaint", dim=16, depth=1
    )
    with pytest.raises(UserError, match="The name 'inpaint' is that of a pretext"):
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


@pytest.mark.slow
def test_pretexts_find_what_they_need_beside_the_variables_of_the_backbone(tiny_world: Path) -> None:
    """A backbone of vorticity alone is trained by the usual pretexts, of which one needs divergence and the winds."""
    settings = PretrainSettings(worlds=(tiny_world,), variables=("vorticity",), dim=16, depth=1)
    ready = made_ready(settings, Told())
    assert set(ready.sources[0].store.names) == {"vorticity", "divergence", "eastward_wind", "northward_wind"}
    assert ready.normalisation.names == ready.recipe.spec.variables == ("vorticity",)


def test_a_world_without_what_a_pretext_needs_is_refused(smooth_store: Store, tmp_path: Path) -> None:
    """The variable is named, with what would do in its place; no run folder is made."""
    as_dataset(smooth_store)[["vorticity"]].to_zarr(tmp_path / "world" / "fields.zarr", consolidated=False)
    settings = PretrainSettings(worlds=(tmp_path / "world",), variables=("vorticity",), pretext={"vortexfate": 1.0})
    with pytest.raises(UserError, match=r"holds no divergence, nor the winds .* It holds: vorticity"):
        run_pretrain(settings, RunFolder(tmp_path / "run", False, False, ()), Told())
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_stopped_before_its_examinations_writes_them_when_resumed(
    tiny_world: Path, other_tiny_world: Path, tmp_path: Path
) -> None:
    """They are those of a run that was not stopped; what is there already stays, and nothing is trained."""
    settings = PretrainSettings(
        worlds=(tiny_world,), held_out=(other_tiny_world,), pretext={"nextframe": 1.0, "inpaint": 1.0}, frames=(0,),
        window=(16, 16), dim=16, depth=1, heads=2, max_steps=1, batch_size=2, workers=0,
    )  # fmt: skip
    folder = RunFolder(tmp_path / "run", False, False, ())

    def written() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}

    backbone = run_pretrain(settings, folder, Told())
    (folder.path / "nextframe" / "own.txt").write_text("kept")
    before = written()
    assert folder.path / "inpaint" / "vorticity.png" in before
    shutil.rmtree(folder.path / "inpaint")
    assert run_pretrain(settings, replace(folder, resume=True), Told()) == backbone
    assert written() == before
