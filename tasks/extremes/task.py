"""The extremes task: which cells of a window are under which kind of extreme event, as they are or some days later."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from tasks.extremes.baselines import baselines
from tasks.extremes.cells import READOUTS, EventHead, at_lead, columns, decode, loss, shares, truth
from tasks.extremes.figures import figures
from tasks.extremes.labels import rows_for
from toolkit.data.label_kinds import KINDS
from toolkit.data.label_maps import open_label_maps
from toolkit.errors import UserError
from toolkit.metrics import Metric
from toolkit.scores.cell_sums import STATED
from toolkit.scores.probabilities import (
    average_precision,
    brier,
    choose,
    iou,
    keep,
    mean_brier_skill,
    mean_iou,
    window_csi,
    window_f1,
)
from toolkit.split import ByYear
from toolkit.task import Inputs, Maps, Placement, Task

MOST_DAYS = 10
GAP_DAYS = 12.0
"""Longer than the longest lead and a pentad: no map of one part is a later map of another."""


def extremes(lead: int | tuple[int, ...] = 0) -> Task:
    """Return the task for events `lead` days after the analysis, one lead or several, 0 being the time itself.

    Where all leads are later than the analysis, the events at its time are known to the model as to persistence.
    """
    leads = (lead,) if isinstance(lead, int) else tuple(sorted(set(lead)))
    if not leads or min(leads) < 0 or max(leads) > MOST_DAYS:
        raise UserError(
            f"lead={list(leads)}: give days ahead from 0 to {MOST_DAYS}, one or several, such as lead=[1,3]."
        )
    metrics = _metrics(leads)
    return Task(
        name="extremes",
        summary="Find tropical cyclones, filaments, blocks and heat, cell by cell, at the time or days ahead",
        inputs=Inputs(
            variables=("vorticity", "divergence"),
            frames=(-6, 0),
            window=(32, 32),
            also=("eastward_wind", "northward_wind"),
        ),
        placement=Placement(margin=10, most_recut=3000),
        labels=rows_for(leads),
        maps=Maps(
            KINDS,
            tuple(24 * days for days in leads),
            partial(open_label_maps, kinds=KINDS),
            known=(0,) if min(leads) > 0 else (),
        ),
        head=partial(EventHead, leads=leads),
        encode=lambda examples: {"share": shares(examples, leads)},
        loss=loss,
        decode=partial(decode, leads=leads),
        truth=partial(truth, leads=leads),
        choose=partial(choose, columns=tuple(columns(leads))),
        keep=keep,
        threshold_limits=(0.0, 1.0),
        metrics=metrics,
        primary=metrics[0].name,
        baselines=baselines(leads),
        split=ByYear(GAP_DAYS),
        readouts=READOUTS,
        export=partial(stated_cells, leads=leads),
        figures=figures(leads),
        groups="pentads",
        needs="maps of events: extremes.nc, ClimateNet, ClimateNetLarge, or dates and boxes",
        defaults={"epochs": 5},
    )


def _metrics(leads: Sequence[int]) -> tuple[Metric, ...]:
    """Return the means over kinds by lead, then every kind's own scores; of several leads the most telling alone."""
    means: list[Metric] = []
    for days in leads:
        names, suffix = tuple(columns((days,))), at_lead("", days)
        means += [mean_iou(names, suffix), mean_brier_skill(names, suffix)]
    own = (iou, brier) if len(leads) > 1 else (iou, average_precision, brier, window_f1, window_csi)
    return (*means, *(score(name) for name in columns(leads) for score in own))


def stated_cells(predictions: pd.DataFrame, leads: Sequence[int]) -> pd.DataFrame:
    """Return a row for each cell and kind that is stated: time, latitude, longitude, kind, probability."""
    place = [name for name in ("time", "latitude", "longitude") if name in predictions]
    parts = []
    for name in columns(leads):
        cells = predictions.loc[predictions[name + STATED], [*place, name]]
        parts.append(cells.rename(columns={name: "probability"}).assign(kind=name))
    return pd.concat(parts, ignore_index=True)[[*place, "kind", "probability"]]
