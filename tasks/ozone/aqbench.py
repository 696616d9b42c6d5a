"""AQ-Bench: fifteen ozone statistics of 2010 to 2014 at 5,577 stations, and what the places are like.

Betancourt et al. 2021, doi:10.5194/essd-13-3013-2021; the file is AQbench_dataset.csv. What is missing is -999.
"""

from pathlib import Path

import pandas as pd

from toolkit.data.text_table import column_names, first_line, numbers, read_text_table, without_repeats
from toolkit.errors import UserError, unknown
from toolkit.numbers import Target

WORDS = ("country", "htap_region", "climatic_zone", "type", "type_of_area")
LAND_COVER = (
    "water", "evergreen_needleleaf_forest", "evergreen_broadleaf_forest", "deciduous_needleleaf_forest",
    "deciduous_broadleaf_forest", "mixed_forest", "closed_shrublands", "open_shrublands", "woody_savannas", "savannas",
    "grasslands", "permanent_wetlands", "croplands", "urban_and_built-up", "cropland-natural_vegetation_mosaic",
    "snow_and_ice", "barren_or_sparsely_vegetated",
)  # fmt: skip
NUMBERS = (
    "alt", "relative_alt", *(f"{cover}_25km" for cover in LAND_COVER), "wheat_production", "rice_production",
    "nox_emissions", "no2_column", "population_density", "max_population_density_5km", "max_population_density_25km",
    "nightlight_1km", "nightlight_5km", "max_nightlight_25km",
)  # fmt: skip
PREDICTORS = (*WORDS, *NUMBERS)
"""All that is said of a place but where it is."""
COORDINATES = ("latitude", "longitude")
TARGETS = {
    target.column: target
    for target in (
        Target("o3_average_values", "ppb", 28, 6.4), Target("o3_daytime_avg", "ppb", 33, 6.2),
        Target("o3_nighttime_avg", "ppb", 22, 7.1), Target("o3_median", "ppb", 26, 7.0),
        Target("o3_perc25", "ppb", 16, 7.8), Target("o3_perc75", "ppb", 37, 6.4),
        Target("o3_perc90", "ppb", 47, 7.1), Target("o3_perc98", "ppb", 61, 9.7),
        Target("o3_dma8eu", "ppb", 58, 9.3), Target("o3_avgdma8epax", "ppb", 38, 6.4),
        Target("o3_drmdmax1h", "ppb", 54, 8.3), Target("o3_w90", "ppb h", 170, 120),
        Target("o3_aot40", "ppb h", 16_000, 10_000), Target("o3_nvgt070", "days", 9, 12),
        Target("o3_nvgt100", "days", 2, 4),
    )
}  # fmt: skip
"""The statistics, with usual values of the training stations."""
PARTS = {"train": "train", "val": "validation", "test": "test"}
"""What the column `dataset` calls the parts of the official split."""


def predictors(coordinates: bool) -> tuple[str, ...]:
    """Return the columns to predict from; with `coordinates` also latitude and longitude, which leak for mapping."""
    return (*PREDICTORS, *COORDINATES) if coordinates else PREDICTORS


def is_aqbench(path: Path) -> bool:
    """Tell from its header whether a file is laid out as AQ-Bench; `UserError` where it cannot be read."""
    return path.is_file() and {"id", "dataset", "htap_region"} < set(column_names(path))


def read_aqbench(path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return one row per station, and how many rows were left out because they are there twice.

    Columns: group (the station's number as text), latitude, longitude (degrees), PREDICTORS, TARGETS (NaN where not
    known), dataset. Raises `UserError` for a missing column, text where a number should be, a station that is described
    in two ways, and a part that is not train, val or test.
    """
    cells = read_text_table(path)
    for name in ("id", "lat", "lon", "dataset", *PREDICTORS, *TARGETS):
        if name not in cells:
            raise unknown(f"column of {path}", name, cells.columns)
    cells, twice = without_repeats(path, cells, ["id"])
    if (odd := ~cells["dataset"].isin(PARTS)).any():
        line = first_line(odd)
        raise UserError(f"{path}, line {line}: dataset '{cells['dataset'][line]}' is none of {', '.join(PARTS)}.")
    place = {"latitude": numbers(path, cells["lat"]), "longitude": numbers(path, cells["lon"])}
    words = {name: cells[name].astype(object).where(~cells[name].isin(("", "-999"))) for name in WORDS}
    values = {name: numbers(path, cells[name]) for name in (*NUMBERS, *TARGETS)}
    rows = pd.DataFrame({"group": cells["id"], **place, **words, **values, "dataset": cells["dataset"]})
    return rows.reset_index(drop=True), {"rows that are there twice": twice} if twice else {}
