"""Distances, displacements and longitudes on the sphere, in degrees and kilometres."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

EARTH_RADIUS_KM = 6371.0
EARTH_RADIUS_M = EARTH_RADIUS_KM * 1000
KM_PER_DEGREE = EARTH_RADIUS_KM * np.pi / 180


def distance_km(lat1: ArrayLike, lon1: ArrayLike, lat2: ArrayLike, lon2: ArrayLike) -> NDArray[np.float64]:
    """Return the great-circle distance by the haversine formula, km; degrees in, any broadcastable shapes."""
    phi1, phi2 = np.radians(lat1), np.radians(lat2)
    half_dphi, half_dlambda = (phi2 - phi1) / 2, np.radians(np.subtract(lon2, lon1)) / 2
    h = np.sin(half_dphi) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin(half_dlambda) ** 2
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(h, 0, 1))))


def wrapped_longitude(lon: ArrayLike) -> NDArray[np.float64]:
    """Return longitudes in [0, 360)."""
    # The remainder of a tiny negative number is rounded to 360 itself, hence twice.
    return np.asarray(np.mod(np.mod(lon, 360.0), 360.0))


def longitude_difference(lon2: ArrayLike, lon1: ArrayLike) -> NDArray[np.float64]:
    """Return lon2 - lon1 the short way round, in [-180, 180) degrees."""
    return np.asarray(wrapped_longitude(np.subtract(lon2, lon1) + 180.0) - 180.0)


def displacement_km(
    lat1: ArrayLike, lon1: ArrayLike, lat2: ArrayLike, lon2: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (east, north) km from point 1 to point 2, east measured along the parallel halfway between them."""
    north = np.subtract(lat2, lat1) * KM_PER_DEGREE
    halfway = np.radians(np.add(lat1, lat2) / 2)
    return longitude_difference(lon2, lon1) * KM_PER_DEGREE * np.cos(halfway), np.asarray(north)


def displaced(
    lat: ArrayLike, lon: ArrayLike, east_km: ArrayLike, north_km: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the (lat, lon in [0, 360)) that lies (east, north) km away: the inverse of `displacement_km`."""
    lat2 = np.clip(np.add(lat, np.divide(north_km, KM_PER_DEGREE)), -89.9, 89.9)
    halfway = np.radians(np.add(lat, lat2) / 2)
    return np.asarray(lat2), wrapped_longitude(lon + np.divide(east_km, KM_PER_DEGREE * np.cos(halfway)))
