"""Laws of the event labels: what is planted is found, and nothing else."""

import numpy as np
import pandas as pd
import pytest
import torch

from toolkit.data.world.best_track import best_track_of
from toolkit.data.world.events import KINDS, Events, season_events
from toolkit.data.world.observe import regular_axes
from toolkit.data.world.season import Plan, Season, run_seasons
from toolkit.data.world.sphere import Sphere
from toolkit.data.world.vortices import Cyclone
from toolkit.geodesy import distance_km, longitude_difference

pytestmark = pytest.mark.slow

START = np.datetime64("2001-08-01T00", "s")
FRAMES = 49
PLAN = Plan(days=12, truncation=42)
SPHERE = Sphere(42)
LATITUDE, LONGITUDE = regular_axes(65)


def bump(lat: float, lon: float, high_km: float, wide_km: float) -> torch.Tensor:
    """A Gaussian bump (lat, lon) of height 1 with its half-axes along the meridian and the parallel."""
    phi, lam = SPHERE.latitude[:, None], SPHERE.longitude
    east = 111.2 * np.cos(np.radians(phi)) * longitude_difference(lam, lon)
    return torch.tensor(np.exp(-((111.2 * (phi - lat) / high_km) ** 2) - (east / wide_km) ** 2)).float()


def quiet() -> torch.Tensor:
    """States without wind whose geopotential falls poleward as in the simulated climate."""
    fall = -3000 * np.sin(np.radians(SPHERE.latitude)) ** 2
    states = torch.zeros(FRAMES, 3, 43, 43, dtype=torch.complex64)
    states[:, 2] = SPHERE.coefficients(torch.tensor(fall).float()[:, None].expand(SPHERE.rows, SPHERE.columns))
    return states


def table(states: torch.Tensor, cyclones: tuple[Cyclone, ...] = ()) -> pd.DataFrame:
    """The events of a season made of these states."""
    return events(states, cyclones).table


def events(states: torch.Tensor, cyclones: tuple[Cyclone, ...] = ()) -> Events:
    """The events of a season made of these states, and their cells."""
    return season_events(Season(2001, states, cyclones), PLAN, START)


def mask_of(found: Events, kind: str) -> np.ndarray:
    """The cells (time, lat, lon) of a kind."""
    return found.masks[:, KINDS.index(kind)]


def with_high(lat: float, lon: float, days: float) -> torch.Tensor:
    """Quiet states with a strong high standing at a place for some days, from day 3 on."""
    states = quiet()
    high = SPHERE.coefficients(4500 * bump(lat, lon, 900, 1300))
    states[12 : 12 + int(4 * days), 2] += high
    return states


def with_band(lat: float, lon: float, long_km: float, wide_km: float) -> torch.Tensor:
    """Quiet states with a poleward wind of 30 m s-1 in a band of these half-axes, for two days from day 5 on."""
    northward = 30 * np.sign(lat) * bump(lat, lon, long_km, wide_km)
    states = quiet()
    states[20:28, :2] = SPHERE.rotation_and_divergence(torch.stack([torch.zeros_like(northward), northward]))
    return states


def cyclone(lat: float, lon: float, wind: float) -> Cyclone:
    """A cyclone that moves west by a quarter of a degree an hour for three days at a constant wind."""
    born = Cyclone(lat, lon, wind, 72, 0.5)
    born.track = [(hour, lat, (lon - hour / 4) % 360, wind, -800.0, 0.1) for hour in range(73)]
    return born


def test_nothing_happens_in_a_quiet_season() -> None:
    """No wind, no change, no cyclone: no event, and the columns and their types all the same."""
    nothing = table(quiet())
    assert len(nothing) == 0
    assert list(nothing.columns[:4]) == ["event", "kind", "start", "end"]
    assert nothing.start.dtype == "datetime64[s]"


@pytest.mark.parametrize(("lat", "lon"), [(62.0, 359.0), (-62.0, 181.0), (58.0, 77.0)])
def test_a_standing_high_is_a_block(lat: float, lon: float) -> None:
    """A high of four days is one blocking with a row a day, its box around the high's equatorward side, at any seam."""
    blocking = table(with_high(lat, lon, days=4)).query("kind == 'blocking'")
    assert list(blocking.event.unique()) == ["blocking-2001-001"]
    assert list(blocking.start.dt.day) == [4, 5, 6, 7]
    assert blocking.start.iloc[0] == pd.Timestamp("2001-08-04T00")
    assert blocking.end.iloc[-1] == pd.Timestamp("2001-08-07T18")
    row = blocking.iloc[0]
    middle = (row.longitude_min + row.longitude_max) / 2
    assert abs(float(longitude_difference(middle, lon))) < 3
    assert row.latitude_min <= lat <= row.latitude_max
    assert 10 < row.longitude_max - row.longitude_min < 80
    assert row.peak_value > 0


def test_a_high_of_two_days_is_no_block() -> None:
    """A reversal that does not last three days is left out."""
    assert "blocking" not in set(table(with_high(62, 0, days=2)).kind)


def test_a_lasting_high_is_heat_and_a_passing_one_is_not() -> None:
    """Warm air is heat where it stays for two days, not where it stays for one."""
    strong = "kind == 'heat' and peak_value > 1000"
    heat = table(with_high(40, 0, days=2)).query(strong)
    assert len(heat) == 2
    row = heat.iloc[0]
    assert row.latitude_min < 40 < row.latitude_max
    assert row.longitude_min < 0 < row.longitude_max
    assert table(with_high(40, 0, days=1)).query(strong).empty


@pytest.mark.parametrize(("lat", "lon"), [(40.0, 0.0), (-40.0, 130.0)])
def test_a_narrow_poleward_band_is_a_filament(lat: float, lon: float) -> None:
    """A long narrow poleward wind in moist air is found in both hemispheres, while it blows."""
    filament = table(with_band(lat, lon, 1500, 500)).query("kind == 'filament'")
    assert list(filament.event.unique()) == ["filament-2001-001"]
    assert list(filament.start.dt.day) == [6, 7]
    row = filament.iloc[0]
    assert row.latitude_min < lat < row.latitude_max
    assert abs(float(longitude_difference((row.longitude_min + row.longitude_max) / 2, lon))) < 6
    assert row.peak_value > 100


def test_a_broad_a_short_or_an_equatorward_wind_is_no_filament() -> None:
    """The same wind in a broad or a short stream, or blowing the other way, is left out."""
    assert "filament" not in set(table(with_band(45, 0, 1500, 1800)).kind)
    assert "filament" not in set(table(with_band(45, 0, 500, 400)).kind)
    assert "filament" not in set(table(-1 * with_band(45, 0, 1500, 500)).kind)


def test_a_cyclone_is_found_under_its_best_track_name() -> None:
    """Every fix of tropical-storm strength is inside the box of its day, across the meridian of Greenwich."""
    season = Season(2001, quiet(), (cyclone(18, 5, 30.0), cyclone(-15, 200, 8.0)))
    found = season_events(season, PLAN, START).table
    fixes = best_track_of([season])
    strong = fixes[fixes.wind_kt >= 34]
    assert set(found.kind) == {"tropical_cyclone"}
    assert set(found.event) == set(strong.storm)
    assert list(found.start.dt.day) == [1, 2, 3, 4]
    joined = strong.assign(day=strong.time.dt.day).merge(found.assign(day=found.start.dt.day), on="day")
    assert len(joined) == len(strong)
    assert joined.time.between(joined.start, joined.end).all()
    to_the_south = distance_km(joined.latitude, joined.longitude, joined.latitude_min, joined.longitude)
    to_the_west = distance_km(joined.latitude, joined.longitude, joined.latitude, joined.longitude_min)
    assert to_the_south == pytest.approx(500, abs=1)
    assert to_the_west.min() == pytest.approx(500, abs=5)
    assert ((joined.longitude - joined.longitude_min) % 360 < joined.longitude_max - joined.longitude_min).all()
    assert found.peak_value.unique() == [strong.wind_kt.max()]


def test_a_cyclone_of_a_single_fix_is_no_event() -> None:
    """A cyclone that lives too short to be in the best track leaves no event."""
    brief = cyclone(18, 5, 30.0)
    brief.track = brief.track[:6]
    assert len(table(quiet(), (brief,))) == 0


def test_no_event_has_no_cell() -> None:
    """The maps of a quiet season are empty, one for each frame and kind."""
    found = events(quiet())
    assert found.masks.shape == (FRAMES, len(KINDS), 65, 128)
    assert not found.masks.any()


def test_the_cells_of_a_cyclone_are_those_within_500_km_of_its_strong_fixes() -> None:
    """At the time of a fix of 34 kt and more the nearest cells are marked, across Greenwich; at other times none."""
    season = Season(2001, quiet(), (cyclone(18, 5, 30.0), cyclone(-15, 200, 8.0)))
    mask = mask_of(season_events(season, PLAN, START), "tropical_cyclone")
    fixes = best_track_of([season])
    strong = fixes[fixes.wind_kt >= 34]
    assert set(strong.storm) < set(fixes.storm)
    for fix in strong.itertuples():
        frame = int((np.datetime64(fix.time) - START) / np.timedelta64(6, "h"))
        near = distance_km(fix.latitude, fix.longitude, LATITUDE[:, None], LONGITUDE) <= 500
        assert near.sum() > 4
        np.testing.assert_array_equal(mask[frame], near)
    assert mask.any((1, 2)).sum() == len(strong)


def test_the_cells_of_an_event_lie_in_its_box_and_reach_its_edges() -> None:
    """At the frames of a row cells of its kind are marked, their outermost edges are its box, and no others are."""
    found = events(with_high(62, 359, days=4))
    for kind in ("blocking", "heat"):
        rows, mask = found.table.query("kind == @kind"), mask_of(found, kind)
        drawn = np.zeros_like(mask)
        for row in rows.itertuples():
            first, last = (int((np.datetime64(time) - START) / np.timedelta64(6, "h")) for time in (row.start, row.end))
            half = 180 / 64 / 2
            rows_in = (row.latitude_min < LATITUDE) & (row.latitude_max > LATITUDE)
            columns_in = (LONGITUDE - row.longitude_min) % 360 < row.longitude_max - row.longitude_min
            drawn[first : last + 1] |= rows_in[:, None] & columns_in
            if kind == "blocking":  # there is but one
                cells = mask[first : last + 1].any(0)
                assert LATITUDE[cells.any(1)].max() + half == pytest.approx(row.latitude_max, abs=0.01)
                assert LATITUDE[cells.any(1)].min() - half == pytest.approx(row.latitude_min, abs=0.01)
                assert mask[first : last + 1].any((1, 2)).all()
        assert not (mask & ~drawn).any()
        assert mask.any()


def test_what_the_table_leaves_out_has_no_cell() -> None:
    """A reversal that does not last three days is on no map either."""
    assert not mask_of(events(with_high(62, 0, days=2)), "blocking").any()


def test_events_follow_from_the_season() -> None:
    """The same season gives the same table and maps."""
    first, second = (events(with_high(62, 359, days=4)) for _ in range(2))
    pd.testing.assert_frame_equal(first.table, second.table)
    np.testing.assert_array_equal(first.masks, second.masks)


@pytest.mark.slow
def test_a_simulated_season_has_several_kinds_and_none_dominates() -> None:
    """In a simulated season no kind is more than three in four of the events; every row is a proper box and day."""
    plan = Plan(days=10, truncation=42, step=1800.0)
    found = season_events(run_seasons(plan, 1, [2001], lambda _: None)[0], plan, START).table
    assert set(found.kind) <= set(KINDS)
    share = found.groupby("kind").event.nunique() / found.event.nunique()
    assert len(share) >= 3
    assert share.max() < 0.75
    assert (found.start <= found.end).all()
    assert (found.start.dt.floor("D") == found.end.dt.floor("D")).all()
    assert (found.latitude_min < found.latitude_max).all()
    assert found.longitude_min.between(-180, 180, inclusive="left").all()
    assert ((found.longitude_max - found.longitude_min).between(0, 360)).all()
    assert not found.duplicated(["event", "start"]).any()
