"""Flow without divergence on the sphere: the barotropic vorticity equation, stepped by the spectral transform method.

    d zeta / dt = -V . grad(zeta + f) = -div((zeta + f) V),    V = k x grad(psi),    lap(psi) = zeta

with relative vorticity zeta (s-1), wind V (m s-1), stream function psi (m2 s-1) and Coriolis parameter f (s-1), by the
classical Runge-Kutta scheme of fourth order; after every step del^8 hyperdiffusion takes away the smallest scales.
Products are free of aliasing, so that without it energy and enstrophy change by the error of the step alone.
After Charney, Fjortoft and von Neumann (1950), doi:10.3402/tellusa.v2i4.8607, and Orszag (1970),
doi:10.1175/1520-0469(1970)027<0890:TMFTCO>2.0.CO;2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from toolkit.data.world.sphere import Sphere


@dataclass(frozen=True)
class Barotropic:
    """Where the fluid flows, and how it is stepped.

    `step` in s; `rotation` is the sphere's, as a multiple of the Earth's; `diffusion_time` (s) is the e-folding time of
    the smallest resolved scale under del^8 hyperdiffusion, infinite for none.
    """

    sphere: Sphere
    step: float
    rotation: float = 0.0
    diffusion_time: float = 4 * 3600.0


def winds(sphere: Sphere, vorticity: Tensor) -> Tensor:
    """Return the wind (..., 2, lat, lon), m s-1, of vorticity coefficients (..., degree, order)."""
    return sphere.winds(_without_divergence(vorticity))


def regular_fields(sphere: Sphere, vorticity: Tensor) -> Tensor:
    """Return vorticity and winds (..., 3, lat, lon) of coefficients on the regular grid of the sphere's rows + 1."""
    rows = sphere.rows + 1
    scalar = sphere.regular_field(vorticity, rows).unsqueeze(-3)
    return torch.cat([scalar, sphere.regular_winds(_without_divergence(vorticity), rows)], -3)


def tendency(fluid: Barotropic, vorticity: Tensor) -> Tensor:
    """Return d zeta / dt, s-2, without hyperdiffusion; coefficients (..., degree, order) in and out."""
    sphere = fluid.sphere
    absolute = sphere.field(vorticity) + fluid.rotation * sphere.coriolis
    flux = absolute.unsqueeze(-3) * winds(sphere, vorticity)
    return -sphere.rotation_and_divergence(flux)[..., 1, :, :]


def advance(fluid: Barotropic, vorticity: Tensor) -> Tensor:
    """Return the vorticity coefficients (..., degree, order) one step later."""
    first = tendency(fluid, vorticity)
    second = tendency(fluid, vorticity + fluid.step / 2 * first)
    third = tendency(fluid, vorticity + fluid.step / 2 * second)
    fourth = tendency(fluid, vorticity + fluid.step * third)
    after = vorticity + fluid.step / 6 * (first + 2 * (second + third) + fourth)
    smallest = fluid.sphere.laplacian[-1]
    return after * torch.exp(-fluid.step / fluid.diffusion_time * (fluid.sphere.laplacian / smallest) ** 4)


def _without_divergence(vorticity: Tensor) -> Tensor:
    return torch.stack([vorticity, torch.zeros_like(vorticity)], -3)
