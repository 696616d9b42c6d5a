"""Rotating shallow water on the sphere: one layer of fluid, stepped by the spectral transform method.

    d zeta / dt  = curl(A)                       + forcing      A = -(zeta + f) k x V - c |V| V
    d delta / dt =  div(A) - lap(phi + |V|^2/2)  + forcing
    d phi / dt   = -div(phi V) - PHI delta       + forcing

with surface drag c (m-1), relative vorticity zeta and divergence delta (s-1) and geopotential PHI + phi (m2 s-2).
Gravity waves are taken implicitly, the rest by leapfrog with the Robert-Asselin-Williams filter; del^8 hyperdiffusion
is implicit.
After Hack and Jakob (1992), NCAR/TN-343+STR, and Williams (2009), doi:10.1175/2009MWR2724.1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from toolkit.data.world.sphere import Sphere

ASSELIN, WILLIAMS = 0.06, 0.53


@dataclass(frozen=True)
class Fluid:
    """What the layer is made of, and how it is stepped.

    `step` in s; `mean_geopotential` in m2 s-2, the square of the gravity waves' speed; `diffusion_time` (s) is the
    e-folding time of the smallest resolved scale under del^8 hyperdiffusion; `drag` is the coefficient of quadratic
    surface drag over the layer's depth, m-1.
    """

    sphere: Sphere
    step: float
    mean_geopotential: float = 80.0**2
    diffusion_time: float = 4 * 3600.0
    drag: float = 0.0


@dataclass(frozen=True)
class Flow:
    """Two time levels of coefficients (member, 3, degree, order): vorticity, divergence, geopotential anomaly."""

    before: Tensor
    at: Tensor


@dataclass(frozen=True)
class GridFlow:
    """The flow on the Gaussian grid: vorticity, divergence, geopotential (member, lat, lon), wind (member, 2, ...)."""

    vorticity: Tensor
    divergence: Tensor
    geopotential: Tensor
    wind: Tensor


def start(state: Tensor) -> Flow:
    """Return a flow at rest in time: both levels are `state`; its first step must be `first_step`."""
    return Flow(state, state)


def on_grid(fluid: Fluid, state: Tensor) -> GridFlow:
    """Return the coefficients `state` (member, 3, degree, order) as grid fields."""
    scalars = fluid.sphere.field(state)
    wind = fluid.sphere.winds(state[:, :2])
    return GridFlow(scalars[:, 0], scalars[:, 1], scalars[:, 2], wind)


def tendency(fluid: Fluid, grid: GridFlow) -> Tensor:
    """Return the nonlinear tendencies (member, 3, degree, order), without the implicit gravity-wave terms."""
    sphere = fluid.sphere
    absolute = grid.vorticity + sphere.coriolis
    eastward, northward = grid.wind[:, 0], grid.wind[:, 1]
    square = grid.wind.square().sum(1)
    rate = fluid.drag * square.sqrt()
    acceleration = torch.stack([absolute * northward - rate * eastward, -absolute * eastward - rate * northward], 1)
    mass_flux = grid.geopotential[:, None] * grid.wind
    spectral = sphere.rotation_and_divergence(torch.stack([acceleration, mass_flux], 1))
    kinetic = sphere.coefficients(0.5 * square)
    return torch.stack(
        [spectral[:, 0, 0], spectral[:, 0, 1] - sphere.laplacian * kinetic, -spectral[:, 1, 1]],
        1,
    )


def advance(fluid: Fluid, flow: Flow, change: Tensor) -> Flow:
    """Return the flow one step later; `change` is tendency plus forcing (member, 3, degree, order) at `flow.at`."""
    after = _leap(fluid, flow.before, change, fluid.step)
    bend = 0.5 * ASSELIN * (flow.before - 2 * flow.at + after)
    return Flow(flow.at + WILLIAMS * bend, after + (WILLIAMS - 1) * bend)


def first_step(fluid: Fluid, flow: Flow, change: Tensor) -> Flow:
    """Return the flow after an Euler step, to begin from a single state."""
    return Flow(flow.at, _leap(fluid, flow.at, change, fluid.step / 2))


def _leap(fluid: Fluid, before: Tensor, change: Tensor, step: float) -> Tensor:
    wave = -fluid.sphere.laplacian * step
    mean = fluid.mean_geopotential * step
    vorticity = before[:, 0] + 2 * step * change[:, 0]
    divergence = before[:, 1] + 2 * step * change[:, 1] + wave * before[:, 2]
    geopotential = before[:, 2] + 2 * step * change[:, 2] - mean * before[:, 1]
    divergence = (divergence + wave * geopotential) / (1 + wave * mean)
    geopotential = geopotential - mean * divergence
    smallest = fluid.sphere.laplacian[-1]
    damping = (fluid.sphere.laplacian / smallest) ** 4 * (2 * step / fluid.diffusion_time)
    return torch.stack([vorticity, divergence, geopotential], 1) / (1 + damping)


def balanced_geopotential(sphere: Sphere, vorticity: Tensor) -> Tensor:
    """Return the geopotential coefficients (..., l, m) in nonlinear balance with a nondivergent flow's vorticity.

    lap(phi) = curl((zeta + f) V) - lap(|V|^2 / 2), so that the divergence does not begin to change.
    """
    wind = sphere.winds(torch.stack([vorticity, torch.zeros_like(vorticity)], -3))
    absolute = sphere.field(vorticity) + sphere.coriolis
    rotation = sphere.rotation_and_divergence(absolute.unsqueeze(-3) * wind)[..., 0, :, :]
    kinetic = sphere.coefficients(0.5 * wind.square().sum(-3))
    kinetic[..., 0, 0] = 0
    return sphere.inverse_laplacian * rotation - kinetic
