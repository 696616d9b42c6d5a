"""Scores of the ozone task: errors by lead, by type of area and by region, and days over the limits."""

from collections.abc import Sequence

from tasks.ozone.labels import NAME
from toolkit.data.forecast_rows import lead_column
from toolkit.metrics import Metric
from toolkit.scores.numbers import (
    Stated,
    absolute_bias,
    exceedance_csi,
    explained_variance,
    mean_absolute_error,
    root_mean_square_error,
)

LIMIT_PPB = 60.0
"""120 ug m-3, the target value of Directive 2008/50/EC for the daily maximum of 8-hour means, at 20 C."""
AREAS = ("rural", "suburban", "urban")


def forecast_metrics(leads: Sequence[int]) -> tuple[Metric, ...]:
    """Return the metrics of a forecast: over all leads, by lead, and by type of area."""
    columns = tuple(lead_column(NAME, lead) for lead in leads)
    whole = Stated(columns, "ppb", "daily maximum ozone at all leads")
    by_lead = {
        lead: Stated((column,), "ppb", f"daily maximum ozone, lead {lead} d")
        for lead, column in zip(leads, columns, strict=True)
    }
    by_area = {area: Stated(columns, "ppb", whole.words, ("type_of_area", area)) for area in AREAS}
    return (
        root_mean_square_error("rmse", whole),
        mean_absolute_error("mae", whole),
        explained_variance("r2", whole),
        absolute_bias("absolute_bias", whole),
        exceedance_csi("csi", whole, LIMIT_PPB),
        *(root_mean_square_error(lead_column("rmse", lead), stated) for lead, stated in by_lead.items()),
        *(exceedance_csi(lead_column("csi", lead), stated, LIMIT_PPB) for lead, stated in by_lead.items()),
        *(root_mean_square_error(f"rmse_{area}", stated) for area, stated in by_area.items()),
    )


def station_metrics(target: str, unit: str) -> tuple[Metric, ...]:
    """Return the metrics of one statistic of AQ-Bench."""
    stated = Stated((target,), unit, target.replace("_", " "))
    return (
        root_mean_square_error("rmse", stated),
        explained_variance("r2", stated),
        mean_absolute_error("mae", stated),
        absolute_bias("absolute_bias", stated),
    )
