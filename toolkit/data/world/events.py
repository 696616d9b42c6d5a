"""Extreme events of a simulated season, each kind by an objective definition on fields without observation error.

`tropical_cyclone`: a best-track storm while its wind is at least 34 kt (tropical storm, hurricane; not extratropical).
`filament`: after Guan and Waliser (2015, doi:10.1002/2015JD024257), a long narrow band of strong water transport; here
    its poleward part, since the simulated jet carries water round the globe at all times, and for a day at least.
`blocking`: after Tibaldi and Molteni (1990, doi:10.3402/tellusa.v42i3.11882) in the form for every latitude of Davini
    et al. (2012, doi:10.1175/JCLI-D-12-00032.1): easterlies with westerlies poleward of them, for three days, here
    poleward of 40 degrees, where cyclones of the tropics seldom cause them.
`heat`: after Perkins and Alexander (2013, doi:10.1175/JCLI-D-12-00383.1), a run of days above a percentile of the
    place. The layer has no temperature: its geopotential stands for the warmth of the air, as a thickness does.

The simulated climate is the same at all longitudes, so that the percentiles of a place are those of its latitude over
the season. Cells are joined to regions, and regions to events, where they touch in space or from one frame to the next.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import binary_opening, find_objects

from toolkit.data.world.best_track import best_track_of
from toolkit.data.world.climate import DAY, HOUR
from toolkit.data.world.regions import box, cell_areas_km2, connected_regions
from toolkit.data.world.season import HOURS_BETWEEN_FRAMES, Plan, Season
from toolkit.data.world.tracer import CoarseFields, advected, coarse_fields, departure
from toolkit.geodesy import KM_PER_DEGREE, distance_km, longitude_difference

KINDS = ("tropical_cyclone", "filament", "blocking", "heat")
NUMBERS = ("latitude_min", "latitude_max", "longitude_min", "longitude_max", "peak_value")
COLUMNS = ("event", "kind", "start", "end", *NUMBERS, "units")
STORM_WIND_KT, STORM_RADIUS_KM = 34, 500.0
GRAVITY = 9.80665
FRAMES_A_DAY = 24 // HOURS_BETWEEN_FRAMES
SMALLEST_AREA_KM2 = 3e5
"""A filament, block or heat event covers at least this once in its life: some four cells of the coarse grid."""
FILAMENT_PERCENTILE, FILAMENT_TRANSPORT = 90, 100.0
FILAMENT_LENGTH_KM, FILAMENT_RATIO, FILAMENT_DAYS = 2000.0, 2.0, 1
FILAMENT_LATITUDES, BLOCKING_LATITUDES, HEAT_LATITUDES = (22, 70), (40, 75), (25, 65)
MOISTURE_TIME, MOISTURE_SPIN_UP_DAYS = 4 * DAY, 6
BLOCKING_SPAN, BLOCKING_WESTERLY, BLOCKING_DAYS = 15.0, -5.0, 3
"""Degrees of latitude to either side; the poleward gradient of height, m per degree, that is westerly enough: half of
the -10 used at 500 hPa, since the simulated layer has the winds of 850 hPa."""
HEAT_PERCENTILE, HEAT_DAYS = 95, 2


@dataclass(frozen=True)
class _Found:
    """Where a kind of event is, its strength there (both time, lat, lon), in which units, and how long it must last."""

    kind: str
    mask: np.ndarray
    strength: np.ndarray
    units: str
    least_days: int


def event_table(season: Season, plan: Plan, start: np.datetime64) -> pd.DataFrame:
    """Return the events of a season, one row for each event and day (UTC), so that the box goes with what moves.

    Columns: `event` (the same for all days of an event; a cyclone's is its storm in the best track), `kind`; `start`,
    `end` (first and last frame of that day, UTC); `latitude_min`, `latitude_max`, `longitude_min`, `longitude_max`
    (degrees; the western edge in [-180, 180), the eastern one east of it, so above 180 across that meridian);
    `peak_value` and its `units`: wind (kt), water transport (kg m-1 s-1), reversed height gradient (m per degree), or
    departure of the geopotential from the mean of its latitude (m2 s-2). `start` is the time of the first frame.
    """
    flow = coarse_fields(season, plan)
    found = (_filaments(flow), _blocks(flow), _heat(flow))
    rows = _cyclone_rows(season)
    for kind in found:
        rows += _region_rows(kind, flow, season.year, start)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"start": "datetime64[s]", "end": "datetime64[s]"}).round(dict.fromkeys(NUMBERS, 2))


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


def _filaments(flow: CoarseFields) -> _Found:
    """Poleward transport over its 90th percentile and 100 kg m-1 s-1, 2000 km long, twice as long as wide; a day."""
    transport = column_water(flow) * flow.wind[:, 1] * np.sign(flow.latitude)[:, None]
    usual = np.percentile(transport, FILAMENT_PERCENTILE, axis=(0, 2), keepdims=True)
    strong = (transport > np.maximum(usual, FILAMENT_TRANSPORT)) & _between(flow, FILAMENT_LATITUDES)
    mask = np.stack([_elongated(frame, flow) for frame in strong])
    return _Found("filament", mask, transport, "kg m-1 s-1", FILAMENT_DAYS)


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


def _blocks(flow: CoarseFields) -> _Found:
    """Height falls equatorward over 15 degrees, and poleward by over 5 m per degree: flow reversed; 3 days."""
    height = flow.geopotential / GRAVITY
    north = _height_gradients(height, flow.latitude)
    south = _height_gradients(height[:, ::-1], flow.latitude)[:, :, ::-1]
    equatorward, poleward = np.where(flow.latitude[:, None] > 0, north, south)
    mask = (equatorward > 0) & (poleward < BLOCKING_WESTERLY) & _between(flow, BLOCKING_LATITUDES)
    return _Found("blocking", mask, equatorward, "m degree-1", BLOCKING_DAYS)


def _height_gradients(height: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """Return the northward gradients (2, time, lat, lon), m per degree, to the south and the north of each point."""
    spacing = abs(latitude[1] - latitude[0])
    rows = round(BLOCKING_SPAN / spacing)
    gradients = np.zeros((2, *height.shape))
    gradients[0, :, :-rows] = height[:, :-rows] - height[:, rows:]
    gradients[1, :, rows:] = height[:, :-rows] - height[:, rows:]
    return gradients / (rows * spacing)


def _heat(flow: CoarseFields) -> _Found:
    """Geopotential above the 95th percentile of its latitude, at the same place without a break for 2 days."""
    usual = np.percentile(flow.geopotential, HEAT_PERCENTILE, axis=(0, 2), keepdims=True)
    hot = (flow.geopotential > usual) & _between(flow, HEAT_LATITUDES)
    lasting = binary_opening(hot, np.ones((HEAT_DAYS * FRAMES_A_DAY, 1, 1)))
    departure_from_mean = flow.geopotential - flow.geopotential.mean((0, 2), keepdims=True)
    return _Found("heat", lasting, departure_from_mean, "m2 s-2", HEAT_DAYS)


def _between(flow: CoarseFields, latitudes: tuple[float, float]) -> np.ndarray:
    absolute = np.abs(flow.latitude)[:, None]
    return (absolute >= latitudes[0]) & (absolute <= latitudes[1])


def _region_rows(found: _Found, flow: CoarseFields, year: int, start: np.datetime64) -> list[tuple]:
    """Join a kind's cells to events, leave out the short and the small, and describe each day of the others."""
    labels = connected_regions(found.mask)
    areas = cell_areas_km2(flow.latitude)
    rows, number = [], 0
    for index, part in enumerate(find_objects(labels), start=1):
        inside = labels[part[0]] == index
        large = (inside * areas).sum((1, 2)).max() >= SMALLEST_AREA_KM2
        if len(inside) < found.least_days * FRAMES_A_DAY or not large:
            continue
        number += 1
        times = start + np.arange(part[0].start, part[0].stop) * np.timedelta64(HOURS_BETWEEN_FRAMES, "h")
        days = times.astype("datetime64[D]")
        for day in np.unique(days):
            today = days == day
            edges = box(inside[today].any(0), flow.latitude, flow.longitude)
            peak = found.strength[part[0]][today][inside[today]].max()
            span = times[today][[0, -1]]
            rows.append((f"{found.kind}-{year}-{number:03d}", found.kind, *span, *edges, peak, found.units))
    return rows


def _cyclone_rows(season: Season) -> list[tuple]:
    """Describe each day of each storm by its fixes of 34 kt and more: a box 500 km to all sides of them."""
    if not season.cyclones:
        return []
    fixes = best_track_of([season])
    fixes = fixes[(fixes.wind_kt >= STORM_WIND_KT) & fixes.status.isin(["TS", "HU"])]
    rows: list[tuple] = []
    for (storm, _), today in fixes.groupby(["storm", fixes.time.dt.floor("D")]):
        west = today.longitude.iloc[0] + longitude_difference(today.longitude, today.longitude.iloc[0])
        high = STORM_RADIUS_KM / KM_PER_DEGREE
        wide = high / np.cos(np.radians(today.latitude.abs().max()))
        western = (west.min() - wide + 180) % 360 - 180
        edges = (
            today.latitude.min() - high,
            today.latitude.max() + high,
            western,
            western + west.max() - west.min() + 2 * wide,
        )
        span = today.time.min(), today.time.max()
        rows.append((storm, "tropical_cyclone", *span, *edges, today.wind_kt.max(), "kt"))
    return rows
