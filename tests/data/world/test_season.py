"""Laws of a season: reproducible, massless heating, no mean vorticity, cyclones that live where and as they should."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from toolkit.data.world import season
from toolkit.data.world.climate import Climate
from toolkit.data.world.season import HOURS_BETWEEN_FRAMES, HOURS_UNSEEN, Plan, Season, run_seasons
from toolkit.data.world.sphere import Sphere
from toolkit.geodesy import distance_km

pytestmark = pytest.mark.slow

PLAN = Plan(days=2, truncation=21, step=1800.0)


def seasons(
    plan: Plan = PLAN, seed: int = 0, years: Sequence[int] = (2001, 2002), spin_up_days: float = 1
) -> list[Season]:
    """The seasons after a short spin-up, without a progress report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(season, "SPIN_UP_DAYS", spin_up_days)
        return run_seasons(plan, seed, years, lambda _: None)


@pytest.fixture(scope="module")
def pair() -> list[Season]:
    """Two short seasons at low truncation."""
    return seasons()


@pytest.fixture(scope="module")
def long_season() -> list[Season]:
    """One season of eighteen days at T42, after a full spin-up."""
    return seasons(Plan(days=18, truncation=42, step=1800.0), years=[2001], spin_up_days=season.SPIN_UP_DAYS)


def test_a_season_has_a_frame_every_six_hours_and_both_ends(pair: list[Season]) -> None:
    """Two days give nine frames of the plan's truncation."""
    assert [part.year for part in pair] == [2001, 2002]
    for part in pair:
        assert part.states.shape == (2 * 24 // HOURS_BETWEEN_FRAMES + 1, 3, 22, 22)


def test_progress_is_told_every_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hours run from before the first frame to the last."""
    monkeypatch.setattr(season, "SPIN_UP_DAYS", 0.1)
    hours: list[int] = []
    run_seasons(replace(PLAN, days=1), 0, [2001], hours.append)
    assert hours == list(range(-HOURS_UNSEEN, 24 + 1))


def test_the_same_seed_gives_the_same_season(pair: list[Season]) -> None:
    """Run twice, every coefficient and every track is the same to the last bit."""
    for first, second in zip(pair, seasons(), strict=True):
        assert torch.equal(first.states, second.states)
        assert [storm.track for storm in first.cyclones] == [storm.track for storm in second.cyclones]


def test_another_seed_and_another_year_give_another_season(pair: list[Season]) -> None:
    """The eddies of two years, or of two seeds, have nothing to do with each other."""
    eddies = [part.states[0, 0, :, 1:].flatten() for part in (*pair, *seasons(seed=1, years=[2001]))]
    for index, other in ((0, 1), (0, 2), (1, 2)):
        first, second = eddies[index], eddies[other]
        product = torch.vdot(first, second).abs() / (first.norm() * second.norm())
        assert product < 0.4


def test_a_year_is_the_same_weather_whoever_runs_beside_it(pair: list[Season]) -> None:
    """Alone and in a batch a year begins with the same flow but for rounding."""
    (alone,) = seasons(years=[2002])
    difference = (alone.states[0] - pair[1].states[0]).abs().amax((-2, -1))
    assert (difference < 1e-2 * pair[1].states[0].abs().amax((-2, -1))).all()
    for storm, same in zip(alone.cyclones[:3], pair[1].cyclones, strict=False):
        assert storm.track[0][:3] == pytest.approx(same.track[0][:3], abs=0.5)


def test_mass_is_conserved_with_heated_columns(pair: list[Season]) -> None:
    """The mean geopotential stays zero in every frame, although cyclones are heated."""
    assert max(storm.heating for part in pair for storm in part.cyclones) > 0
    for part in pair:
        assert part.states[:, 2, 0, 0].abs().max() == 0


def test_no_mean_vorticity_or_divergence_comes_from_stirring_and_spinning_up(pair: list[Season]) -> None:
    """A closed surface has no mean vorticity: what vortices are given is taken from the air around them."""
    for part in pair:
        assert part.states[:, :2, 0, 0].abs().max() == 0


def test_spinning_up_vortices_does_not_drive_the_zonal_mean_wind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source of vorticity that cyclones and look-alikes get has no zonal mean at any latitude."""
    sources = []
    original = season._vortex_source

    def recorded(*arguments: object) -> torch.Tensor:
        sources.append(original(*arguments).clone())  # type: ignore[arg-type]
        return sources[-1].clone()

    monkeypatch.setattr(season, "_vortex_source", recorded)
    seasons(replace(PLAN, days=1))
    source = torch.stack(sources)
    assert source[:, :, 0].abs().max() > 0
    assert source[:, :, 0, :, 0].abs().max() == 0
    assert source[:, :, 1].abs().max() == 0
    assert source[:, :, 2, 0, 0].abs().max() == 0


def test_a_quiet_climate_stays_in_its_equilibrium() -> None:
    """Without stirring, cyclones and look-alikes the season is its balanced jets."""
    quiet = Plan(2, 21, 1800.0, cyclones=0, look_alikes_per_day=0, climate=Climate(stirring=0.0, surface_drag=0.0))
    (part,) = seasons(quiet, years=[2001])
    sphere = Sphere(21)
    first, last = (sphere.winds(part.states[index, :2]) for index in (0, -1))
    assert part.cyclones == ()
    assert (last - first).abs().max() < 0.5
    assert last[1].abs().max() < 0.05


def test_an_unstable_step_is_refused() -> None:
    """A step far too long for the flow ends in an error, never in a season of NaN."""
    with pytest.raises(FloatingPointError, match="shorten the step"):
        seasons(replace(PLAN, climate=Climate(stirring=5e-8)), years=[2001])


@pytest.mark.slow
def test_the_mean_flow_keeps_its_jets_and_trades(long_season: list[Season]) -> None:
    """Westerlies of 10 to 30 m/s lie in the mid-latitudes of both hemispheres and easterlies in the tropics."""
    sphere = Sphere(42)
    wind = torch.stack([sphere.winds(part.states[:, :2]) for part in long_season])[:, :, 0].mean((0, 1, 3)).numpy()
    for sign in (1, -1):
        assert 10 < wind[(sign * sphere.latitude > 35) & (sign * sphere.latitude < 52)].mean() < 30
    assert wind[np.abs(sphere.latitude) < 12].mean() < -1


@pytest.mark.slow
def test_the_layer_never_runs_dry(long_season: list[Season]) -> None:
    """The total geopotential, whose root is the speed of gravity waves, is positive everywhere."""
    sphere = Sphere(42)
    for part in long_season:
        assert 80.0**2 + float(sphere.field(part.states[:, 2]).min()) > 0


@pytest.mark.slow
def test_cyclones_live_a_while_out_of_the_deep_tropics_and_wander(long_season: list[Season]) -> None:
    """Tracks are hourly without a gap, keep to their hemisphere and 3 to 56 degrees, and move poleward on average."""
    tracks = [np.array(storm.track) for part in long_season for storm in part.cyclones if len(storm.track) > 48]
    assert len(tracks) > 20
    poleward = []
    for track in tracks:
        assert (np.diff(track[:, 0]) == 1).all()
        assert (np.sign(track[:, 1]) == np.sign(track[0, 1])).all()
        assert ((np.abs(track[:-1, 1]) > 3) & (np.abs(track[:-1, 1]) < 56)).all()
        poleward.append(abs(track[-1, 1]) - abs(track[0, 1]))
    assert np.mean(poleward) > 3
    hourly = np.concatenate([distance_km(*track[:-1, 1:3].T, *track[1:, 1:3].T) for track in tracks])
    assert np.median(hourly) < 60


@pytest.mark.slow
def test_heating_brings_the_wind_towards_the_plan(long_season: list[Season]) -> None:
    """At the middle of their lives cyclones planned strong blow harder than those planned weak."""
    grown = [storm for part in long_season for storm in part.cyclones if len(storm.track) > 0.6 * storm.life_hours]
    planned = [storm.peak_wind for storm in grown]
    reached = [storm.track[int(0.5 * storm.life_hours)][3] for storm in grown]
    assert len(grown) > 10
    assert np.corrcoef(planned, reached)[0, 1] > 0.15
