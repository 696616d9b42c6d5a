import numpy as np
import pytest

from toolkit.data.regrid import regridded, regridding, regular_grid
from toolkit.errors import UserError

DEGREES = 7.5
LATITUDE, LONGITUDE = regular_grid(DEGREES)


def grid(spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of a global grid with both poles."""
    return np.linspace(90, -90, round(180 / spacing) + 1), np.arange(0, 360, spacing)


def wave(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """A smooth field of planetary scale."""
    phi, lam = np.radians(latitude)[:, None], np.radians(longitude)
    return np.cos(phi) ** 2 * np.cos(2 * lam + 0.3) + 0.5 * np.sin(phi)


def noise(latitude: np.ndarray, longitude: np.ndarray, seed: int = 0) -> np.ndarray:
    """White noise of unit variance."""
    return np.random.default_rng(seed).standard_normal((len(latitude), len(longitude)))


def test_the_grid_goes_from_pole_to_pole() -> None:
    """Latitudes include both poles, longitudes go once round, at the spacing asked for."""
    latitude, longitude = regular_grid(1.40625)
    assert (len(latitude), len(longitude)) == (129, 256)
    assert (latitude[0], latitude[-1], longitude[0]) == (90, -90, 0)
    np.testing.assert_allclose(np.diff(longitude), 1.40625)


@pytest.mark.parametrize("gaps", [False, True])
def test_a_field_on_the_grid_itself_is_left_as_it_is(gaps: bool) -> None:
    """On the model's own grid every value comes back bit by bit, and every gap."""
    field = noise(LATITUDE, LONGITUDE).astype(np.float32)
    if gaps:
        field[3:8, 5:9] = np.nan
    way = regridding(LATITUDE, LONGITUDE, DEGREES)
    np.testing.assert_array_equal(regridded(field, way), field)
    assert way.covered.all()


@pytest.mark.parametrize("spacing", [0.5, 2.0, 5.0, 7.5, 10.0, 15.0])
def test_a_constant_stays_the_same_constant(spacing: float) -> None:
    """Weights add up to one, with gaps and without."""
    latitude, longitude = grid(spacing)
    field = np.full((len(latitude), len(longitude)), 3.25)
    way = regridding(latitude, longitude, DEGREES)
    np.testing.assert_allclose(regridded(field, way), 3.25, rtol=1e-6)
    field[len(latitude) // 3 : len(latitude) // 2, :4] = np.nan
    some = regridded(field, way)
    np.testing.assert_allclose(some[np.isfinite(some)], 3.25, rtol=1e-6)
    assert np.isfinite(some).mean() > 0.9


def test_averaging_keeps_the_mean_over_the_globe() -> None:
    """The area-weighted mean of a finer field is that of its cell averages: nothing is lost."""
    latitude, longitude = grid(1.0)
    field = noise(latitude, longitude)

    def mean(values: np.ndarray, latitude: np.ndarray) -> float:
        edges = np.concatenate([[90], (latitude[1:] + latitude[:-1]) / 2, [-90]])
        return float(np.average(values.mean(1), weights=-np.diff(np.sin(np.radians(edges)))))

    coarse = regridded(field, regridding(latitude, longitude, DEGREES)).astype(float)
    assert mean(coarse, LATITUDE) == pytest.approx(mean(field, latitude), abs=1e-7)


def test_averages_agree_with_sampling_the_cells() -> None:
    """The average of a cell is that of many points in it, each with the value of its nearest source point."""
    latitude, longitude = grid(2.0)
    field = noise(latitude, longitude)
    coarse = regridded(field, regridding(latitude, longitude, DEGREES))
    steps = (np.arange(200) + 0.5) / 200 - 0.5
    for row, column in ((4, 0), (12, 7), (20, 47)):
        lat, lon = LATITUDE[row] + steps * DEGREES, (LONGITUDE[column] + steps * DEGREES) % 360
        values = field[np.rint((90 - lat) / 2).astype(int)[:, None], np.rint(lon / 2).astype(int) % len(longitude)]
        sampled = np.average(values.mean(1), weights=np.cos(np.radians(lat)))
        assert coarse[row, column] == pytest.approx(sampled, abs=0.01)


def test_averaging_takes_noise_away() -> None:
    """Rounding to 16 bits or white noise shrinks with the square root of the points per cell."""
    latitude, longitude = grid(0.5)
    coarse = regridded(noise(latitude, longitude), regridding(latitude, longitude, DEGREES))
    assert coarse[5:-5].std() == pytest.approx(1 / 15, rel=0.1)


@pytest.mark.parametrize(("spacing", "error"), [(10.0, 2e-3), (15.0, 2e-2)])
def test_splines_follow_a_smooth_field(spacing: float, error: float) -> None:
    """A planetary wave on a coarser grid is found on the finer one, across Greenwich and up to the poles."""
    latitude, longitude = grid(spacing)
    fine = regridded(wave(latitude, longitude), regridding(latitude, longitude, DEGREES))
    assert np.abs(fine - wave(LATITUDE, LONGITUDE)).max() < error


def test_a_gaussian_grid_reaches_the_poles() -> None:
    """Rows that stop short of the poles, as Gaussian ones do, leave no hole there."""
    for rows in (16, 64):
        latitude = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(rows)[0]))[::-1]
        longitude = np.arange(2 * rows) * 180 / rows
        way = regridding(latitude, longitude, DEGREES)
        assert way.covered.all()
        assert np.abs(regridded(wave(latitude, longitude), way) - wave(LATITUDE, LONGITUDE)).max() < 0.06


@pytest.mark.parametrize("spacing", [2.5, 7.5, 15.0])
def test_mirrored_and_rolled_fields_stay_so(spacing: float) -> None:
    """Regridding commutes with a reflection about the equator and with a turn about the axis."""
    latitude, longitude = grid(spacing)
    field, way = noise(latitude, longitude), regridding(latitude, longitude, DEGREES)
    straight = regridded(field, way)
    np.testing.assert_allclose(regridded(field[::-1], way), straight[::-1], atol=1e-6)
    turned = np.roll(field, round(45 / spacing), axis=1)
    np.testing.assert_allclose(regridded(turned, way), np.roll(straight, round(45 / DEGREES), axis=1), atol=2e-5)


def test_values_far_from_a_gap_do_not_feel_it() -> None:
    """Beside a gap the spline gives way to linear interpolation; four points from it nothing changes."""
    latitude, longitude = grid(10.0)
    field, way = noise(latitude, longitude), regridding(latitude, longitude, DEGREES)
    holed = field.copy()
    holed[9, 18] = np.nan
    whole, some = regridded(field, way), regridded(holed, way)
    changed = np.abs(some - whole) > 0.02
    changed |= np.isnan(some)
    rows, columns = np.nonzero(changed)
    assert 0 < np.isnan(some).sum() < 4
    assert np.abs(LATITUDE[rows] - latitude[9]).max() <= 40
    assert np.abs(LONGITUDE[columns] - longitude[18]).max() <= 40


@pytest.mark.parametrize("spacing", [1.0, 10.0])
def test_a_region_says_nothing_beyond_itself(spacing: float) -> None:
    """Outside a region everything is missing; inside it is as on the whole globe, up to the spline's own edge."""
    latitude, longitude = grid(spacing)
    inside = (np.abs(latitude - 20) <= 40)[:, None] & (np.abs(longitude - 180) <= 60)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    way = regridding(latitude[rows], longitude[columns], DEGREES)
    part = regridded(wave(latitude[rows], longitude[columns]), way)
    np.testing.assert_array_equal(np.isfinite(part), way.covered)
    south, north = LATITUDE[way.covered.any(1)][[-1, 0]]
    assert -20 - spacing <= south <= -15
    assert 55 <= north <= 60 + spacing
    difference = np.abs(part - wave(LATITUDE, LONGITUDE))[(np.abs(LATITUDE - 20) <= 30)[:, None] & way.covered]
    assert np.nanmax(difference) < 0.12


@pytest.mark.parametrize("spacing", [2.5, 10.0])
def test_a_region_may_cross_greenwich(spacing: float) -> None:
    """A region on both sides of 0 degrees, its longitudes ascending in [0, 360), is the same region turned."""
    latitude = np.linspace(50, -50, round(100 / spacing) + 1)
    across = np.concatenate([np.arange(0, 61, spacing), np.arange(300, 360, spacing)])
    field = noise(latitude, across)
    here = regridded(field, regridding(latitude, across, DEGREES))
    turn = len(np.arange(300, 360, spacing))
    moved = np.roll(field, turn, axis=1)
    there = regridded(moved, regridding(latitude, (np.roll(across, turn) + 90) % 360, DEGREES))
    np.testing.assert_allclose(np.roll(here, round(90 / DEGREES), axis=1), there, atol=1e-5)
    assert np.isfinite(here[:, [0, 1, -1]]).any()
    assert np.isnan(here[:, len(LONGITUDE) // 2]).all()


def test_infinity_counts_as_missing() -> None:
    """An infinite value leaves its cell to the other points in it."""
    latitude, longitude = grid(2.5)
    field = np.ones((len(latitude), len(longitude)))
    field[30, 30] = np.inf
    np.testing.assert_allclose(regridded(field, regridding(latitude, longitude, DEGREES)), 1, rtol=1e-6)


def test_the_way_is_said_in_words() -> None:
    """What is done is said with the sizes and spacings of both grids."""
    assert "averaged over the cells of the model's 7.5 degree grid" in regridding(*grid(0.5), DEGREES).method
    assert regridding(LATITUDE, LONGITUDE, DEGREES).method == "fields are on the model's 7.5 degree grid"
    assert "interpolated by cubic splines" in regridding(*grid(10.0), DEGREES).method


def test_a_grid_of_three_rows_is_refused() -> None:
    """Fewer than four rows or columns is no field."""
    with pytest.raises(UserError, match="3 latitudes and 48 longitudes is too small"):
        regridding(LATITUDE[:3], LONGITUDE, DEGREES)
