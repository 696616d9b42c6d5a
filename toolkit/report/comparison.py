"""A comparison of pretexts as Markdown for a document, and as one picture."""

from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from toolkit.comparison.plan import NONE
from toolkit.comparison.table import Against, MetricTable, Row, Table, TaskTable
from toolkit.files import write_text
from toolkit.report import theme
from toolkit.report.numbers import UNDEFINED, counted, decimals, duration, in_unit, interval, number, or_nan
from toolkit.report.svg import write_png
from toolkit.report.words import metric_title

GIGA, TERA = 1e9, 1e12
STAR = "*"


def write_pages(folder: Path, table: Table) -> None:
    """Write comparison.md and comparison.png into the folder of a comparison."""
    write_text(folder / "comparison.md", markdown(table))
    with theme.style("wide"):
        write_png(figure(table), folder / "comparison.png")


def markdown(table: Table) -> str:
    """Return the comparison in Markdown: what was done, what each pretext computed, and a table per task."""
    parts = [_done(table), _spent(table), *(_task(task) for task in table.tasks.values())]
    if table.failed:
        lines = (f"- {name}: {' '.join(error.split())}" for name, error in table.failed.items())
        parts.append("## Not finished\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def figure(table: Table) -> Figure:
    """Return a panel per task: the primary metric of every pretext with its interval, best on top."""
    most = max(len(task.metrics[task.primary].rows) for task in table.tasks.values())
    drawn, panels = theme.panels(len(table.tasks), height_in=1.1 + 0.27 * most)
    for axes, task in zip(panels, table.tasks.values(), strict=True):
        _draw(axes, task)
    drawn.supxlabel(f"filled: differs from {NONE}, after Holm's correction", fontsize=8, color=theme.MUTED)
    return drawn


def scored_row(row: Row, places: int) -> str:
    """Return a row's value and its interval."""
    return f"{number(or_nan(row.value), places)} {interval(or_nan(row.low), or_nan(row.high), places)}".strip()


def places_of(metric: MetricTable) -> int:
    """Return how many decimals the numbers of a metric have."""
    return decimals(or_nan(value) for row in metric.rows for value in (row.value, row.low, row.high))


def tera(operations: int) -> str:
    """Return operations in units of 10^12."""
    return _short(operations / TERA)


def _done(table: Table) -> str:
    about = table.about
    worlds, seeds = ", ".join(about["worlds"]), counted(about["seeds"], "seeds")
    said = (
        f"Every pretext trained the same {about['backbone']} on {worlds}, by the same settings{_but(about['own'])}, "
        f"for as many floating-point operations as {about['steps']:,} steps of `{about['reference']}` take: those of "
        "the matrix products and convolutions of the loss and its gradient, counted on a real batch. The features were "
        f"then frozen and a head trained on them; what a pretext predicts itself was not handed over. `{NONE}` is the "
        f"same network with the random weights that all began with. Means over {seeds}; the 95 % intervals are over "
        f"the test groups{' and the seeds' * (about['seeds'] > 1)}."
    )
    return "\n\n".join([said, *([f"Made by `{about['command']}`"] if about["command"] else [])])


def _but(own: Mapping[str, Mapping[str, Any]]) -> str:
    """Return which pretexts were trained in another way, and how, in brackets."""
    told = (f"`{name}` by {', '.join(f'{key} {value}' for key, value in of.items())}" for name, of in own.items())
    return f" (but {'; '.join(told)})" if own else ""


def _spent(table: Table) -> str:
    head = ("pretext", "operations of a step, 10⁹", "steps", "operations, 10¹²", "time")
    rows = [
        (
            name,
            _short(spent.work.operations_per_step / GIGA),
            f"{spent.work.steps:,}",
            tera(spent.work.operations),
            duration(spent.seconds),
        )
        for name, spent in table.spent.items()
        if name != NONE
    ]
    return _table(head, rows)


def _task(task: TaskTable) -> str:
    metric = task.metrics[task.primary]
    places, best = places_of(metric), metric.rows[0].pretext
    from_none, from_best = (
        max(places, _digits(getattr(row, name) for row in metric.rows)) for name in ("against_none", "against_best")
    )
    rows = [
        (
            f"**{row.pretext}**" if row.pretext == best else row.pretext,
            str(row.seeds),
            scored_row(row, places),
            _difference(row.against_none, from_none),
            *([] if best == NONE else [_difference(row.against_best, from_best)]),
        )
        for row in metric.rows
    ]
    others = dict.fromkeys((NONE, best))
    head = (
        "pretext",
        "seeds",
        in_unit(metric_title(metric.metric), metric.unit),
        *(f"minus {other}" for other in others),
    )
    said = (
        f"{metric.meaning[:1].upper()}{metric.meaning[1:]}; {metric.better} is better. "
        f"A head on {counted(task.labels, f'labelled {task.groups}')}, scored on {task.test_groups:,} in the test part."
    )
    note = (
        f"Paired differences with their 95 % intervals; {STAR} more than chance (p < 0.05) after Holm's correction "
        f"over the column. {best} is the best on these same {task.groups}, so its lead is a little flattered."
    )
    return "\n\n".join([f"## {task.task}", said, _table(head, rows), note])


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    rule = ("---", *("---:" for _ in head[1:]))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def _digits(column: Iterable[Against | None]) -> int:
    """Return how many decimals show two digits of the largest number of a column of differences."""
    known = [against for against in column if against is not None]
    return decimals(or_nan(end) for against in known for end in (against.value, against.low, against.high)) - 1


def _difference(against: Against | None, places: int) -> str:
    if against is None:
        return "–"
    value = or_nan(against.value)
    if not isfinite(value):
        return UNDEFINED
    sign = "+" if value > 0 else ""
    limits = interval(or_nan(against.low), or_nan(against.high), places)
    return f"{sign}{number(value, places)} {limits}{f' {STAR}' * against.certain}".rstrip()


def _draw(axes: Axes, task: TaskTable) -> None:
    metric = task.metrics[task.primary]
    rows = [row for row in reversed(metric.rows) if row.value is not None]
    for height, row in enumerate(rows):
        value, low, high = (or_nan(part) for part in (row.value, row.low, row.high))
        colour, marker = (theme.SCRATCH, "s") if row.pretext == NONE else (theme.MODEL, "o")
        if isfinite(low):
            axes.plot([low, high], [height, height], color=colour, linewidth=2.2, solid_capstyle="round")
        told = row.pretext == NONE or (row.against_none is not None and row.against_none.certain)
        axes.plot(
            [value], [height], marker, markersize=7, color=colour, markerfacecolor=colour if told else theme.SURFACE,
            markeredgecolor=theme.SURFACE if told else colour, markeredgewidth=1.4,
        )  # fmt: skip
        if row.pretext == NONE:
            axes.axvline(value, color=colour, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0.9)
    axes.set_yticks(range(len(rows)), [theme.verbatim(row.pretext) for row in rows], color=theme.INK, fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.margins(x=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(theme.verbatim(f"{in_unit(metric_title(metric.metric), metric.unit)}\n({metric.better} is better)"))
    axes.set_title(theme.verbatim(task.task))


def _short(value: float) -> str:
    return number(value, decimals([value]))
