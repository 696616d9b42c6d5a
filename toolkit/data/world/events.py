"""Extreme events of a simulated season: one table of them, and the maps of the very cells they are made of.

`tropical_cyclone`: a best-track storm while its wind is at least 34 kt (tropical storm, hurricane; not extratropical);
its cells are those within 500 km of the fix. `filament`, `blocking` and `heat` are the regions that
`toolkit.data.world.extremes` finds. Cells are joined to regions, and regions to events, where they touch in space or
from one frame to the next; what is too short or too small is left out of the table and the maps alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import find_objects

from toolkit.data.label_kinds import KINDS
from toolkit.data.world.best_track import best_track_of
from toolkit.data.world.extremes import FRAMES_A_DAY, Found, blocks, filaments, heat
from toolkit.data.world.regions import box, cell_areas_km2, connected_regions
from toolkit.data.world.season import HOURS_BETWEEN_FRAMES, Plan, Season
from toolkit.data.world.tracer import CoarseFields, coarse_fields
from toolkit.geodesy import KM_PER_DEGREE, distance_km, longitude_difference

NUMBERS = ("latitude_min", "latitude_max", "longitude_min", "longitude_max", "peak_value")
COLUMNS = ("event", "kind", "start", "end", *NUMBERS, "units")
STORM_WIND_KT, STORM_RADIUS_KM = 34, 500.0
SMALLEST_AREA_KM2 = 3e5
"""A filament, block or heat event covers at least this once in its life: some four cells of the coarse grid."""


@dataclass(frozen=True, eq=False)
class Events:
    """The events of a season.

    `table`: one row for each event and day (UTC), so that the box goes with what moves. Columns: `event` (the same for
    all days of an event; a cyclone's is its storm in the best track), `kind`; `start`, `end` (first and last frame of
    that day, UTC); `latitude_min`, `latitude_max`, `longitude_min`, `longitude_max` (degrees; the western edge in
    [-180, 180), the eastern one east of it, so above 180 across that meridian); `peak_value` and its `units`: wind
    (kt), water transport (kg m-1 s-1), reversed height gradient (m per degree), or departure of the geopotential from
    the mean of its latitude (m2 s-2).
    `masks`: the cells of these events at each frame, (time, kind, lat, lon) with the kinds in the order of `KINDS`.
    """

    table: pd.DataFrame
    masks: np.ndarray


def season_events(season: Season, plan: Plan, start: np.datetime64) -> Events:
    """Return the events of a season; `start` is the time of its first frame."""
    flow, fixes = coarse_fields(season, plan), _storm_fixes(season)
    masks = np.zeros((len(flow.wind), len(KINDS), *flow.wind.shape[-2:]), dtype=bool)
    rows = _cyclone_rows(fixes)
    _mark_cyclones(masks[:, KINDS.index("tropical_cyclone")], fixes, flow, start)
    for found in (filaments(flow), blocks(flow), heat(flow)):
        mask = masks[:, KINDS.index(found.kind)]
        for number, (frames, inside) in enumerate(_kept_regions(found, flow), start=1):
            mask[frames] |= inside
            name = f"{found.kind}-{season.year}-{number:03d}"
            rows += _region_rows(name, found, frames, inside, flow, start)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table = table.astype({"start": "datetime64[s]", "end": "datetime64[s]"}).round(dict.fromkeys(NUMBERS, 2))
    return Events(table, masks)


def _kept_regions(found: Found, flow: CoarseFields) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the frames and the cells (time, lat, lon) of each region that lasts long and grows large enough."""
    labels = connected_regions(found.mask)
    areas = cell_areas_km2(flow.latitude)
    for index, part in enumerate(find_objects(labels), start=1):
        inside = labels[part[0]] == index
        large = (inside * areas).sum((1, 2)).max() >= SMALLEST_AREA_KM2
        if len(inside) >= found.least_days * FRAMES_A_DAY and large:
            yield part[0], inside


def _region_rows(
    name: str, found: Found, frames: slice, inside: np.ndarray, flow: CoarseFields, start: np.datetime64
) -> list[tuple]:
    """Describe each day of an event whose cells at these frames are `inside`."""
    times = start + np.arange(frames.start, frames.stop) * np.timedelta64(HOURS_BETWEEN_FRAMES, "h")
    days = times.astype("datetime64[D]")
    rows = []
    for day in np.unique(days):
        today = days == day
        edges = box(inside[today].any(0), flow.latitude, flow.longitude)
        peak = found.strength[frames][today][inside[today]].max()
        span = times[today][[0, -1]]
        rows.append((name, found.kind, *span, *edges, peak, found.units))
    return rows


def _storm_fixes(season: Season) -> pd.DataFrame:
    """Return the fixes of the season's best track that are of 34 kt and more, and tropical."""
    fixes = best_track_of([season])
    return fixes[(fixes.wind_kt >= STORM_WIND_KT) & fixes.status.isin(["TS", "HU"])]


def _mark_cyclones(mask: np.ndarray, fixes: pd.DataFrame, flow: CoarseFields, start: np.datetime64) -> None:
    """Mark the cells (time, lat, lon) within 500 km of the fixes of their time."""
    frames = (fixes.time.to_numpy() - start) // np.timedelta64(HOURS_BETWEEN_FRAMES, "h")
    for frame, latitude, longitude in zip(frames, fixes.latitude, fixes.longitude, strict=True):
        mask[frame] |= distance_km(latitude, longitude, flow.latitude[:, None], flow.longitude) <= STORM_RADIUS_KM


def _cyclone_rows(fixes: pd.DataFrame) -> list[tuple]:
    """Describe each day of each storm by its fixes: a box 500 km to all sides of them."""
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
