"""Laws of the mean state and what sustains it: balance, symmetry, rates, and the statistics of the stirring."""

import numpy as np
import pytest
import torch

from toolkit.data.world.climate import DAY, HOUR, Climate, Stirring, equilibrium, relaxation, zonal_wind
from toolkit.data.world.shallow_water import Fluid, advance, first_step, on_grid, start, tendency
from toolkit.data.world.sphere import Sphere

CLIMATE = Climate()
SPHERE = Sphere(42)


def generators(*seeds: int) -> list[np.random.Generator]:
    """One generator per member."""
    return [np.random.default_rng(seed) for seed in seeds]


def test_the_mean_wind_has_westerly_jets_and_easterly_trades() -> None:
    """The strongest westerlies blow near the jet's latitude, the strongest easterlies near the trades'."""
    latitude = np.linspace(0, 90, 901)
    wind = zonal_wind(CLIMATE, latitude)
    assert abs(latitude[wind.argmax()] - CLIMATE.jet_latitude) < 2
    assert 0.8 * CLIMATE.jet_wind < wind.max() < CLIMATE.jet_wind
    assert abs(latitude[wind.argmin()] - CLIMATE.trade_latitude) < 2
    assert CLIMATE.trade_wind < wind.min() < 0.8 * CLIMATE.trade_wind


def test_the_mean_wind_is_the_same_in_both_hemispheres_and_zero_at_the_poles() -> None:
    """Zonal wind is even in latitude and vanishes at the poles, where it has no direction."""
    latitude = np.linspace(-90, 90, 181)
    wind = zonal_wind(CLIMATE, latitude)
    assert np.allclose(wind, wind[::-1])
    assert abs(wind[0]) < 1e-6


def test_the_equilibrium_blows_with_the_mean_wind() -> None:
    """Its vorticity gives the zonal wind back to 0.5 m/s (the mean vorticity is none), without a northward wind."""
    wind = SPHERE.winds(equilibrium(CLIMATE, SPHERE)[:2])
    assert np.abs(wind[0].mean(-1).numpy() - zonal_wind(CLIMATE, SPHERE.latitude)).max() < 0.5
    assert wind[1].abs().max() < 1e-3


@pytest.mark.slow
def test_the_equilibrium_is_steady() -> None:
    """Five days without forcing change its wind by less than 2 % of the jet and make no northward wind."""
    fluid = Fluid(SPHERE, 1800.0)
    target = equilibrium(CLIMATE, SPHERE)[None]
    flow = start(target)
    for step in range(round(5 * DAY / fluid.step)):
        flow = (advance if step else first_step)(fluid, flow, tendency(fluid, on_grid(fluid, flow.at)))
    before, after = on_grid(fluid, target).wind[0], on_grid(fluid, flow.at).wind[0]
    assert (after - before).abs().max() < 0.02 * before.max()
    assert after[1].abs().max() < 0.01


def test_relaxation_rests_at_its_target_and_leaves_the_global_means() -> None:
    """There is no tendency at the target, and none of degree 0 anywhere."""
    target = equilibrium(CLIMATE, SPHERE)
    assert relaxation(CLIMATE, target, target[None]).abs().max() == 0
    assert relaxation(CLIMATE, target, target[None] + 1)[..., 0, 0].abs().max() == 0


def test_relaxation_has_the_stated_times() -> None:
    """A departure decays in `relaxation_time` where it is zonal or geopotential, else in `drag_time`."""
    target = equilibrium(CLIMATE, SPHERE)
    rate = -relaxation(CLIMATE, target, target[None] + 1)[0].real
    assert torch.allclose(rate[:, 3, 0], torch.full((3,), 1 / CLIMATE.relaxation_time), rtol=1e-4)
    assert torch.allclose(rate[2, 5, 4], torch.tensor(1 / CLIMATE.relaxation_time), rtol=1e-4)
    assert torch.allclose(rate[:2, 5, 4], torch.full((2,), 1 / CLIMATE.drag_time), rtol=1e-4)


def tendencies(hours: int, seed: int = 0) -> torch.Tensor:
    """Stirring of one member as fields (hour, lat, lon), s-2."""
    stirring = Stirring(CLIMATE, SPHERE, generators(seed))
    return torch.stack([SPHERE.field(stirring.next_hour()[0]) for _ in range(hours)])


def test_stirring_has_the_stated_strength_at_the_storm_tracks_and_little_elsewhere() -> None:
    """Its root mean square at 45 degrees is that of `stirring` within a fifth; at the equator less than a third."""
    fields = torch.cat([tendencies(1, seed) for seed in range(30)])
    size = fields.square().mean((0, 2)).sqrt().numpy()
    for hemisphere in (1, -1):
        at_storm_track = size[np.abs(SPHERE.latitude - 45 * hemisphere).argmin()]
        assert at_storm_track == pytest.approx(CLIMATE.stirring, rel=0.2)
    assert size[np.abs(SPHERE.latitude).argmin()] < CLIMATE.stirring / 3


@pytest.mark.slow
def test_stirring_remembers_for_its_time() -> None:
    """Its autocorrelation falls like exp(-lag / stirring_time)."""
    fields = tendencies(24 * 20)
    for lag in (6, 36):
        product = (fields[lag:] * fields[:-lag]).mean() / fields.square().mean()
        assert float(product) == pytest.approx(np.exp(-lag * HOUR / CLIMATE.stirring_time), abs=0.12)


def test_stirring_acts_on_its_scales_and_has_no_mean() -> None:
    """Nine tenths of its variance lie within the stated total wavenumbers; it never drives a mean vorticity."""
    spectral = torch.cat([Stirring(CLIMATE, SPHERE, generators(seed)).next_hour() for seed in range(10)])
    power = spectral.abs().square().sum((0, 2))
    low, high = CLIMATE.stirring_degrees
    assert power[low:high].sum() > 0.9 * power.sum()
    assert spectral[:, 0, 0].abs().max() == 0


def test_a_member_is_stirred_by_its_own_generator_alone() -> None:
    """The same generator gives the same stirring whoever runs beside it; another generator gives another."""
    alone, pair = Stirring(CLIMATE, SPHERE, generators(1)), Stirring(CLIMATE, SPHERE, generators(2, 1))
    for _ in range(3):
        single, double = alone.next_hour(), pair.next_hour()
        assert torch.allclose(double[1], single[0], atol=1e-6 * float(single.abs().max()))
    assert not torch.allclose(double[0], double[1], atol=0.1 * float(double.abs().max()))
