"""What keeps the simulated atmosphere going: jets it is relaxed towards, drag, and a stirring of the mid-latitudes."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from toolkit.data.world.shallow_water import balanced_geopotential
from toolkit.data.world.sphere import Sphere

DAY = 86400.0
HOUR = 3600.0


@dataclass(frozen=True)
class Climate:
    """Zonal wind (m s-1) of the jets and trades, time scales (s) of relaxation and drag, strength of the stirring.

    `surface_drag` is that of `Fluid.drag`, m-1. `stirring` is the root-mean-square vorticity tendency at the storm
    tracks, s-2; its memory is `stirring_time`, its scales the total wavenumbers in `stirring_degrees`.
    """

    jet_wind: float = 38.0
    jet_latitude: float = 41.0
    jet_width: float = 11.0
    trade_wind: float = -8.0
    trade_latitude: float = 12.0
    trade_width: float = 9.0
    relaxation_time: float = 8 * DAY
    drag_time: float = 15 * DAY
    surface_drag: float = 1.2e-7
    stirring: float = 2.6e-10
    stirring_time: float = 1.5 * DAY
    stirring_degrees: tuple[int, int] = (5, 21)


def zonal_wind(climate: Climate, latitude: np.ndarray) -> np.ndarray:
    """Return the eastward wind of the equilibrium, m s-1: a jet and trades in each hemisphere; zero at the poles."""
    absolute = np.abs(latitude)
    jet = climate.jet_wind * np.exp(-(((absolute - climate.jet_latitude) / climate.jet_width) ** 2))
    trades = climate.trade_wind * np.exp(-(((absolute - climate.trade_latitude) / climate.trade_width) ** 2))
    return (jet + trades) * np.cos(np.radians(latitude)) ** 0.5


def equilibrium(climate: Climate, sphere: Sphere) -> Tensor:
    """Return the balanced state (3, degree, order) that the flow is relaxed towards."""
    profile = torch.tensor(zonal_wind(climate, sphere.latitude), dtype=torch.float32)
    eastward = profile[:, None].expand(sphere.rows, sphere.columns)
    vorticity = sphere.rotation_and_divergence(torch.stack([eastward, torch.zeros_like(eastward)]))[0]
    return torch.stack([vorticity, torch.zeros_like(vorticity), balanced_geopotential(sphere, vorticity)])


def relaxation(climate: Climate, target: Tensor, state: Tensor) -> Tensor:
    """Return the tendency (member, 3, l, m): zonal means and geopotential relax to `target`, eddies are dragged.

    The global means are left alone, so that the relaxation neither makes nor destroys mass.
    """
    departure = state - target
    rate = torch.full(state.shape[-3:], 1 / climate.drag_time)
    rate[2] = 1 / climate.relaxation_time
    rate[:, :, 0] = 1 / climate.relaxation_time
    rate[:, 0, 0] = 0
    return -departure * rate


class Stirring:
    """A red-noise vorticity source (member, degree, order) over the storm tracks, renewed every hour.

    Each member draws from a generator of its own, so that a member does not depend on who runs beside it.
    """

    def __init__(self, climate: Climate, sphere: Sphere, generators: list[np.random.Generator]) -> None:
        """Begin from the stationary distribution."""
        self._climate, self._sphere, self._generators = climate, sphere, generators
        latitude = np.abs(sphere.latitude)
        envelope = 0.22 + np.exp(-(((latitude - 45) / 16) ** 2))
        self._envelope = torch.tensor(envelope * np.cos(np.radians(latitude)) ** 0.5, dtype=torch.float32)[:, None]
        self._source = self._draw()

    def _draw(self) -> Tensor:
        low, high = self._climate.stirring_degrees
        size = self._sphere.truncation + 1
        noise = np.zeros((len(self._generators), size, size), dtype=np.complex64)
        for member, generator in enumerate(self._generators):
            parts = generator.standard_normal((2, high - low, high))
            noise[member, low:high, :high] = parts[0] + 1j * parts[1]
        noise = np.tril(noise)
        field = self._sphere.field(torch.from_numpy(noise))
        return field / field.square().mean((-2, -1), keepdim=True).sqrt()

    def next_hour(self) -> Tensor:
        """Return the source of the coming hour as vorticity tendencies (member, degree, order), s-2."""
        memory = float(np.exp(-HOUR / self._climate.stirring_time))
        self._source = memory * self._source + (1 - memory**2) ** 0.5 * self._draw()
        stirring = self._sphere.coefficients(self._climate.stirring * self._envelope * self._source)
        stirring[:, 0, 0] = 0  # the mean vorticity of a sphere is that of no wind
        return stirring
