"""The tables of a study's page: labels saved, every point, differences, and what tuning tried, in words and numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from toolkit.report.numbers import UNDEFINED, counted, decimals, interval, number, or_nan, quantity
from toolkit.report.study_words import line_title, places, saved_parts
from toolkit.report.words import verdict
from toolkit.stats import LEVEL
from toolkit.study.table import Contrast, Line, MetricCurves, Saving, StudyTable


@dataclass(frozen=True)
class Cell:
    """What a cell says, smaller words below it, and the number it is sorted by; None sorts by the words."""

    text: str
    small: str = ""
    sort: float | None = None
    verdict: str = ""


AT_MOST = "≤\N{NO-BREAK SPACE}"
Row = tuple[str, tuple[Cell, ...]]
"""The metric it is of, and its cells."""


@dataclass(frozen=True)
class Column:
    """The head of a column, and whether it holds numbers."""

    title: str
    numeric: bool = False


SAVED = (Column("Method"), Column("As good as"), Column("Needs", True), Column("Times fewer", True))
POINTS = (Column("Method"), Column("Labels", True), Column("Value", True), Column("Seeds", True))
CONTRASTS = (
    Column("Method"), Column("Minus"), Column("Labels", True), Column("Difference", True), Column("Verdict, p", True),
)  # fmt: skip


def saved_rows(metric: MetricCurves, groups: str) -> Iterator[Row]:
    """Yield what each pair of lines saves, as `SAVED` says."""
    for saving in metric.savings:
        needed = "more than all" if saving.needed is None else number(saving.needed, _places_of_labels(saving))
        yield (
            metric.metric,
            (
                Cell(line_title(saving.ours)),
                Cell(line_title(saving.theirs), f"with {counted(saving.full, groups)}"),
                Cell(f"{AT_MOST * saving.at_least}{needed}", sort=saving.needed),
                Cell(*saved_parts(saving), saving.saved),
            ),
        )


def point_rows(metric: MetricCurves) -> Iterator[Row]:
    """Yield every point of every line, as `POINTS` says."""
    many = places(metric)
    for curve in metric.curves:
        for point in curve.points:
            value, low, high = (or_nan(v) for v in (point.value, point.low, point.high))
            yield (
                metric.metric,
                (
                    Cell(line_title(curve.line)),
                    Cell(f"{point.labels:,}", sort=point.labels),
                    Cell(quantity(value, many, metric.unit), interval(low, high, many), point.value),
                    Cell(str(defined_seeds(point.seeds)), sort=defined_seeds(point.seeds)),
                ),
            )


def contrast_rows(metric: MetricCurves) -> Iterator[Row]:
    """Yield every paired difference, as `CONTRASTS` says."""
    many = places(metric)
    for contrast in metric.contrasts:
        value, low, high = (or_nan(v) for v in (contrast.value, contrast.low, contrast.high))
        text, limits = quantity(value, many, metric.unit), interval(low, high, many)
        direction, said = _verdict(contrast, metric.better)
        yield (
            metric.metric,
            (
                Cell(line_title(contrast.ours)),
                Cell(line_title(contrast.theirs)),
                Cell(f"{contrast.labels:,}", sort=contrast.labels),
                Cell(f"+{text}" if value > 0 else text, limits, contrast.value),
                Cell(said, _probability(contrast.p_holm), contrast.p_holm, direction),
            ),
        )


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, their validation loss, "" where there was no choice, and whether they were chosen."""

    settings: str
    validation: str
    chosen: bool


@dataclass(frozen=True)
class Choice:
    """What was tried for a line and a budget, and what validation chose."""

    line: str
    labels: str
    trials: tuple[Trial, ...]
    chosen: str


def choices(table: StudyTable) -> list[Choice]:
    """Return what was tried, in the order of the study."""
    names = {(c.line.method, c.line.backbone): c.line for m in table.metrics.values() for c in m.curves}
    drawn = []
    for choice in table.chosen:
        method, backbone = str(choice["method"]), str(choice.get("backbone") or "")
        line = names.get((method, backbone)) or Line(method, backbone, "pretrained" if backbone else "scratch")
        many = decimals(or_nan(trial.get("validation")) for trial in choice["trials"])
        trials = tuple(
            Trial(settings(trial["settings"]), _loss(trial.get("validation"), many), rung == choice["chosen"])
            for rung, trial in enumerate(choice["trials"])
        )
        taken = next(trial.settings for trial in trials if trial.chosen)
        drawn.append(Choice(line_title(line), f"{choice['labels']:,}", trials, taken))
    return drawn


def settings(chosen: Mapping[str, Any]) -> str:
    """Return settings as "epochs 20, rank 8"."""
    return ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in chosen.items()) or "as given"


def defined_seeds(seeds: Mapping[int, float | None]) -> int:
    """Return of how many seeds the value is defined."""
    return sum(value is not None for value in seeds.values())


def _loss(validation: float | None, many: int) -> str:
    return "" if validation is None else number(validation, many)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _places_of_labels(saving: Saving) -> int:
    return 0 if saving.needed is None or saving.needed >= 10 else 1


def _probability(p_value: float | None) -> str:
    if p_value is None:
        return ""
    return "p < 0.001" if p_value < 0.001 else f"p = {number(p_value, 3)}"


def _verdict(contrast: Contrast, better: str) -> tuple[str, str]:
    """Return better, worse or "", and what that is in words."""
    if contrast.p_holm is None or contrast.value is None or not isfinite(contrast.value):
        return "", UNDEFINED
    return verdict(contrast.value, better, contrast.p_holm < 1 - LEVEL)
