"""What a world folder holds, written from a season that is made up."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from toolkit.data.best_track import read_best_track
from toolkit.data.label_kinds import KINDS
from toolkit.data.label_maps import open_label_maps
from toolkit.data.world import write
from toolkit.data.world.events import Events
from toolkit.data.world.observe import VARIABLES
from toolkit.data.world.season import Plan, Season
from toolkit.data.world.simulate import Seen, Size
from toolkit.data.world.vortices import Cyclone
from toolkit.errors import UserError

SIZE = Size((2001,), Plan(days=1))
MASKS = np.random.default_rng(0).random((5, len(KINDS), 9, 16)) < 0.2


def pretend(monkeypatch: pytest.MonkeyPatch, *cyclones: Cyclone) -> None:
    """Let a simulation give one season of five frames with these cyclones, at once."""
    packed = np.full((5, len(VARIABLES), 9, 16), 7, np.int16)
    events = Events(pd.DataFrame({"kind": []}), MASKS)
    seen = Seen(Season(2001, torch.zeros(1), cyclones), packed, pd.DataFrame({"ppb": [1.0]}), events)
    monkeypatch.setattr(write, "simulate", lambda *_: [seen])


def test_a_world_without_a_storm_has_an_empty_best_track(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is complete, its best track has no line, and who reads that is told."""
    pretend(monkeypatch)
    world = write.write_world(tmp_path / "world", SIZE, 0)
    names = {"fields.zarr", "hurdat2.txt", "stations.csv", "stations_meta.csv", "events.csv", "extremes.nc"}
    assert {path.name for path in world.iterdir()} == names
    assert (world / "hurdat2.txt").read_bytes() == b""
    with pytest.raises(UserError, match=r"hurdat2\.txt is empty"):
        read_best_track(world / "hurdat2.txt")


def test_a_world_with_a_storm_has_it_in_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best track holds the storm, and the fields are unpacked to physical values."""
    storm = Cyclone(18, 300, 30, 72, 0.5)
    storm.track = [(hour, 18.0, 300.0, 30.0, -800.0, 0.1) for hour in range(25)]
    pretend(monkeypatch, storm)
    world = write.write_world(tmp_path / "world", SIZE, 0)
    assert read_best_track(world / "hurdat2.txt").fixes.storm.tolist() == ["AL012001"] * 5
    with xr.open_zarr(world / "fields.zarr", consolidated=False) as fields:
        assert float(fields["vorticity"].max()) == pytest.approx(7 * 2.5e-8)
        assert fields.sizes == {"time": 5, "level": 1, "latitude": 9, "longitude": 16}


def test_label_maps_have_the_layout_of_climatenetlarge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The masks come back as they were, by class and one annotator, small and at the times of the fields."""
    pretend(monkeypatch)
    world = write.write_world(tmp_path / "world", SIZE, 0)
    with (
        xr.open_dataset(world / "extremes.nc") as maps,
        xr.open_zarr(world / "fields.zarr", consolidated=False) as fields,
    ):
        assert maps["label"].dims == ("time", "class", "annotator", "latitude", "longitude")
        assert maps["label"].dtype == np.uint8
        assert maps["label"].encoding["zlib"]
        assert tuple(maps["class"].values) == KINDS
        np.testing.assert_array_equal(maps["label"].values[:, :, 0], MASKS)
        for axis in ("time", "latitude", "longitude"):
            np.testing.assert_array_equal(maps[axis], fields[axis])
    read = open_label_maps(world, KINDS)
    np.testing.assert_array_equal(read.to_array().transpose("time", ...), MASKS)
    assert read.attrs["assumptions"] == ()


def test_the_same_world_is_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Label maps hold nothing of when they were written."""
    pretend(monkeypatch)
    first, second = (write.write_world(tmp_path / name, SIZE, 0) / "extremes.nc" for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    """The error names the folder, and nothing is simulated or removed."""
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="exists and is not empty"):
        write.write_world(tmp_path, SIZE, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
