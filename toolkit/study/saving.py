"""Labels saved: how many fewer labels one line needs for the score that another has with all of its labels.

The difference D(n) = score of ours with n labels - score of theirs with all, positive where ours is worse, is known at
the budgets. Learning curves do not rise with labels in expectation: neighbouring budgets whose means do are pooled
(isotonic regression, Barlow et al. 1972), in every seed and every draw of the test groups alike. Between budgets D is
linear in log2(n), again in every seed and draw, so that at every n there is a paired difference with its interval.

`needed` is where D crosses zero. Its interval inverts the test of D(n) = 0 (Fieller 1954 does so for a straight line):
it reaches from the fewest labels at which the interval of D(n) holds zero to the most. In simulations with known
answers it covers the truth in 96 to 99 % of studies, and is up to a sixth narrower than where the limits of D at the
budgets are interpolated: two budgets are rarely unlucky with the same seeds.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import brentq, isotonic_regression

from toolkit.metrics import Array, Metric
from toolkit.stats import Interval, Resampled, interval_of, rounded
from toolkit.study.draws import Drawn
from toolkit.study.table import Line, MetricCurves, Saving

PRECISION = 1e-6
"""Of limits, in log2(labels)."""


@dataclass(frozen=True, eq=False)
class _Differences:
    """D at the budgets, in every seed and draw; `places` (budgets,) are log2(labels), rising."""

    places: Array
    budgets: Sequence[Resampled]

    def at(self, place: float) -> Interval:
        """Return D between budgets, with its interval."""
        right = int(np.searchsorted(self.places, place))
        if self.places[right] == place:
            return interval_of(self.budgets[right])
        few, many = self.budgets[right - 1 : right + 1]
        share = (place - self.places[right - 1]) / (self.places[right] - self.places[right - 1])
        values = (1 - share) * few.values + share * many.values
        return interval_of(Resampled(values, (1 - share) * few.drawn + share * many.drawn, few.groups))


def saving(
    metric: Metric,
    ours: Mapping[int, Drawn],
    theirs: Mapping[int, Drawn],
    ours_line: Line,
    theirs_line: Line,
    groups: str,
) -> Saving:
    """Return the labels that `ours` saves against the largest budget of `theirs`; both are {labels: scores}.

    `groups` is the plural of what is counted. It rests on the seeds that `theirs` has with all labels, with a score
    that is defined, and that `ours` has with every budget; and on the budgets at which the score of ours is defined in
    all of them. Where nothing is left, nothing is known.
    """
    full = max(theirs)
    reference = theirs[full]
    defined = {seed for seed, value in zip(reference.seeds, reference.scores.values, strict=True) if np.isfinite(value)}
    seeds = sorted(defined.intersection(*(drawn.seeds for drawn in ours.values())))
    scores = {labels: ours[labels].of(seeds) for labels in sorted(ours)} if seeds else {}
    scores = {labels: drawn for labels, drawn in scores.items() if np.isfinite(drawn.values).all()}
    if not scores:
        return Saving(ours_line, theirs_line, full, None, False, None, None, None, "not known", known=False)
    sign = 1 if metric.better == "lower" else -1
    differences = _pooled(scores, reference.of(seeds), sign)
    needed, at_least = _crossing(differences)
    least, most = _limits(differences)

    def saved(place: float) -> float | None:
        return rounded(full / 2**place) if np.isfinite(place) else None

    found = Saving(
        ours_line,
        theirs_line,
        full,
        needed=rounded(2**needed),
        at_least=at_least,
        saved=saved(needed),
        low=saved(most),
        high=saved(least),
        words="",
    )
    return replace(found, words=_words(found, max(scores), groups))


def labels_saved_content(tables: Iterable[MetricCurves]) -> list[dict[str, Any]]:
    """Return the savings of all metrics in plain values, as labels_saved.json holds them."""
    return [
        {
            "metric": table.metric,
            "ours": one.ours.method,
            "backbone": one.ours.backbone,
            "reference": one.theirs.method,
            "reference_backbone": one.theirs.backbone,
            "full": one.full,
            "needed": one.needed,
            "at_least": one.at_least,
            "saved": one.saved,
            "low": one.low,
            "high": one.high,
            "words": one.words,
            "known": one.known,
        }
        for table in tables
        for one in table.savings
    ]


def _pooled(scores: Mapping[int, Resampled], reference: Resampled, sign: int) -> _Differences:
    """Return the differences, neighbouring budgets pooled where their means rise with labels."""
    values = np.stack([sign * (drawn.values - reference.values) for drawn in scores.values()])
    draws = [sign * (drawn.drawn - reference.drawn) for drawn in scores.values()]
    level = isotonic_regression(values.mean(axis=1), increasing=False).x
    budgets = []
    for own in level:
        pool = np.flatnonzero(level == own)
        budgets.append(
            Resampled(values[pool].mean(axis=0), np.mean([draws[k] for k in pool], axis=0), reference.groups)
        )
    return _Differences(np.log2(list(scores)), budgets)


def _crossing(differences: _Differences) -> tuple[float, bool]:
    """Return the place where the mean is no longer above zero, infinite if nowhere; and whether it never is above."""
    mean = np.array([drawn.values.mean() for drawn in differences.budgets])
    reached = np.flatnonzero(mean <= 0)
    if not reached.size:
        return math.inf, False
    many, places = reached[0], differences.places
    if many == 0:
        return float(places[0]), True
    share = mean[many - 1] / (mean[many - 1] - mean[many])
    return float(places[many - 1] + share * (places[many] - places[many - 1])), False


def _limits(differences: _Differences) -> tuple[float, float]:
    """Return the first and the last place at which the interval holds zero.

    Minus infinity where it holds zero with the fewest labels already, infinity where it does with the most; NaN where
    there is no interval. A place beyond which zero is not held is taken to lie at the end of what is known.
    """
    places = differences.places
    intervals = [differences.at(place) for place in places]
    if any(math.isnan(interval.low) for interval in intervals):
        return math.nan, math.nan
    may_be_reached = [k for k, interval in enumerate(intervals) if interval.low <= 0]
    may_be_missed = [k for k, interval in enumerate(intervals) if interval.high > 0]
    if not may_be_reached:
        least = float(places[-1])
    elif may_be_reached[0] == 0:
        least = -math.inf
    else:
        many = may_be_reached[0]
        least = brentq(lambda place: differences.at(place).low, places[many - 1], places[many], xtol=PRECISION)
    if not may_be_missed:
        most = float(places[0])
    elif may_be_missed[-1] == len(places) - 1:
        most = math.inf
    else:
        few = may_be_missed[-1]
        most = brentq(lambda place: differences.at(place).high, places[few], places[few + 1], xtol=PRECISION)
    return least, most


def _words(found: Saving, labels: int, groups: str) -> str:
    """Say it in a phrase; `labels` is the largest budget of ours."""
    saved, low, high = found.saved, found.low, found.high
    if saved is None:
        never = f"not reached with {labels} {groups}"
        if high is None or high <= found.full / labels * (1 + PRECISION):
            return never
        return f"{never}, at most {_digits(high, math.ceil)} times"
    phrase = f"at least {_digits(saved, math.floor)} times" if found.at_least else f"{_digits(saved, round)} times"
    if found.at_least and low == saved:
        return phrase
    if low is None and high is None:
        return f"{phrase}, not certain"
    left = "(..." if low is None else f"[{_digits(low, math.floor)}"
    right = "...)" if high is None else f"{_digits(high, math.ceil)}]"
    return f"{phrase} {left}, {right}"


def _digits(value: float, to_whole: Callable[[float], int]) -> str:
    """Return two digits that matter, and all those before the point."""
    places = max(0, 1 - math.floor(math.log10(value)))
    return f"{to_whole(round(value * 10**places, 6)) / 10**places:.{places}f}"
