"""What a world folder holds, written from a season that is made up."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from toolkit.data.best_track import read_best_track
from toolkit.data.world import write
from toolkit.data.world.observe import VARIABLES
from toolkit.data.world.season import Plan, Season
from toolkit.data.world.simulate import Seen, Size
from toolkit.data.world.vortices import Cyclone
from toolkit.errors import UserError

SIZE = Size((2001,), Plan(days=1))


def pretend(monkeypatch: pytest.MonkeyPatch, *cyclones: Cyclone) -> None:
    """Let a simulation give one season of five frames with these cyclones, at once."""
    packed = np.full((5, len(VARIABLES), 9, 16), 7, np.int16)
    seen = Seen(
        Season(2001, torch.zeros(1), cyclones), packed, pd.DataFrame({"ppb": [1.0]}), pd.DataFrame({"kind": []})
    )
    monkeypatch.setattr(write, "simulate", lambda *_: [seen])


def test_a_world_without_a_storm_has_an_empty_best_track(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is complete, its best track has no line, and who reads that is told."""
    pretend(monkeypatch)
    world = write.write_world(tmp_path / "world", SIZE, 0)
    names = {"fields.zarr", "hurdat2.txt", "stations.csv", "stations_meta.csv", "events.csv"}
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


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    """The error names the folder, and nothing is simulated or removed."""
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="exists and is not empty"):
        write.write_world(tmp_path, SIZE, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
