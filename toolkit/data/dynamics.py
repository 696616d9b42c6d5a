"""Vorticity and divergence of the wind on the sphere: which derivation suits the data.

In longitude lambda and latitude phi, on a sphere of radius a:
vorticity = (dv/dlambda - d(u cos phi)/dphi) / (a cos phi), divergence = (du/dlambda + d(v cos phi)/dphi) / (a cos phi).
Winds are in m s-1, vorticity and divergence in s-1, fields have shape (..., latitude, longitude), coordinates are in
degrees. Latitudes run either way, longitudes eastward. The radius is `toolkit.geodesy.EARTH_RADIUS_M`.
"""

from collections.abc import Callable

from numpy.typing import ArrayLike

from toolkit.data.differences import finite_difference_vorticity_divergence
from toolkit.data.grids import Fields, is_spectral_grid
from toolkit.data.harmonics import spectral_vorticity_divergence


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
