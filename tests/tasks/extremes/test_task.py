from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tasks.extremes.labels import WINDOWS_PER_MAP, rows_for
from tasks.extremes.task import extremes, stated_cells
from toolkit.data.label_kinds import KINDS
from toolkit.errors import UserError


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Maps of one kind, six-hourly over a week, in the layout of ClimateNetLarge."""
    time = np.datetime64("2001-08-01", "ns") + np.arange(28) * np.timedelta64(6, "h")
    latitude, longitude = np.linspace(90, -90, 19), np.arange(0, 360, 10.0)
    label = np.zeros((28, 1, 1, 19, 36), bool)
    label[:, :, :, 5:8, 3:9] = True
    names = ("time", "class", "annotator", "latitude", "longitude")
    coordinates = {"time": time, "class": ["Tropical Cyclone (TC)"], "latitude": latitude, "longitude": longitude}
    path = tmp_path / "labels.nc"
    xr.Dataset({"label": (names, label)}, coordinates).to_netcdf(path)
    return path


def test_one_analysis_a_day_has_its_windows(labelled: Path) -> None:
    """Each day's first analysis with a map at a lead has eight windows, all of one pentad, whoever asks."""
    rows = rows_for((1,))(labelled)
    assert (rows.groupby("time").size() == WINDOWS_PER_MAP).all()
    assert rows.groupby("time")["group"].nunique().max() == 1
    assert rows["time"].dt.hour.eq(0).all()
    assert rows["time"].min() == pd.Timestamp("2001-07-31")
    pd.testing.assert_frame_equal(rows, rows_for((1,))(labelled))
    assert len(rows[["latitude", "longitude"]].drop_duplicates()) > WINDOWS_PER_MAP


def test_pentads_are_five_days(labelled: Path) -> None:
    """Days of one pentad follow each other, and there are five at most."""
    rows = rows_for((0,))(labelled)
    assert rows.groupby("group")["time"].nunique().max() <= 5
    assert rows["group"].str.match(r"2001-pentad\d\d$").all()


@pytest.mark.parametrize("lead", [-1, 11, (), (0, 40)])
def test_a_lead_that_is_none_is_refused(lead: object) -> None:
    """Leads are whole days from 0 to 10."""
    with pytest.raises(UserError, match="give days ahead from 0 to 10"):
        extremes(lead=lead)  # type: ignore[arg-type]


def test_a_task_of_several_leads_scores_each() -> None:
    """Every lead has its means, and every kind at every lead its own scores; one lead alone has more of them."""
    names = {metric.name for metric in extremes(lead=(1, 3)).metrics}
    assert {"mean_iou_24h", "mean_brier_skill_72h", "iou_heat_24h", "brier_blocking_72h"} <= names
    assert {"window_f1_heat", "average_precision_filament"} <= {metric.name for metric in extremes().metrics}


def test_what_is_known_beforehand_is_not_what_is_asked() -> None:
    """Events at the analysis time are known where later ones are asked for, and persistence is a baseline there."""
    now, later = extremes(), extremes(lead=(1,))
    assert now.maps is not None
    assert later.maps is not None
    assert (now.maps.known, later.maps.known) == ((), (0,))
    assert "persistence" not in now.baselines
    assert "persistence" in later.baselines


def test_the_written_table_has_a_row_for_each_kind_stated() -> None:
    """Cells under two kinds are two rows, cells under none are no row."""
    table = pd.DataFrame({"time": 0, "latitude": [1.0, 2.0], "longitude": [3.0, 4.0]})
    for kind in KINDS:
        table[kind], table[f"{kind}_stated"] = 0.1, False
    table.loc[1, ["heat", "heat_stated", "blocking", "blocking_stated"]] = [0.9, True, 0.8, True]
    cells = stated_cells(table, (0,))
    assert cells[["latitude", "kind", "probability"]].to_numpy().tolist() == [
        [2.0, "blocking", 0.8],
        [2.0, "heat", 0.9],
    ]
