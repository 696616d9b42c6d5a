from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit import pretrain_run
from toolkit.config import PretrainSettings
from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.pretexts.contract import Target
from toolkit.pretrain_run import cached_target, run_pretrain
from toolkit.runfolder import RunFolder
from toolkit.told import Told


def test_a_target_is_made_once_for_a_store(smooth_store: Store) -> None:
    """The second call reads what the first one wrote; a store with other content has a target of its own."""
    made = []

    def make(store: Store) -> np.ndarray:
        made.append(store.sha256)
        return np.arange(4, dtype=np.float16)

    target = Target(24, make)
    first = cached_target("sum", target, smooth_store)
    second = cached_target("sum", target, smooth_store)
    np.testing.assert_array_equal(first, second)
    assert made == [smooth_store.sha256]
    cached_target("sum", target, replace(smooth_store, sha256="0" * 64))
    assert made == [smooth_store.sha256, "0" * 64]


def test_a_target_is_made_anew_when_code_it_uses_changes(smooth_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change in a module that the maker takes a function from leaves the target of the former code aside."""
    made, source = [], pretrain_run.inspect.getsource

    def make(_: Store) -> np.ndarray:
        made.append(1)
        return np.zeros(1, np.float16)

    make.__module__ = "toolkit.pretexts.tracking"
    cached_target("vortices", Target(24, make), smooth_store)
    cached_target("vortices", Target(24, make), smooth_store)
    assert len(made) == 1
    changed = "toolkit.data.smoothing"
    monkeypatch.setattr(
        pretrain_run.inspect, "getsource", lambda part: source(part) + "# changed" * (part.__name__ == changed)
    )
    cached_target("vortices", Target(24, make), smooth_store)
    assert len(made) == 2


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
