"""The curves of a study: means over seeds, paired differences at every budget, and labels saved, with intervals."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product

from toolkit.metrics import Metric, Scores
from toolkit.stats import Difference, difference_of, distinct, holm, interval_of, rounded, student_p_value
from toolkit.study.draws import Drawn, drawn_scores
from toolkit.study.saving import saving
from toolkit.study.table import Contrast, Curve, Line, MetricCurves, Point

OfLine = Mapping[int, Drawn]


def metric_curves(
    metrics: Sequence[Metric], scores: Mapping[Line, Mapping[int, Mapping[int, Scores]]], groups: str
) -> dict[str, MetricCurves]:
    """Return {metric: curves} of the scores {line: {labels: {seed: scores}}}.

    `groups` is the plural of what is counted. Lines keep their order; those without scores are left out. Every
    pretrained line is compared with every line from scratch and every classical one, and with the pretrained lines
    after it that differ from it in one thing, the method or the backbone. A line that is not pretrained and is no other
    than one before it by this metric (`toolkit.stats.distinct`) is not compared. Raises UserError if the
    cells were scored on different groups.
    """
    return {metric.name: _curves_of(metric, scores, groups) for metric in metrics}


def _curves_of(metric: Metric, scores: Mapping[Line, Mapping[int, Mapping[int, Scores]]], groups: str) -> MetricCurves:
    drawn = drawn_scores(metric, scores)
    curves = tuple(
        Curve(line, tuple(_point(metric, labels, cell) for labels, cell in of_line.items()))
        for line, of_line in drawn.items()
    )
    others = {
        line: {(labels, seed): of.sums_of(metric) for labels, cell in scores[line].items() for seed, of in cell.items()}
        for line in drawn
        if line.kind != "pretrained"
    }
    pairs = _pairs([line for line in drawn if line.kind == "pretrained"], distinct(others))
    savings = tuple(saving(metric, drawn[ours], drawn[theirs], ours, theirs, groups) for ours, theirs in pairs)
    return MetricCurves(
        metric.name, metric.unit, metric.better, metric.meaning, curves, _contrasts(pairs, drawn), savings
    )


def _pairs(pretrained: Sequence[Line], others: Iterable[Line]) -> list[tuple[Line, Line]]:
    """Return which lines are compared, (ours, theirs)."""
    one_apart = [(a, b) for a, b in combinations(pretrained, 2) if a.method == b.method or a.backbone == b.backbone]
    return [*product(pretrained, others), *one_apart]


def _point(metric: Metric, labels: int, cell: Drawn) -> Point:
    mean = interval_of(cell.scores, metric.limits)
    seeds = {seed: rounded(value) for seed, value in zip(cell.seeds, cell.scores.values, strict=True)}
    return Point(labels, rounded(mean.value), rounded(mean.low), rounded(mean.high), seeds)


def _contrasts(pairs: Sequence[tuple[Line, Line]], drawn: Mapping[Line, OfLine]) -> tuple[Contrast, ...]:
    """Return the differences at the budgets that both lines of a pair have, with Holm's correction over all of them."""
    found: list[tuple[Line, Line, int, Difference]] = []
    p_values = []
    for ours, theirs in pairs:
        for labels in sorted(drawn[ours].keys() & drawn[theirs].keys()):
            own, other = drawn[ours][labels], drawn[theirs][labels]
            shared = [seed for seed in own.seeds if seed in other.seeds]
            if shared:
                a, b = own.of(shared), other.of(shared)
                found.append((ours, theirs, labels, difference_of(a, b)))
                p_values.append(student_p_value(a, b))
    corrected = holm({str(place): p for place, p in enumerate(p_values)})
    return tuple(
        Contrast(ours, theirs, labels, rounded(d.value), rounded(d.low), rounded(d.high), rounded(p))
        for (ours, theirs, labels, d), p in zip(found, corrected.values(), strict=True)
    )
