"""The report's figures for ozone: errors by lead, stated against true, by region and by type of area."""

from collections.abc import Sequence
from functools import partial

import matplotlib.figure

from tasks.ozone.labels import NAME
from toolkit.data.forecast_rows import lead_column
from toolkit.report import theme
from toolkit.report.charts import draw_scores
from toolkit.report.figure import Figure, RunTables
from toolkit.report.reliability import curves_by_lead, draw_by_lead
from toolkit.report.stated import draw_stated

AREA = "rural"


def forecast_figures(leads: Sequence[int]) -> tuple[Figure, ...]:
    """Return the figures of the forecast."""
    return (
        Figure(
            "Error by lead",
            "Root mean squared error of the daily maximum, by how many days ahead it is stated, for every method. "
            "Bars are 95 % intervals over stations.",
            partial(_draw_leads, leads=leads),
        ),
        Figure(
            "Stated and true ozone",
            f"Daily maxima of the test part, {leads[0]} day ahead; on the line both are equal. Beside it the error by "
            "region of 30 by 30 degrees, those with most station days.",
            partial(draw_stated, column=lead_column(NAME, leads[0]), unit="ppb", by="region"),
        ),
    )


def station_figures(target: str, unit: str) -> tuple[Figure, ...]:
    """Return the figures of a statistic of AQ-Bench."""
    return (
        Figure(
            "Stated and true ozone",
            f"{target.replace('_', ' ')} of the test stations; on the line both are equal. Beside it the error by "
            "region of the world.",
            partial(draw_stated, column=target, unit=unit, by="htap_region"),
        ),
    )


def _draw_leads(tables: RunTables, leads: Sequence[int]) -> matplotlib.figure.Figure | None:
    figure, (axes, bars) = theme.panels(2, height_in=3.4)
    curves = curves_by_lead(tables.results, {24 * lead: lead_column("rmse", lead) for lead in leads})
    draw_by_lead(axes, curves, "RMSE, ppb (lower is better)", None)
    draw_scores(bars, tables.results, f"rmse_{AREA}")
    bars.set_title(f"At {AREA} stations")
    return figure
