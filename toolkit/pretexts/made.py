"""What pretexts make once from a store: which variables it must hold for that, and where what was made is kept."""

import hashlib
import inspect
import sys
from collections.abc import Iterable, Sequence

import numpy as np

from toolkit.data.store import Store
from toolkit.files import made_once, whole_file
from toolkit.pretexts.contract import Pretext, Target


def stored_variables(variables: Sequence[str], pretexts: Iterable[Pretext]) -> tuple[str, ...]:
    """Return the variables that a store must hold: the backbone's, and those that pretexts make their targets of."""
    targets = [target for pretext in pretexts for target in pretext.targets.values() if target.make is not None]
    return tuple(dict.fromkeys((*variables, *(name for target in targets for name in target.made_of))))


def cached_target(name: str, target: Target, store: Store) -> np.ndarray:
    """Return the array of a target that is made from a store, from the file beside the store if it was made before.

    The file's name changes with the store's content and with the code that makes the array: the module of `make` and
    those of the toolkit that it takes its functions from.
    """
    make = target.make
    assert make is not None  # the others are read from the store itself
    own = sys.modules[make.__module__]
    modules = {own} | {inspect.getmodule(value) for value in vars(own).values() if inspect.isfunction(value)}
    code = sorted(inspect.getsource(part) for part in modules if part and part.__name__.startswith("toolkit."))
    version = hashlib.sha256(f"{code} {store.sha256}".encode()).hexdigest()[:12]
    path = store.path.with_name(f"{store.path.name}.{name}-{version}.npy")

    def write() -> None:
        with whole_file(path) as temporary:
            np.save(temporary, make(store))

    made_once(path, write)
    return np.load(path, mmap_mode="r", allow_pickle=False)
