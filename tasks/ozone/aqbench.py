"""AQ-Bench: fifteen ozone statistics of 2010 to 2014 at 5,577 stations, and what the places are like.

Betancourt et al. 2021, doi:10.5194/essd-13-3013-2021; the file is AQbench_dataset.csv. What is missing is -999.
"""

from pathlib import Path

import pandas as pd

from toolkit.data.text_table import first_line, numbers, read_header, read_text_table, without_repeats
from toolkit.errors import UserError, unknown

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
    **dict.fromkeys(("o3_average_values", "o3_daytime_avg", "o3_nighttime_avg", "o3_median"), "ppb"),
    **dict.fromkeys(("o3_perc25", "o3_perc75", "o3_perc90", "o3_perc98"), "ppb"),
    **dict.fromkeys(("o3_dma8eu", "o3_avgdma8epax", "o3_drmdmax1h"), "ppb"),
    **dict.fromkeys(("o3_w90", "o3_aot40"), "ppb h"),
    **dict.fromkeys(("o3_nvgt070", "o3_nvgt100"), "days"),
}
"""The statistics and their units."""
PARTS = {"train": "train", "val": "validation", "test": "test"}
"""What the column `dataset` calls the parts of the official split."""


def predictors(coordinates: bool) -> tuple[str, ...]:
    """Return the columns to predict from; with `coordinates` also latitude and longitude, which leak for mapping."""
    return (*PREDICTORS, *COORDINATES) if coordinates else PREDICTORS


def is_aqbench(path: Path) -> bool:
    """Tell from its header whether a file is laid out as AQ-Bench; `UserError` where it cannot be read."""
    return path.is_file() and {"id", "dataset", "htap_region"} < set(read_header(path)[0].split(","))


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
