"""A task on fields and a table: the vorticity at a station six hours later, from the fields and its last reading.

Its labels are readings.csv: time, latitude, longitude, station, site, last, later (both empty where not known).
"""

from functools import partial
from pathlib import Path

import pandas as pd

from toolkit import numbers
from toolkit.heads.numbers import NumberHead
from toolkit.scores.numbers import Stated, root_mean_square_error
from toolkit.split import ByYear
from toolkit.task import Inputs, Placement, Task

LATER = (numbers.Target("later", "1e-5 s-1", usual=0.0, spread=2.0),)
COLUMNS = ("last", "site")


def labels(path: Path) -> pd.DataFrame:
    """Return a row per station and time."""
    file = path / "readings.csv" if path.is_dir() else path
    table = pd.read_csv(file, parse_dates=["time"]).rename(columns={"station": "group"})
    return table if "later" in table else table.assign(later=float("nan"))


def persistence(_train, _validation):
    """State the last reading, 0 where there is none."""
    return numbers.stating(["later"], lambda examples: examples.table["last"].fillna(0.0))


TASK = Task(
    name="readings",
    summary="Vorticity at stations six hours later",
    groups="stations",
    inputs=Inputs(("vorticity", "divergence"), (-6, 0), (16, 16), columns=COLUMNS),
    placement=Placement(margin=8),
    labels=labels,
    split=ByYear(whole_groups=False),
    head=partial(NumberHead, numbers=1, members=2, hidden=16),
    encode=partial(numbers.encode, targets=LATER),
    loss=numbers.loss,
    decode=partial(numbers.decode, targets=LATER),
    metrics=(root_mean_square_error("rmse", Stated(("later",), "1e-5 s-1", "vorticity")),),
    primary="rmse",
    baselines={"persistence": persistence},
)
