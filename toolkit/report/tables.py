"""The table of scores: every metric by every method, the best of each row marked."""

from dataclasses import dataclass
from math import isfinite, nan

from toolkit.report.numbers import decimals, interval, number
from toolkit.report.read import Difference, Results, Score
from toolkit.report.words import method_title, metric_title, verdict

STAR, DOUBTFUL_STAR = "*", "(*)"
"""More than chance as one of several baselines, and more than chance only if it were the only one."""


@dataclass(frozen=True)
class Cell:
    """A score as text, its interval, and for a baseline whether the run differs from it; empty where there is none."""

    value: str
    interval: str
    best: bool
    star: str = ""


@dataclass(frozen=True)
class DifferenceCell:
    """The run's score minus the comparison's; `direction` is better or worse where the interval excludes zero."""

    value: str
    interval: str
    direction: str
    verdict: str


@dataclass(frozen=True)
class Row:
    """One metric: its names, unit and direction, and its cells in the order of the columns."""

    name: str
    title: str
    unit: str
    better: str
    meaning: str
    primary: bool
    cells: tuple[Cell, ...]
    difference: DifferenceCell | None


@dataclass(frozen=True)
class ScoreTable:
    """`columns` are the run's method, the comparison if there is one, and the baselines.

    `judged_baselines` counts the baselines whose difference from the run is known.
    """

    columns: tuple[str, ...]
    learned: int
    compared_with: str
    judged_baselines: int
    rows: tuple[Row, ...]


def score_table(results: Results) -> ScoreTable:
    """Return the table, the primary metric first."""
    learned = [results.method, *([results.comparison.method] if results.comparison else [])]
    columns = [method_title(name) for name in learned] + list(results.baselines)
    names = sorted(results.metrics, key=lambda name: name != results.primary)
    rows = tuple(_row(results, name) for name in names)
    compared_with = columns[1] if results.comparison else ""
    return ScoreTable(tuple(columns), len(learned), compared_with, len(results.baseline_differences), rows)


def _row(results: Results, name: str) -> Row:
    score, comparison = results.metrics[name], results.comparison
    undefined = Score(nan, nan, nan, score.unit, score.better)
    scores = [score] + ([comparison.metrics.get(name, undefined)] if comparison else [])
    values = [(other.value, other.low, other.high) for other in scores]
    values += [(baseline.get(name, nan), nan, nan) for baseline in results.baselines.values()]
    places = decimals(value for value, _, _ in values)
    shown = [number(value, places) for value, _, _ in values]
    known = [value for value, _, _ in values if isfinite(value)]
    best = number((min if score.better == "lower" else max)(known, default=nan), places) if len(known) > 1 else ""
    difference = comparison.differences.get(name) if comparison else None
    others = [results.baseline_differences.get(baseline, {}).get(name) for baseline in results.baselines]
    stars = [""] * len(scores) + [_star(other) for other in others]
    return Row(
        name=name,
        title=metric_title(name),
        unit="ratio" if score.unit == "1" else score.unit,
        better=score.better,
        meaning=score.meaning,
        primary=name == results.primary,
        cells=tuple(
            Cell(text, interval(low, high, places), text == best, star)
            for text, (_, low, high), star in zip(shown, values, stars, strict=True)
        ),
        difference=_difference(difference, score, places) if difference and isfinite(difference.value) else None,
    )


def _star(difference: Difference | None) -> str:
    if difference is None or not difference.excludes_zero:
        return ""
    return DOUBTFUL_STAR if difference.is_corrected_away else STAR


def _difference(difference: Difference, score: Score, places: int) -> DifferenceCell:
    value, limits = number(difference.value, places), interval(difference.low, difference.high, places)
    return DifferenceCell(value, limits, *verdict(difference.value, score.better, difference.excludes_zero))
