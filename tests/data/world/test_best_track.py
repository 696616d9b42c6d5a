"""Laws of the simulated best track: which cyclones are in it, under what name, and a table in any case."""

import numpy as np
import pandas as pd
import pytest
import torch

from toolkit.data.world.best_track import best_track_of
from toolkit.data.world.season import Season
from toolkit.data.world.vortices import Cyclone


def cyclone(lat: float, lon: float, wind: float = 30.0, first_hour: int = 0, hours: int = 48) -> Cyclone:
    """A cyclone that moves west by a quarter of a degree an hour at a constant wind, m s-1."""
    born = Cyclone(lat, lon, wind, 72, 0.5)
    span = range(first_hour, first_hour + hours + 1)
    born.track = [(hour, lat, (lon - hour / 4) % 360, wind, -800.0, 0.1) for hour in span]
    return born


def season(*cyclones: Cyclone, year: int = 2001) -> Season:
    """A season of which nothing but its cyclones counts."""
    return Season(year, torch.zeros(1), cyclones)


def test_fixes_are_six_hourly_from_the_first_frame_on() -> None:
    """Hours before the first frame and between frames are left out; values are rounded as a centre would."""
    fixes = best_track_of([season(cyclone(18.04, 5, first_hour=-3, hours=16))])
    assert fixes.time.tolist() == [
        pd.Timestamp("2001-08-01T00"),
        pd.Timestamp("2001-08-01T06"),
        pd.Timestamp("2001-08-01T12"),
    ]
    assert fixes.latitude.tolist() == [18.0] * 3
    assert fixes.longitude.tolist() == [5.0, 3.5, 2.0]
    assert fixes.wind_kt.tolist() == [75.0] * 3
    assert fixes.status.tolist() == ["HU"] * 3


def test_storms_are_numbered_in_each_basin_and_year() -> None:
    """Identifiers count the storms of a basin in the order of their birth, anew in each year."""
    late, early, southern = cyclone(15, 300, first_hour=24), cyclone(12, 310), cyclone(-15, 60)
    fixes = best_track_of([season(late, early, southern), season(early, year=2002)])
    born = fixes.groupby("storm").agg({"time": "min", "latitude": "first"})
    assert born.latitude.to_dict() == {"AL012001": 12, "AL012002": 12, "AL022001": 15, "SH012001": -15}
    assert not fixes.duplicated(["storm", "time"]).any()


@pytest.mark.parametrize(
    "nothing",
    [
        (),
        (season(),),
        (season(Cyclone(18, 5, 30, 72, 0.5)),),
        (season(cyclone(18, 5, hours=5)), season(cyclone(18, 5, wind=5.0))),
    ],
    ids=["no season", "no cyclone", "no hour", "a single fix and a weak one"],
)
def test_without_a_storm_the_table_is_empty(nothing: tuple[Season, ...]) -> None:
    """Where no cyclone has two fixes of 20 kt there is no row, and columns and types are those of any other table."""
    fixes, some = best_track_of(nothing), best_track_of([season(cyclone(18, 5))])
    assert len(fixes) == 0
    pd.testing.assert_series_equal(fixes.dtypes, some.dtypes)
    assert fixes.time.dtype == np.dtype("datetime64[s]")
