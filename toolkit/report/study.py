"""The pages of a study: curve.png, and one report.html that draws its curves anew as the reader asks, offline."""

import json
import re
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from toolkit.files import write_text
from toolkit.report import study_tables as tables
from toolkit.report import study_words as words
from toolkit.report.numbers import in_unit, number, unbroken
from toolkit.report.study_curve import CURVE, caption, figure, is_logarithmic, write_curve
from toolkit.report.study_looks import MARKERS, Look, looks
from toolkit.report.svg import inline_svg
from toolkit.report.templates import HERE, WIDTHS, environment
from toolkit.report.theme import DARK, LIGHT, style
from toolkit.report.words import metric_title
from toolkit.study.saving import labels_saved_content
from toolkit.study.table import Curve, Line, MetricCurves, StudyTable

PAGE = "report.html"
KILOBYTES = 10 * 1024
"""From here on a file's size is given without decimals."""


def write_study_pages(folder: Path, table: StudyTable) -> Path:
    """Write curve.png and report.html into a study's folder and return the path of the page.

    The page holds everything it shows and needs no network; without a script it shows the picture and all tables. The
    same study gives the same bytes.
    """
    write_curve(folder, table)
    write_text(folder / PAGE, page(table))
    return folder / PAGE


def page(table: StudyTable) -> str:
    """Return report.html."""
    metrics = sorted(table.metrics.values(), key=lambda metric: metric.metric != table.primary)
    lines = list(dict.fromkeys(curve.line for metric in metrics for curve in metric.curves))
    look = looks(lines)
    files = downloads(table)
    return (
        _environment({line.backbone for line in lines if line.backbone})
        .get_template("study.html")
        .render(
            table=table,
            title=words.title(table),
            lead=words.lead(table),
            tiles=words.tiles(table),
            limits=words.limits(table),
            drawn_over=words.drawn_over(table),
            lines=[(words.line_title(line), look[line]) for line in lines],
            metrics=[(metric, metric_title(metric.metric)) for metric in metrics],
            titles={metric.metric: metric_title(metric.metric) for metric in metrics},
            saved=[row for metric in metrics for row in tables.saved_rows(metric, table.groups)],
            points=[row for metric in metrics for row in tables.point_rows(metric)],
            contrasts=[row for metric in metrics for row in tables.contrast_rows(metric)],
            columns={"saved": tables.SAVED, "points": tables.POINTS, "contrasts": tables.CONTRASTS},
            choices=tables.choices(table),
            facts={name: value for name, value in table.about.items() if name not in ("command", "notes")},
            curve=CURVE,
            caption=caption(table),
            static=Markup(_static(table, look)),
            markers=MARKERS,
            files={name: len(text.encode()) for name, text in files.items()},
            data=Markup(_embedded(_data(table, metrics, lines, look) | {"files": files})),
            light=LIGHT,
            dark=DARK,
            css=Markup("".join((HERE / name).read_text("utf-8") for name in ("style.css", "study_page.css"))),
            script=Markup((HERE / "study.js").read_text("utf-8")),
        )
    )


def downloads(table: StudyTable) -> dict[str, str]:
    """Return the files that the page hands out, {name: text}: study.csv as it is written, and labels_saved.json."""
    return {
        "study.csv": table.cells.to_csv(index=False),
        "labels_saved.json": json.dumps(labels_saved_content(table.metrics.values()), indent=2, allow_nan=False) + "\n",
    }


def _static(table: StudyTable, look: dict[Line, Look]) -> str:
    """Return the picture at both widths, its colours those of the page."""
    drawn = ""
    for width in WIDTHS:
        with style(width):
            drawn += inline_svg(figure(table), f"curve-{width}-", "static-title static-caption", width)
    for k, one in enumerate(look.values()):
        drawn = drawn.replace(one.light, f"var(--line-{k})")
    return drawn


def _data(
    table: StudyTable, metrics: Sequence[MetricCurves], lines: Sequence[Line], look: dict[Line, Look]
) -> dict[str, Any]:
    """Return what the script draws from: how lines look, and every metric's points, with their words ready."""
    return {
        "primary": table.primary,
        "groups": table.groups,
        "lines": [
            {
                "title": words.line_title(line),
                "width": look[line].width,
                "dash": [round(part * look[line].width, 1) for part in look[line].dash],
                "marker": MARKERS[look[line].marker],
                "hollow": look[line].hollow,
            }
            for line in lines
        ],
        "metrics": {metric.metric: _metric(metric, lines) for metric in metrics},
    }


def _metric(metric: MetricCurves, lines: Sequence[Line]) -> dict[str, Any]:
    curves = {lines.index(curve.line): _points(metric, curve) for curve in metric.curves}
    return {
        "title": metric_title(metric.metric),
        "axis": in_unit(metric_title(metric.metric), metric.unit),
        "better": metric.better,
        "meaning": metric.meaning,
        "log": is_logarithmic(metric),
        "curves": [curves.get(k, []) for k in range(len(lines))],
        "guide": _guide(metric, lines),
    }


def _points(metric: MetricCurves, curve: Curve) -> list[dict[str, Any]]:
    return [
        {
            "labels": point.labels,
            "value": point.value,
            "low": point.low,
            "high": point.high,
            "said": words.scored(metric, point),
            "count": tables.defined_seeds(point.seeds),
            "seeds": [value for value in point.seeds.values() if value is not None],
        }
        for point in curve.points
    ]


def _guide(metric: MetricCurves, lines: Sequence[Line]) -> dict[str, Any] | None:
    """Return where the guide runs from and to; None where no score is reached."""
    saving = words.lead_saving(metric)
    curve = next((c for c in metric.curves if saving and c.line == saving.theirs), None)
    end = words.last_point(curve)
    if saving is None or saving.saved is None or end is None:
        return None
    return {
        "lines": [lines.index(saving.ours), lines.index(saving.theirs)],
        "from": saving.full,
        "to": saving.needed,
        "value": end.value,
        "open": saving.at_least,
        "said": words.saved_times(saving),
    }


def _embedded(content: Any) -> str:
    """Return JSON that cannot end the element it stands in."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _environment(backbones: Set[str]) -> Environment:
    filled = environment()
    filled.filters["whole"] = lambda text: _whole(text, backbones)
    filled.filters["kilobytes"] = lambda size: f"{number(size / 1024, 0 if size > KILOBYTES else 1)} KiB"
    return filled


def _whole(text: str, backbones: Set[str]) -> Markup:
    """Return the text so that no line ends at the hyphen of a backbone's name, nor between a number and its unit."""
    escaped = str(escape(unbroken(text)))
    names = sorted((re.escape(escape(name)) for name in backbones if "-" in name), key=len, reverse=True)
    if not names:
        return Markup(escaped)
    return Markup(re.sub("|".join(names), lambda found: f'<span class="whole">{found[0]}</span>', escaped))
