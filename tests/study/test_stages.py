from pathlib import Path

import pytest

from toolkit.study.plan import Folders
from toolkit.study.stages import features_stage

pytestmark = pytest.mark.slow


def test_features_are_asked_for_once(plan_readings, tmp_path: Path) -> None:
    """Of each backbone and method that keeps some, every part's cuts, however many cells share them."""
    study, on, subsets = plan_readings(methods=("probe", "lora", "scratch", "classical"), seeds=3)
    stage = features_stage(study, on, subsets, Folders(tmp_path))
    assert set(stage.kinds.values()) == {"features, probe, random", "features, lora, random"}
    assert len(stage.kinds) == 2 * 3
    assert {*stage.calls, *stage.kept} == stage.kinds.keys()
    bare, on, subsets = plan_readings(methods=("scratch", "classical"))
    assert not features_stage(bare, on, subsets, Folders(tmp_path)).calls
