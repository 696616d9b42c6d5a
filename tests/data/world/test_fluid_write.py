"""What a folder of fluid flow holds, and that the toolkit takes it for a simulated world of separate runs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from toolkit.data.check_path import check_path
from toolkit.data.prepare import prepared
from toolkit.data.sequences import sequences
from toolkit.data.world import fluid_write
from toolkit.data.world.fluid import FluidPlan, first_states, run_fluid
from toolkit.data.world.season import frame_times
from toolkit.data.world_identity import field_attributes, world_identity
from toolkit.errors import UserError

PLAN = FluidPlan(runs=3, days=1, truncation=21)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three runs of a day, simulated in this process."""

    def here(plan: FluidPlan, seed: int, _: Callable[[float], None]) -> np.ndarray:
        return run_fluid(plan, first_states(plan, seed, range(plan.runs)))

    monkeypatch.setattr(fluid_write, "simulate_fluid", here)
    return fluid_write.write_fluid(tmp_path / "fluid", PLAN, 7)


def test_fields_are_in_the_layout_of_era5_and_say_how_they_were_made(world: Path) -> None:
    """Vorticity and winds at one level, without divergence; the attributes have the seed and every setting."""
    with xr.open_zarr(world / "fields.zarr", consolidated=False) as fields:
        assert set(fields.data_vars) == {"vorticity", "u_component_of_wind", "v_component_of_wind"}
        assert fields.sizes == {"time": 15, "level": 1, "latitude": 33, "longitude": 64}
        assert 1e-5 < float(np.abs(fields["vorticity"]).max()) < 3e-4
    settings = {"seed": 7, "runs": 3, "days": 1, "rotation": 0.0, "truncation": 21}
    assert field_attributes(world) == {"source": "simulated fluid flow"} | settings


def test_it_is_prepared_as_a_simulated_world(world: Path) -> None:
    """Its vorticity becomes a training store, its identity says that it is simulated, its check passes."""
    store = prepared(world, ("vorticity",))
    assert store.values.shape == (15, 1, 33, 64)
    assert store.channels[0].units == "s-1"
    assert world_identity(world, store)["simulated"] is True
    assert not check_path(world).stops


def test_runs_do_not_touch_in_time(world: Path) -> None:
    """Every run is a sequence of its own, also for frames that are days apart."""
    store = prepared(world, ("vorticity",))
    assert [len(part) for part in sequences(store, 6)] == [5, 5, 5]
    assert max(len(part) for part in sequences(store, 48)) == 1
    longest = frame_times(fluid_write.run_start(0), FluidPlan(days=fluid_write.MOST_DAYS).frames)
    assert fluid_write.run_start(1) - longest[-1] > np.timedelta64(60, "D")


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (FluidPlan(runs=0), "runs is 0: choose from 1 to 200"),
        (FluidPlan(days=366), "days is 366: choose from 1 to 300"),
        (FluidPlan(rotation=float("nan")), "rotation is nan"),
        (FluidPlan(rotation=30), "rotation is 30 times the Earth's"),
    ],
)
def test_what_cannot_be_simulated_is_told(tmp_path: Path, plan: FluidPlan, said: str) -> None:
    """Numbers out of range are named with the range, before anything is written."""
    with pytest.raises(UserError, match=said):
        fluid_write.write_fluid(tmp_path / "fluid", plan, 0)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    """The error names the folder, and nothing is simulated or removed."""
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="exists and is not empty"):
        fluid_write.write_fluid(tmp_path, PLAN, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """On all processors nine runs come out twice alike, in two groups in their order, with all of the work told."""
    told: list[float] = []
    plan = FluidPlan(runs=9, days=1, truncation=21)
    one, two = (fluid_write.write_fluid(tmp_path / name, plan, 1, told.append) / "fields.zarr" for name in "ab")
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files)
    assert told[-1] == 1
    with xr.open_zarr(one, consolidated=False) as fields:
        first_of_last = fields["v_component_of_wind"].values[8 * plan.frames, 0]
    expected = run_fluid(plan, first_states(plan, 1, [8]))[0, 0, 2] * 0.005
    np.testing.assert_allclose(first_of_last, expected, atol=0.006)
