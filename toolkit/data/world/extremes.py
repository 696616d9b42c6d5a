"""Where extreme events are in the simulated flow, each kind by an objective definition on fields without error.

`filament`: after Guan and Waliser (2015, doi:10.1002/2015JD024257), a long narrow band of strong water transport; here
    its poleward part, since the simulated jet carries water round the globe at all times, and for a day at least.
`blocking`: after Tibaldi and Molteni (1990, doi:10.3402/tellusa.v42i3.11882) in the form for every latitude of Davini
    et al. (2012, doi:10.1175/JCLI-D-12-00032.1): easterlies with westerlies poleward of them, for three days, here
    poleward of 40 degrees, where cyclones of the tropics seldom cause them.
`heat`: after Perkins and Alexander (2013, doi:10.1175/JCLI-D-12-00383.1), a run of days above a percentile of the
    place. The layer has no temperature: its geopotential stands for the warmth of the air, as a thickness does.

The simulated climate is the same at all longitudes, so that the percentiles of a place are those of its latitude over
the season. Outside the latitudes that a kind is defined in, none is found.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_opening

from toolkit.data.world.climate import DAY, HOUR
from toolkit.data.world.regions import cell_areas_km2, connected_regions
from toolkit.data.world.season import HOURS_BETWEEN_FRAMES
from toolkit.data.world.tracer import CoarseFields, advected, departure
from toolkit.geodesy import KM_PER_DEGREE, distance_km

GRAVITY = 9.80665
FRAMES_A_DAY = 24 // HOURS_BETWEEN_FRAMES
FILAMENT_PERCENTILE, FILAMENT_TRANSPORT = 90, 100.0
FILAMENT_LENGTH_KM, FILAMENT_RATIO, FILAMENT_DAYS = 2000.0, 2.0, 1
FILAMENT_LATITUDES, BLOCKING_LATITUDES, HEAT_LATITUDES = (22, 70), (40, 75), (25, 65)
MOISTURE_TIME, MOISTURE_SPIN_UP_DAYS = 4 * DAY, 6
BLOCKING_SPAN, BLOCKING_WESTERLY, BLOCKING_DAYS = 15.0, -5.0, 3
"""Degrees of latitude to either side; the poleward gradient of height, m per degree, that is westerly enough: half of
the -10 used at 500 hPa, since the simulated layer has the winds of 850 hPa."""
HEAT_PERCENTILE, HEAT_DAYS = 95, 2


@dataclass(frozen=True, eq=False)
class Found:
    """Where a kind of event is, its strength there (both time, lat, lon), in which units, and how long it must last."""

    kind: str
    mask: np.ndarray
    strength: np.ndarray
    units: str
    least_days: int


def column_water(flow: CoarseFields) -> np.ndarray:
    """Return the water in the column of air, kg m-2, (time, lat, lon): carried by the wind, drawn to a climate.

    The climate is 46 at the equator and 4 at the poles, 4 + 42 cos(latitude)^3; evaporation and rain bring the air
    back to it in four days.
    """
    climate = 4 + 42 * np.cos(np.radians(flow.latitude))[:, None] ** 3 + 0 * flow.longitude
    kept = np.exp(-HOURS_BETWEEN_FRAMES * HOUR / MOISTURE_TIME)
    intervals = len(flow.wind) - 1
    spin_up = min(MOISTURE_SPIN_UP_DAYS * FRAMES_A_DAY, intervals)
    water, history = climate, []
    for interval in [*range(spin_up), *range(intervals)]:
        history.append(water)
        came_from = departure(flow.wind[interval : interval + 2].mean(0), HOURS_BETWEEN_FRAMES * HOUR)
        water = climate + (advected(water, came_from) - climate) * kept
    return np.stack([*history[spin_up:], water])


def filaments(flow: CoarseFields) -> Found:
    """Poleward transport over its 90th percentile and 100 kg m-1 s-1, 2000 km long, twice as long as wide; a day."""
    transport = column_water(flow) * flow.wind[:, 1] * np.sign(flow.latitude)[:, None]
    usual = np.percentile(transport, FILAMENT_PERCENTILE, axis=(0, 2), keepdims=True)
    strong = (transport > np.maximum(usual, FILAMENT_TRANSPORT)) & _between(flow, FILAMENT_LATITUDES)
    mask = np.stack([_elongated(frame, flow) for frame in strong])
    return Found("filament", mask, transport, "kg m-1 s-1", FILAMENT_DAYS)


def _elongated(mask: np.ndarray, flow: CoarseFields) -> np.ndarray:
    """Keep the long and narrow regions of a frame (lat, lon): by the farthest two cells, and area over that length."""
    labels, areas = connected_regions(mask[None])[0], cell_areas_km2(flow.latitude)[:, 0]
    cell = KM_PER_DEGREE * abs(flow.latitude[1] - flow.latitude[0])
    kept = np.zeros_like(mask)
    worth_measuring = np.bincount(labels.ravel())[1:] >= 5  # fewer cells reach no 2000 km, even corner to corner
    for number in np.flatnonzero(worth_measuring) + 1:
        rows, columns = np.nonzero(labels == number)
        lat, lon = flow.latitude[rows], flow.longitude[columns]
        length = distance_km(lat[:, None], lon[:, None], lat, lon).max() + cell
        width = areas[rows].sum() / length
        kept[rows, columns] = length >= max(FILAMENT_LENGTH_KM, FILAMENT_RATIO * width)
    return kept


def blocks(flow: CoarseFields) -> Found:
    """Height falls equatorward over 15 degrees, and poleward by over 5 m per degree: flow reversed; 3 days."""
    height = flow.geopotential / GRAVITY
    north = _height_gradients(height, flow.latitude)
    south = _height_gradients(height[:, ::-1], flow.latitude)[:, :, ::-1]
    equatorward, poleward = np.where(flow.latitude[:, None] > 0, north, south)
    mask = (equatorward > 0) & (poleward < BLOCKING_WESTERLY) & _between(flow, BLOCKING_LATITUDES)
    return Found("blocking", mask, equatorward, "m degree-1", BLOCKING_DAYS)


def _height_gradients(height: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """Return the northward gradients (2, time, lat, lon), m per degree, to the south and the north of each point."""
    spacing = abs(latitude[1] - latitude[0])
    rows = round(BLOCKING_SPAN / spacing)
    gradients = np.zeros((2, *height.shape))
    gradients[0, :, :-rows] = height[:, :-rows] - height[:, rows:]
    gradients[1, :, rows:] = height[:, :-rows] - height[:, rows:]
    return gradients / (rows * spacing)


def heat(flow: CoarseFields) -> Found:
    """Geopotential above the 95th percentile of its latitude, at the same place without a break for 2 days."""
    usual = np.percentile(flow.geopotential, HEAT_PERCENTILE, axis=(0, 2), keepdims=True)
    hot = (flow.geopotential > usual) & _between(flow, HEAT_LATITUDES)
    lasting = binary_opening(hot, np.ones((HEAT_DAYS * FRAMES_A_DAY, 1, 1)))
    departure_from_mean = flow.geopotential - flow.geopotential.mean((0, 2), keepdims=True)
    return Found("heat", lasting, departure_from_mean, "m2 s-2", HEAT_DAYS)


def _between(flow: CoarseFields, latitudes: tuple[float, float]) -> np.ndarray:
    absolute = np.abs(flow.latitude)[:, None]
    return (absolute >= latitudes[0]) & (absolute <= latitudes[1])
