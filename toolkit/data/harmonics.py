"""Vorticity and divergence from winds, and winds from them, by spherical harmonics on a global grid.

The sums over longitude are Fourier transforms. Those over latitude are matrix products with Legendre functions on
Gaussian latitudes, to which and from which the grid's own rows are carried. Winds are in m s-1, vorticity and
divergence in s-1, fields have shape (..., latitude, longitude), coordinates are in degrees.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import irfft, rfft

from toolkit.data.grids import Array, Fields, fields_of_one_type, gaussian_nodes, is_spectral_grid
from toolkit.errors import UserError
from toolkit.geodesy import EARTH_RADIUS_M

LEGENDRE_BLOCK_BYTES = 128_000_000
LEGENDRE_BLOCKS_KEPT = 4


def spectral_vorticity_divergence(u: ArrayLike, v: ArrayLike, latitude: ArrayLike, longitude: ArrayLike) -> Fields:
    """Return (vorticity, divergence) of the wind by spherical harmonics.

    Triangular truncation at the highest degree that the grid resolves without ambiguity: all degrees below half the
    number of longitudes and below the number of latitudes (less one where the poles are rows). The grid must be one
    that `is_spectral_grid` accepts, else UserError.
    """
    sphere, (u, v) = _sphere(latitude, longitude), fields_of_one_type(u, v)
    wind = sphere.orders(u, v, vector=True) / sphere.cosine
    result = np.zeros_like(wind)
    for orders, legendre in sphere.legendre():
        m, degree, eps = _order_degree_eps(orders, sphere.truncation)
        u_l, v_l = np.split(_product(legendre, wind[orders] * sphere.weights), 2, axis=-1)
        # with (1 - mu^2) dP_l/dmu = (l + 1) eps_l P_(l-1) - l eps_(l+1) P_(l+1)
        vorticity = 1j * m * v_l + (degree + 1) * eps * _below(u_l) - degree * _above(eps) * _above(u_l)
        divergence = 1j * m * u_l - (degree + 1) * eps * _below(v_l) + degree * _above(eps) * _above(v_l)
        spectrum = np.concatenate([vorticity, divergence], axis=-1)[:, :-1] / EARTH_RADIUS_M
        result[orders] = _product(legendre[:, :-1].swapaxes(1, 2), spectrum)
    return sphere.grid_points(result, vector=False, like=u)


def winds_from_vorticity_divergence(
    vorticity: ArrayLike, divergence: ArrayLike, latitude: ArrayLike, longitude: ArrayLike
) -> Fields:
    """Return (u, v), the wind that has this vorticity and divergence on a global grid.

    With stream function psi and velocity potential chi, their inverse Laplacians: u cos phi = (dchi/dlambda -
    cos phi dpsi/dphi) / a and v cos phi = (dpsi/dlambda + cos phi dchi/dphi) / a. No wind on the sphere has a mean
    vorticity or divergence, so the means are left out. Truncation and UserError as for the other direction.
    """
    sphere, (vorticity, divergence) = _sphere(latitude, longitude), fields_of_one_type(vorticity, divergence)
    sources = sphere.orders(vorticity, divergence, vector=False)
    result = np.zeros_like(sources)
    for orders, legendre in sphere.legendre():
        m, degree, eps = _order_degree_eps(orders, sphere.truncation)
        inverse_laplacian = -(EARTH_RADIUS_M**2) / np.maximum(degree * (degree + 1), 1)
        inverse_laplacian[-1] = 0
        spectrum = _product(legendre, sources[orders] * sphere.weights) * inverse_laplacian
        psi, chi = np.split(spectrum, 2, axis=-1)
        u_l = 1j * m * chi - (degree + 2) * _above(eps) * _above(psi) + (degree - 1) * eps * _below(psi)
        v_l = 1j * m * psi + (degree + 2) * _above(eps) * _above(chi) - (degree - 1) * eps * _below(chi)
        result[orders] = _product(legendre.swapaxes(1, 2), np.concatenate([u_l, v_l], axis=-1) / EARTH_RADIUS_M)
    return sphere.grid_points(result / sphere.cosine, vector=True, like=vorticity)


@dataclass(frozen=True, eq=False)
class _Sphere:
    """A global grid beside as many Gaussian latitudes, where weighted sums over latitude are exact integrals.

    `to_gaussian` and `from_gaussian` carry Fourier orders from one to the other: a matrix for what is even across the
    poles and one for what is odd.
    """

    shape: tuple[int, int]
    truncation: int
    cosine: Array
    weights: Array
    to_gaussian: Fields
    from_gaussian: Fields

    def orders(self, first: Array, second: Array, vector: bool) -> Array:
        """Fourier orders of two fields at the Gaussian latitudes: complex (order, latitude, field)."""
        fields = np.stack([first, second]).reshape(-1, *self.shape).astype(float)
        waves = rfft(fields, norm="forward")[..., : self.truncation]
        return _carry(self.to_gaussian, waves.transpose(2, 1, 0), vector)

    def grid_points(self, waves: Array, vector: bool, like: Array) -> Fields:
        """The two fields with these Fourier orders at the Gaussian latitudes, on the grid, shaped and typed `like`."""
        rows = _carry(self.from_gaussian, waves, vector).transpose(2, 1, 0)
        fields = irfft(rows, n=self.shape[1], norm="forward").reshape(2, *like.shape)
        first, second = fields.astype(like.dtype, copy=False)
        return first, second

    def legendre(self) -> Iterator[tuple[slice, Array]]:
        """Blocks of orders, each with its Legendre functions (order, degree from the first order on, latitude)."""
        step = max(1, LEGENDRE_BLOCK_BYTES // (8 * self.shape[0] * (self.truncation + 1)))
        for first in range(0, self.truncation, step):
            orders = slice(first, min(first + step, self.truncation))
            yield orders, _legendre(self.shape[0], self.truncation, orders.start, orders.stop)


def _sphere(latitude: ArrayLike, longitude: ArrayLike) -> _Sphere:
    if not is_spectral_grid(latitude, longitude):
        raise UserError(
            f"Spherical harmonics need a global grid, and this one has {np.size(latitude)} latitudes "
            f"{np.min(latitude):g} to {np.max(latitude):g} and {np.size(longitude)} longitudes {np.min(longitude):g} "
            f"to {np.max(longitude):g}. Use finite_difference_vorticity_divergence for a region."
        )
    return _sphere_of(np.asarray(latitude, float).tobytes(), np.size(longitude))


@lru_cache(maxsize=4)
def _sphere_of(latitude: bytes, n_lon: int) -> _Sphere:
    colatitude = np.radians(90 - np.frombuffer(latitude))
    nodes, weights = gaussian_nodes(len(colatitude))
    gaussian = np.arccos(nodes)
    has_poles = bool(np.sin(colatitude).min() < 1e-6)
    return _Sphere(
        shape=(len(colatitude), n_lon),
        truncation=min(len(colatitude) - has_poles, (n_lon + 1) // 2),
        cosine=np.sin(gaussian)[:, None],
        weights=2 * np.pi * weights[:, None],
        to_gaussian=(_even(colatitude, gaussian), _odd(colatitude, gaussian)),
        from_gaussian=(_even(gaussian, colatitude), _odd(gaussian, colatitude)),
    )


def _even(source: Array, target: Array) -> Array:
    """The matrix that takes a cosine series known at `source` colatitudes to `target` ones."""
    waves = np.arange(len(source))[:, None]
    return np.linalg.solve(np.cos(waves * source), np.cos(waves * target)).T


def _odd(source: Array, target: Array) -> Array:
    """The same for a sine series, to which rows at the poles say nothing."""
    inner = np.sin(source) > 1e-6
    waves = np.arange(1, inner.sum() + 1)[:, None]
    matrix = np.zeros((len(target), len(source)))
    matrix[:, inner] = np.linalg.solve(np.sin(waves * source[inner]), np.sin(waves * target)).T
    return matrix


def _carry(matrices: Fields, waves: Array, vector: bool) -> Array:
    # Crossing a pole turns longitude by half a circle, (-1)^m, and reverses both components of a vector.
    carried = np.empty_like(waves)
    for parity in (0, 1):
        carried[parity::2] = _product(matrices[parity ^ vector], waves[parity::2])
    return carried


def _product(matrix: Array, waves: Array) -> Array:
    """Real matrix (..., i, j) times complex (..., j, field), without making the matrix complex."""
    return np.matmul(matrix, np.ascontiguousarray(waves).view(float)).view(complex)


@lru_cache(maxsize=LEGENDRE_BLOCKS_KEPT)
def _legendre(n_lat: int, truncation: int, first: int, stop: int) -> Array:
    """Orthonormal Legendre functions of orders [first, stop) and degrees [first, truncation] at Gaussian latitudes."""
    import torch
    from torch_harmonics.legendre import legpoly

    nodes = gaussian_nodes(n_lat)[0]
    return legpoly(stop, truncation + 1, torch.from_numpy(nodes), csphase=False, mmin=first, lmin=first).numpy()


def _order_degree_eps(orders: slice, truncation: int) -> tuple[Array, Array, Array]:
    """Order m (m, 1, 1), degree l (l, 1) and eps = sqrt((l^2 - m^2) / (4 l^2 - 1)) (m, l, 1) of a Legendre block."""
    m = np.arange(orders.start, orders.stop)[:, None, None]
    degree = np.arange(orders.start, truncation + 1)[:, None]
    return m, degree, np.sqrt(np.maximum(degree**2 - m**2, 0) / np.abs(4 * degree**2 - 1))


def _below(spectrum: Array) -> Array:
    """At degree l, what stands at l - 1."""
    return np.concatenate([np.zeros_like(spectrum[:, :1]), spectrum[:, :-1]], axis=1)


def _above(spectrum: Array) -> Array:
    """At degree l, what stands at l + 1."""
    return np.concatenate([spectrum[:, 1:], np.zeros_like(spectrum[:, :1])], axis=1)
