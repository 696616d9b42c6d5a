"""Connected regions on a regular grid that goes round the globe, and the boxes around them."""

import numpy as np
from scipy.ndimage import label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from toolkit.geodesy import KM_PER_DEGREE


def connected_regions(mask: np.ndarray) -> np.ndarray:
    """Number the connected regions of a mask (time, lat, lon) from 1; 0 is outside. Same shape.

    Cells are connected to all that touch them, corners included, in space and from one time to the next; the last
    longitude touches the first.
    """
    round_the_globe = np.concatenate([mask, mask[..., :1]], -1)
    labels, count = label(round_the_globe, np.ones((3, 3, 3)))
    first, last = labels[..., 0], labels[..., -1]
    same = first > 0
    pairs = coo_array((np.ones(same.sum()), (first[same], last[same])), shape=(count + 1, count + 1))
    _, merged = connected_components(pairs, directed=False)
    return np.asarray(merged)[labels[..., :-1]]


def cell_areas_km2(latitude: np.ndarray) -> np.ndarray:
    """Return the area of one cell of a regular grid as wide as it is high at each of its latitudes, km2: (lat, 1)."""
    side = KM_PER_DEGREE * abs(latitude[1] - latitude[0])
    return np.asarray(side**2 * np.cos(np.radians(latitude)))[:, None]


def box(cells: np.ndarray, latitude: np.ndarray, longitude: np.ndarray) -> tuple[float, float, float, float]:
    """Return (lat min, lat max, lon min, lon max) of the cells (lat, lon) of a region, their edges included, degrees.

    The box is the narrowest in longitude. Its western edge is in [-180, 180); its eastern edge is east of that, so
    that it is above 180 where the box crosses that meridian.
    """
    rows, columns = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
    half = abs(latitude[1] - latitude[0]) / 2
    south, north = latitude[rows].min() - half, latitude[rows].max() + half
    gaps = np.diff(columns, append=columns[0] + len(longitude))
    west = columns[(np.argmax(gaps) + 1) % len(columns)]
    width = (len(longitude) - gaps.max() + 1) * 2 * half
    western = (longitude[west] - half + 180) % 360 - 180
    return max(south, -90.0), min(north, 90.0), western, western + min(width, 360.0)
