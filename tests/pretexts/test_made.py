from dataclasses import replace

import numpy as np
import pytest

from toolkit.data.store import Store
from toolkit.pretexts import made as module
from toolkit.pretexts.contract import Target
from toolkit.pretexts.known import pretext_named
from toolkit.pretexts.made import cached_target, stored_variables


def test_what_targets_are_made_of_is_stored() -> None:
    """Beside the backbone's variables, once each; a target that names none is made of the winds."""
    lagrangian, vortexfate, masked = (pretext_named(name) for name in ("lagrangian", "vortexfate", "masked"))
    assert stored_variables(("vorticity",), [masked]) == ("vorticity",)
    assert stored_variables(("vorticity", "eastward_wind"), [masked, lagrangian]) == (
        "vorticity",
        "eastward_wind",
        "northward_wind",
    )
    vortices = ("vorticity", "divergence", "eastward_wind", "northward_wind")
    assert stored_variables(("vorticity",), [vortexfate]) == vortices
    assert stored_variables(("vorticity", "divergence"), [lagrangian, vortexfate]) == vortices
    target = Target(0, lambda _: np.zeros(1), made_of=("temperature",))
    assert stored_variables((), [replace(masked, targets={"warm": target})]) == ("temperature",)


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
    made, source = [], module.inspect.getsource

    def make(_: Store) -> np.ndarray:
        made.append(1)
        return np.zeros(1, np.float16)

    make.__module__ = "toolkit.pretexts.tracking"
    cached_target("vortices", Target(24, make), smooth_store)
    cached_target("vortices", Target(24, make), smooth_store)
    assert len(made) == 1
    changed = "toolkit.data.smoothing"
    monkeypatch.setattr(
        module.inspect, "getsource", lambda part: source(part) + "# changed" * (part.__name__ == changed)
    )
    cached_target("vortices", Target(24, make), smooth_store)
    assert len(made) == 2
