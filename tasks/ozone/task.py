"""The ozone task: daily maxima at stations days ahead, from the fields around them and what is known of them.

With AQ-Bench's file as `--data` it is another task of the same kind: what ozone was like at a place over five years,
from what is said of the place alone.
"""

from functools import cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from tasks.ozone.aqbench import PARTS, TARGETS, is_aqbench, predictors, read_aqbench
from tasks.ozone.baselines import climatology, persistence
from tasks.ozone.figures import forecast_figures, station_figures
from tasks.ozone.labels import LEADS, NAME, area, daily_rows
from tasks.ozone.scores import LIMIT_PPB, forecast_metrics, station_metrics
from toolkit.baselines.table import boosting, forest, mean, ridge
from toolkit.data.forecast_rows import SEASON, input_columns, lead_column
from toolkit.errors import unknown
from toolkit.heads.numbers import NumberHead
from toolkit.numbers import Target, decode, encode, loss
from toolkit.pretexts.readouts import DISPLACEMENT, NEXT_FRAMES, VORTEX_FATE
from toolkit.scores.numbers import choose_exceedance, keep_exceedances
from toolkit.split import ByBlock, ByColumn, ByYear, Split
from toolkit.task import Inputs, Task

SO_FAR = f"{NAME}_mean"
"""The mean of a station's days so far: networks and regressions may state how far a day is from it."""
WORLD_COLUMNS = (
    "mda8_0d", "mda8_m1d", "mda8_m2d", SO_FAR, "mda8_days", *SEASON,
    "altitude_m", "type_of_area", "population_density", "nox_emissions",
)  # fmt: skip
USUAL_PPB, SPREAD_PPB = 45.0, 12.0
READOUTS = (DISPLACEMENT, NEXT_FRAMES, VORTEX_FATE)
WINDOW = (32, 32)
SUMMARY = "Ozone at stations: daily maxima 1 to 4 days ahead, or with AQ-Bench what a place is like"
NEEDS = "stations.csv and stations_meta.csv, daily series of stations, or AQ-Bench"
GAP_DAYS = 8.0
"""Longer than the longest lead and the days past: no day is in two parts, as a target or as an input."""
BLOCK_DEGREES = 10.0
Cut = Literal["own", "blocks"]


def ozone(
    data: Path | None = None,
    definition: Literal["eu", "epa"] = "eu",
    target: str = "o3_average_values",
    coordinates: bool = False,
    split: Cut = "own",
    fold: int = 0,
) -> Task:
    """Return the task for the labels at `data`: a forecast of MDA8 by `definition`, or of AQ-Bench one `target`.

    split: "own" is by year, of AQ-Bench the official one; "blocks" keeps whole blocks of the map apart, of which the
    share `fold` of five is the test. With `coordinates` AQ-Bench's predictors include where a station is.
    """
    if data is not None and is_aqbench(data):
        return _station_task(target, coordinates, _cut(split, fold, ByColumn("dataset", PARTS)))
    return _forecast_task(data, definition, _cut(split, fold, ByYear(GAP_DAYS, whole_groups=False)))


def _cut(split: Cut, fold: int, own: Split) -> Split:
    return own if split == "own" else ByBlock(BLOCK_DEGREES, fold=fold)


def _forecast_task(data: Path | None, definition: str, split: Split) -> Task:
    columns = WORLD_COLUMNS if data is None else input_columns(_rows(data, definition), NAME)
    targets = tuple(Target(lead_column(NAME, lead), "ppb", USUAL_PPB, SPREAD_PPB, around=SO_FAR) for lead in LEADS)
    names = [wanted.column for wanted in targets]
    metrics = forecast_metrics(LEADS)
    return Task(
        name="ozone",
        summary=SUMMARY,
        inputs=Inputs(variables=("vorticity", "divergence"), frames=(-6, 0), window=WINDOW, columns=columns),
        labels=partial(_rows, definition=definition),
        head=partial(NumberHead, numbers=len(targets)),
        encode=partial(encode, targets=targets),
        loss=loss,
        decode=partial(decode, targets=targets),
        choose=partial(choose_exceedance, columns=names, limit=LIMIT_PPB),
        keep=keep_exceedances,
        metrics=metrics,
        primary=metrics[0].name,
        baselines={
            "persistence": persistence,
            "climatology": climatology,
            "ridge": ridge(names, columns, around=SO_FAR),
            "random forest": forest(names, columns, trees=100, around=SO_FAR),
            "gradient boosting": boosting(names, columns, around=SO_FAR),
        },
        split=split,
        strata=area,
        readouts=READOUTS,
        figures=forecast_figures(LEADS),
        groups="stations",
        needs=NEEDS,
        defaults={"epochs": 3, "validations": 4},
    )


def _station_task(target: str, coordinates: bool, split: Split) -> Task:
    if target not in TARGETS:
        raise unknown("target", target, TARGETS)
    columns, wanted = predictors(coordinates), TARGETS[target]
    metrics = station_metrics(target, wanted.unit)
    return Task(
        name="ozone",
        summary=SUMMARY,
        inputs=Inputs(columns=columns),
        labels=_stations,
        head=partial(NumberHead, numbers=1),
        encode=partial(encode, targets=(wanted,)),
        loss=loss,
        decode=partial(decode, targets=(wanted,)),
        metrics=metrics,
        primary=metrics[0].name,
        baselines={
            "mean": mean([target]),
            "ridge": ridge([target], columns, refit=True),
            "random forest": forest([target], columns, refit=True),
            "gradient boosting": boosting([target], columns, refit=True),
        },
        split=split,
        strata=area,
        refit=True,
        figures=station_figures(target, wanted.unit),
        groups="stations",
        needs=NEEDS,
        defaults={"method": "scratch", "epochs": 40, "lr": 5e-3, "batch_size": 64, "validations": 40},
    )


@cache
def _rows(path: Path, definition: str) -> pd.DataFrame:
    table, left_out = daily_rows(path, definition)
    table.attrs["left_out"] = left_out
    return table


@cache
def _stations(path: Path) -> pd.DataFrame:
    table, left_out = read_aqbench(path)
    table.attrs["left_out"] = left_out
    return table.replace({None: np.nan})
