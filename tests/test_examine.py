"""Asking a backbone again what it has learned."""

from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.config import PretrainSettings
from toolkit.errors import UserError
from toolkit.examine import run_examine
from toolkit.pretrain_run import run_pretrain
from toolkit.runfolder import RunFolder
from toolkit.told import Told

pytestmark = pytest.mark.slow


def test_an_examination_goes_on(tiny_world: Path, other_tiny_world: Path, tmp_path: Path) -> None:
    """Asked again with --resume it gives the same scores and leaves what is there; without it the folder is refused."""
    settings = PretrainSettings(
        worlds=(tiny_world,), pretext={"inpaint": 1.0}, frames=(0,), window=(16, 16), dim=16, depth=1, heads=2,
        max_steps=1, batch_size=2, workers=0,
    )  # fmt: skip
    backbone = run_pretrain(settings, RunFolder(tmp_path / "run", False, False, ()), Told())
    assert backbone is not None
    folder = RunFolder(tmp_path / "examined", False, False, ())
    scores = run_examine(str(backbone), [other_tiny_world], folder, Told())
    (folder.path / "inpaint" / "own.txt").write_text("kept")
    assert run_examine(str(backbone), [other_tiny_world], replace(folder, resume=True), Told()) == scores
    assert (folder.path / "inpaint" / "own.txt").exists()
    with pytest.raises(UserError, match="is not empty"):
        run_examine(str(backbone), [other_tiny_world], folder, Told())
