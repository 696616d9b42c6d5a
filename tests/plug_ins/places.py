"""A task on a table alone: how much rain falls at a place, from three numbers and a word.

Its labels are rain.csv: place, altitude_m, slope, distance_km, kind, rain_mm (empty where it is not known).
"""

from functools import partial
from pathlib import Path

import pandas as pd

from toolkit import numbers
from toolkit.heads.numbers import NumberHead
from toolkit.scores.numbers import Stated, mean_absolute_error, root_mean_square_error
from toolkit.split import ByGroup
from toolkit.task import Inputs, Task

RAIN = numbers.Target("rain_mm", "mm", usual=50.0, spread=20.0)
STATED = Stated(("rain_mm",), "mm", "rain")
COLUMNS = ("altitude_m", "slope", "distance_km", "kind")


def labels(path: Path) -> pd.DataFrame:
    """Return a row per place."""
    file = path / "rain.csv" if path.is_dir() else path
    table = pd.read_csv(file, dtype={"place": str}).rename(columns={"place": "group"})
    return table if "rain_mm" in table else table.assign(rain_mm=float("nan"))


def mean(train, _validation):
    """State the mean rain of the training places."""
    usual = train.truth["rain_mm"].mean()
    return numbers.stating(["rain_mm"], lambda examples: [usual] * len(examples))


def TASK(hidden: int = 8, unit: str = "mm", data: Path | None = None) -> Task:  # noqa: N802
    """Return the task with a head of this width; without `slope` where the table at `data` has none."""
    there = COLUMNS if data is None else [name for name in COLUMNS if name in labels(data)]
    return Task(
        name="places",
        summary=f"Rain at places, {unit}",
        groups="places",
        inputs=Inputs(columns=tuple(there)),
        labels=labels,
        split=ByGroup(),
        head=partial(NumberHead, numbers=1, members=2, hidden=hidden),
        encode=partial(numbers.encode, targets=(RAIN,)),
        loss=numbers.loss,
        decode=partial(numbers.decode, targets=(RAIN,)),
        metrics=(root_mean_square_error("rmse", STATED), mean_absolute_error("mae", STATED)),
        primary="rmse",
        baselines={"mean": mean},
        defaults={"method": "scratch", "least_steps": 60, "lr": 0.02},
    )
