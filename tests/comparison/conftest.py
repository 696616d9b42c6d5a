"""A comparison of tiny backbones on the tiny world, planned and done."""

from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.comparison.plan import Comparison
from toolkit.comparison.run import run_comparison
from toolkit.comparison.settings import Asked, planned
from toolkit.comparison.table import Table
from toolkit.runfolder import RunFolder
from toolkit.told import Told

TINY = ("dim=16", "depth=1", "heads=2", "batch_size=4", "probe.limit_batches=2", "probe.batch_size=4")


@pytest.fixture(scope="session")
def tiny_plan(tiny_world: Path) -> Callable[..., Comparison]:
    """Plan a comparison of these pretexts: three steps of masked, one seed, the hurricane task."""

    def plan(*pretexts: str, tasks: tuple[str, ...] = ("hurricane",), seeds: int = 1) -> Comparison:
        return planned(Asked((tiny_world,), tiny_world, pretexts, tasks, seeds, 3), TINY)

    return plan


@pytest.fixture(scope="session")
def compared() -> Callable[..., Table]:
    """Run a comparison into a folder, or go on with the one there, telling a list what happens."""

    def run(comparison: Comparison, folder: Path, said: list[str] | None = None, resume: bool = False) -> Table:
        told = Told(stage=[].append if said is None else said.append)
        return run_comparison(comparison, RunFolder(folder, resume, False, ("toolkit", "compare")), 1, told)

    return run


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory, tiny_plan, compared) -> tuple[Path, Table]:
    """The folder and the table of masked and nextframe, on a task that can be probed and one without labels."""
    folder = tmp_path_factory.mktemp("compared") / "done"
    return folder, compared(tiny_plan("masked", "nextframe", tasks=("hurricane", "extremes")), folder)
