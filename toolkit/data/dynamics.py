"""Vorticity and divergence from winds on the sphere, winds from them, and smoothing in kilometres.

In longitude lambda and latitude phi, on a sphere of radius a:
vorticity = (dv/dlambda - d(u cos phi)/dphi) / (a cos phi), divergence = (du/dlambda + d(v cos phi)/dphi) / (a cos phi).
Winds are in m s-1, vorticity and divergence in s-1, fields have shape (..., latitude, longitude), coordinates are in
degrees. Latitudes run either way, longitudes eastward. The radius is `toolkit.geodesy.EARTH_RADIUS_KM`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, rfft
from scipy.special import roots_legendre

from toolkit.errors import UserError
from toolkit.geodesy import EARTH_RADIUS_KM, KM_PER_DEGREE

Array = NDArray[Any]
Fields = tuple[Array, Array]
RADIUS_M = EARTH_RADIUS_KM * 1000
POLE = 90 - 1e-6
LEGENDRE_BLOCK_BYTES = 128_000_000
LEGENDRE_BLOCKS_KEPT = 4


class Derived(NamedTuple):
    """Vorticity and divergence, s-1, and a sentence that says how they were found."""

    vorticity: Array
    divergence: Array
    method: str


def derive_vorticity_divergence(u: ArrayLike, v: ArrayLike, latitude: ArrayLike, longitude: ArrayLike) -> Derived:
    """Return vorticity and divergence of the wind by the method that `derivation` names for these data."""
    complete = bool(np.isfinite(u).all() and np.isfinite(v).all())
    method, sentence = derivation(latitude, longitude, complete)
    return Derived(*method(u, v, latitude, longitude), sentence)


def derivation(
    latitude: ArrayLike, longitude: ArrayLike, complete: bool
) -> tuple[Callable[[ArrayLike, ArrayLike, ArrayLike, ArrayLike], Fields], str]:
    """Return the function that suits the data, and the sentence that says so.

    Spherical harmonics where the winds are `complete` (no gap) on a global grid, since they are exact up to the
    grid's own resolution; finite differences elsewhere, since harmonics would spread a gap over the whole globe.
    """
    said = "vorticity and divergence are derived from the winds by"
    if not complete:
        return finite_difference_vorticity_divergence, f"{said} finite differences, since the winds have gaps"
    if not is_spectral_grid(latitude, longitude):
        return finite_difference_vorticity_divergence, f"{said} finite differences, since the grid is not a global one"
    return spectral_vorticity_divergence, f"{said} spherical harmonics"


def is_spectral_grid(latitude: ArrayLike, longitude: ArrayLike) -> bool:
    """Say whether harmonics can be used: evenly spaced longitudes all round the globe, on latitudes that are evenly
    spaced with both poles, evenly spaced and half a step off them, or Gaussian.
    """
    lat, lon = np.sort(np.asarray(latitude, float)), np.asarray(longitude, float)
    if len(lat) < 3 or len(lon) < 4 or not np.allclose(np.diff(lon), 360 / len(lon), atol=0.36 / len(lon), rtol=0):
        return False
    half_step = 90 / len(lat)
    off_poles = np.linspace(half_step - 90, 90 - half_step, len(lat))
    gaussian = np.degrees(np.arcsin(_gaussian(len(lat))[0]))
    grids = (np.linspace(-90, 90, len(lat)), off_poles, gaussian)
    return any(np.allclose(lat, grid, atol=2e-3 * half_step, rtol=0) for grid in grids)


def spectral_vorticity_divergence(u: ArrayLike, v: ArrayLike, latitude: ArrayLike, longitude: ArrayLike) -> Fields:
    """Return (vorticity, divergence) of the wind by spherical harmonics.

    Triangular truncation at the highest degree that the grid resolves without ambiguity: all degrees below half the
    number of longitudes and below the number of latitudes (less one where the poles are rows). The grid must be one
    that `is_spectral_grid` accepts, else UserError.
    """
    sphere, (u, v) = _sphere(latitude, longitude), _pair(u, v)
    wind = sphere.orders(u, v, vector=True) / sphere.cosine
    result = np.zeros_like(wind)
    for orders, legendre in sphere.legendre():
        m, degree, eps = _order_degree_eps(orders, sphere.truncation)
        u_l, v_l = np.split(_product(legendre, wind[orders] * sphere.weights), 2, axis=-1)
        # with (1 - mu^2) dP_l/dmu = (l + 1) eps_l P_(l-1) - l eps_(l+1) P_(l+1)
        vorticity = 1j * m * v_l + (degree + 1) * eps * _below(u_l) - degree * _above(eps) * _above(u_l)
        divergence = 1j * m * u_l - (degree + 1) * eps * _below(v_l) + degree * _above(eps) * _above(v_l)
        spectrum = np.concatenate([vorticity, divergence], axis=-1)[:, :-1] / RADIUS_M
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
    sphere, (vorticity, divergence) = _sphere(latitude, longitude), _pair(vorticity, divergence)
    sources = sphere.orders(vorticity, divergence, vector=False)
    result = np.zeros_like(sources)
    for orders, legendre in sphere.legendre():
        m, degree, eps = _order_degree_eps(orders, sphere.truncation)
        inverse_laplacian = -(RADIUS_M**2) / np.maximum(degree * (degree + 1), 1)
        inverse_laplacian[-1] = 0
        spectrum = _product(legendre, sources[orders] * sphere.weights) * inverse_laplacian
        psi, chi = np.split(spectrum, 2, axis=-1)
        u_l = 1j * m * chi - (degree + 2) * _above(eps) * _above(psi) + (degree - 1) * eps * _below(psi)
        v_l = 1j * m * psi + (degree + 2) * _above(eps) * _above(chi) - (degree - 1) * eps * _below(chi)
        result[orders] = _product(legendre.swapaxes(1, 2), np.concatenate([u_l, v_l], axis=-1) / RADIUS_M)
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
    nodes, weights = _gaussian(len(colatitude))
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


@lru_cache(maxsize=4)
def _gaussian(n_lat: int) -> Fields:
    """Sines of the Gaussian latitudes, south to north, and their weights."""
    nodes, weights = roots_legendre(n_lat)
    return nodes, weights


@lru_cache(maxsize=LEGENDRE_BLOCKS_KEPT)
def _legendre(n_lat: int, truncation: int, first: int, stop: int) -> Array:
    """Orthonormal Legendre functions of orders [first, stop) and degrees [first, truncation] at Gaussian latitudes."""
    import torch
    from torch_harmonics.legendre import legpoly

    nodes = _gaussian(n_lat)[0]
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


def _pair(first: ArrayLike, second: ArrayLike) -> Fields:
    """Two arrays of one shape and one floating type, single precision at least."""
    a, b = np.broadcast_arrays(first, second)
    kind = np.result_type(np.float32, a, b)
    return a.astype(kind, copy=False), b.astype(kind, copy=False)


# Finite differences --------------------------------------------------------------------------------------------------


def finite_difference_vorticity_divergence(
    u: ArrayLike, v: ArrayLike, latitude: ArrayLike, longitude: ArrayLike
) -> Fields:
    """Return (vorticity, divergence) of the wind by centred differences, on any latitude-longitude grid.

    Fourth order where two neighbours are known on each side, second order where one is, one-sided second order at the
    edges of a region. NaN where a neighbour or the point itself is missing. Longitude wraps on a grid that goes round
    the globe, and there differences reach across the poles; a row at a pole gets the circulation and the outflow
    along the row beside it, over the area which that row encloses.
    """
    u, v = _pair(u, v)
    lat, (lon, turn, wraps) = np.asarray(latitude, float), _unrolled(longitude)
    if min(u.shape[-2:]) < 3:
        raise UserError(f"Finite differences need 3 latitudes and 3 longitudes or more, not {u.shape[-2:]}.")
    cosine = np.cos(np.radians(lat))[:, None]
    wind = np.roll(np.stack([u, v]).astype(float), -turn, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        du_dlon, dv_dlon = _slope(*_extended_zonally(wind, lon, wraps))
        du_dlat, dv_dlat = _slope(*_extended_meridionally(wind * cosine, lat, wraps)).swapaxes(-1, -2)
        result = np.stack([dv_dlon - du_dlat, du_dlon + dv_dlat]) / (RADIUS_M * cosine)
        for row in np.flatnonzero(np.abs(lat) > POLE):
            result[..., row, :] = _at_pole(wind, lat, int(row)) if wraps else np.nan
    result[:, np.isnan(wind).any(axis=0)] = np.nan
    vorticity, divergence = np.roll(result, turn, axis=-1).astype(u.dtype, copy=False)
    return vorticity, divergence


def _at_pole(wind: Array, latitude: Array, row: int) -> Array:
    """Vorticity and divergence of the cap inside the row beside the pole, (2, ..., 1)."""
    beside = 1 if row == 0 else row - 1
    phi = np.radians(latitude[beside])
    edge_over_area = np.cos(phi) / (RADIUS_M * (1 - np.abs(np.sin(phi))))
    u, v = np.sign(latitude[row]) * edge_over_area * wind[..., beside, :].mean(axis=-1, keepdims=True)
    return np.stack([u, -v])


def _unrolled(longitude: ArrayLike) -> tuple[Array, int, bool]:
    """Longitudes that start east of the widest gap and run on past 360, the turn to get there, and whether the grid
    goes round the globe.
    """
    lon = np.asarray(longitude, float)
    gaps = np.diff(lon, append=lon[0] + 360)
    turn = (int(np.argmax(gaps)) + 1) % len(lon)
    return np.unwrap(np.roll(lon, -turn), period=360), turn, bool(gaps.max() < 1.5 * np.median(gaps))


def _extended_zonally(fields: Array, longitude: Array, wraps: bool) -> Fields:
    """Two more columns on each side, of fields and longitudes: from across the seam, or NaN."""
    sides = [fields[..., -2:], fields[..., :2]] if wraps else [np.full_like(fields[..., :2], np.nan)] * 2
    ends = [longitude[-2:] - 360, longitude[:2] + 360] if wraps else [np.full(2, np.nan)] * 2
    return np.concatenate([sides[0], fields, sides[1]], axis=-1), np.concatenate([ends[0], longitude, ends[1]])


def _extended_meridionally(fields: Array, latitude: Array, wraps: bool) -> Fields:
    """Two more rows on each side, of scalar fields and latitudes, latitude last: from across the pole, or NaN."""
    sides, ends = [], []
    for rows in (slice(None, None, 1), slice(None, None, -1)):
        inward = latitude[rows]
        step, half = abs(inward[1] - inward[0]), fields.shape[-1] // 2
        nearest = 1 if abs(inward[0]) > POLE else 0
        if wraps and 2 * half == fields.shape[-1] and abs(inward[0]) + step > 90:
            beyond = fields[..., rows, :][..., nearest : nearest + 2, :]
            side = np.roll(beyond, half, axis=-1)
            end = np.sign(inward[0]) * 180 - inward[nearest : nearest + 2]
        else:
            side, end = np.full_like(fields[..., :2, :], np.nan), np.full(2, np.nan)
        sides.append(side)
        ends.append(end)
    before, after = sides[0][..., ::-1, :], sides[1]
    rows_last = np.concatenate([before, fields, after], axis=-2).swapaxes(-1, -2)
    return rows_last, np.concatenate([ends[0][::-1], latitude, ends[1]])


def _slope(fields: Array, degrees: Array) -> Array:
    """Slope of the fields per radian along the last axis, which holds two more points on each side than the result."""

    def difference(offsets: tuple[int, ...], rows: slice = slice(None)) -> Array:
        places = np.arange(2, len(degrees) - 2)[rows, None] + offsets
        weights = _difference_weights(np.radians(degrees[places] - degrees[places[:, :1] - offsets[0]]))
        values = [fields[..., place[0] : place[-1] + 1] for place in places.T]
        slope = weights[:, 0] * values[0]
        for k in range(1, len(values)):
            slope += weights[:, k] * values[k]
        return slope

    slope = difference((-2, -1, 0, 1, 2))
    unknown = np.isnan(slope)
    if unknown.any():
        slope = np.where(unknown, difference((-1, 0, 1)), slope)
    if np.isnan(degrees[1]):
        slope[..., :1] = difference((0, 1, 2), slice(0, 1))
    if np.isnan(degrees[-2]):
        slope[..., -1:] = difference((-2, -1, 0), slice(-1, None))
    return slope


def _difference_weights(steps: Array) -> Array:
    """Weights (point, k) with which values at distances `steps` (point, k) give the slope at distance 0, exact for
    polynomials up to degree k - 1.
    """
    unit = np.nanmax(np.abs(steps))
    powers = (steps / unit)[:, None, :] ** np.arange(steps.shape[1])[:, None]
    first = np.zeros((*steps.shape, 1))
    first[:, 1] = 1
    return np.linalg.solve(powers, first)[..., 0] / unit


# Smoothing -----------------------------------------------------------------------------------------------------------


def smooth_km(field: ArrayLike, latitude: ArrayLike, longitude: ArrayLike, radius_km: float) -> Array:
    """Return the Gaussian-weighted mean of a field around each point, with standard deviation `radius_km`.

    Rows are averaged along meridians, weighted by area, then each along its own parallel, where a degree is
    cos(latitude) as long as on the equator; the two steps make a round kernel at the poles and wherever cos(latitude)
    changes little within `radius_km`. Missing (NaN) points take no part and stay missing. Longitude wraps on a grid
    that goes round the globe.
    """
    values = np.asarray(field)
    lat, (lon, turn, wraps) = np.asarray(latitude, float), _unrolled(longitude)
    known = ~np.isnan(values)
    n_lon = len(lon)
    period = n_lon if wraps else 2 * n_lon
    steps = np.arange(period) * (lon[-1] - lon[0]) / (n_lon - 1)
    reach_km = np.minimum(steps, steps[1] * period - steps) * KM_PER_DEGREE * np.cos(np.radians(lat))[:, None]
    along_parallel = rfft(np.exp(-((reach_km / radius_km) ** 2) / 2))
    edges = np.concatenate([[1.5 * lat[0] - lat[1] / 2], (lat[1:] + lat[:-1]) / 2, [1.5 * lat[-1] - lat[-2] / 2]])
    area = np.abs(np.diff(np.sin(np.radians(np.clip(edges, -90, 90)))))
    along_meridian = np.exp(-((np.subtract.outer(lat, lat) * KM_PER_DEGREE / radius_km) ** 2) / 2) * area

    def weighted_sum(x: Array) -> Array:
        columns = np.roll(along_meridian @ x, -turn, axis=-1)
        return np.roll(irfft(rfft(columns, n=period) * along_parallel, n=period)[..., :n_lon], turn, axis=-1)

    weight = weighted_sum(known.astype(float)) if not known.all() else weighted_sum(np.ones(values.shape[-2:]))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = weighted_sum(np.where(known, values, 0)) / weight
    return np.where(known, mean, np.nan).astype(np.result_type(np.float32, values), copy=False)
