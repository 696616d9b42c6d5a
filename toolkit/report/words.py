"""The sentences of the page: what was adapted, how well, compared with what, and what that does not show."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, product
from math import isfinite, nan

from toolkit.report.numbers import UNDEFINED, counted, decimals, duration, interval, number, quantity, share
from toolkit.report.read import Difference, Results, Run, Score, Split
from toolkit.split import TEST

METHODS: Mapping[str, tuple[str, str]] = {
    "probe": ("Probe", "by training a head on the frozen network"),
    "lora": ("LoRA", "with low-rank adapters (LoRA)"),
    "full": ("Full fine-tuning", "by fine-tuning all its weights"),
    "scratch": ("From scratch", "from random weights"),
}
SIMULATED = (
    "The world is simulated: its atmosphere and its labels are made by a model. The scores show that the method works "
    "there, not how well it would do on the real atmosphere."
)
_ABBREVIATIONS = {"iou": "IoU", "rmse": "RMSE", "mae": "MAE", "csi": "CSI", "pod": "POD", "far": "FAR", "f1": "F1"}
MORE_THAN_CHANCE, COULD_BE_CHANCE = "more than chance", "could be chance"
FEW = 10
"""Of so few groups a resampling says little of others."""
_LONGEST_ABBREVIATION = 4
_LEAD_TIME = re.compile(r"(.*)_(\d+)h")


@dataclass(frozen=True)
class Tile:
    """One number of the page's head: what it is, the number, and what to know about it."""

    label: str
    value: str
    note: str


def metric_title(name: str) -> str:
    """Return "24 h position error" from "position_error_24h", "CSI" from "csi", "Mean IoU" from "mean_iou"."""
    if len(name) <= _LONGEST_ABBREVIATION:
        return _ABBREVIATIONS.get(name, name.upper())
    words = _LEAD_TIME.sub("\\2\N{NO-BREAK SPACE}h \\1", name).replace("_", " ").split(" ")
    title = " ".join(_ABBREVIATIONS.get(word, word) for word in words)
    return title[:1].upper() + title[1:]


def in_sentence(title: str) -> str:
    """Return a metric's title as it stands within a sentence: "mean IoU", but "CSI"."""
    first = title.partition(" ")[0]
    return title if first.isupper() or first in _ABBREVIATIONS.values() else title[:1].lower() + title[1:]


def method_title(name: str) -> str:
    """Return how a method is called at the head of a column."""
    return METHODS.get(name, (name, ""))[0]


def best_baseline(results: Results, metric: str) -> tuple[str, float] | None:
    """Return the baseline that scores best on `metric` and its score, None where none has one."""
    scores = {name: values.get(metric, nan) for name, values in results.baselines.items()}
    known = [(name, value) for name, value in scores.items() if isfinite(value)]
    sign = -1 if results.metrics[metric].better == "lower" else 1
    return max(known, key=lambda pair: sign * pair[1], default=None)


def title(results: Results) -> str:
    """Return the page's heading: the primary score and the number of labels it took."""
    value = _stated(results.metrics[results.primary], with_interval=False)
    return f"{metric_title(results.primary)} of {value} from {counted(results.labels, f'labelled {results.groups}')}"


def headline(results: Results) -> list[str]:
    """Return the result in plain sentences: what was adapted, how well, against scratch and the best baseline."""
    score, how = results.metrics[results.primary], _how(results.method)
    labels = counted(results.labels, f"labelled {results.groups}")
    if results.backbone is None:
        done = f"A network was trained {how} on {labels}."
    else:
        done = f"The backbone {results.backbone}, pretrained without labels, was adapted to {labels} {how}."
    name = in_sentence(metric_title(results.primary))
    reached = f"On the test {results.groups} its {name} is {_stated(score)}; {score.better} is better."
    return [done, reached, *_against_comparison(results), *_against_baseline(results)]


def tiles(results: Results) -> list[Tile]:
    """Return the few numbers to take away."""
    score, best = results.metrics[results.primary], best_baseline(results, results.primary)
    limits = interval(score.low, score.high, _places(score))
    note = f"95\N{NO-BREAK SPACE}% interval {limits}" if limits else "no interval"
    tiles = [Tile(metric_title(results.primary), _stated(score, with_interval=False), note)]
    if results.comparison and (difference := results.comparison.differences.get(results.primary)):
        tiles.append(Tile("Against training from scratch", _gain(score, difference.value), _verdict(difference)))
    if best:
        known = results.baseline_differences.get(best[0], {}).get(results.primary)
        note = f"{best[0]}; {_verdict(known)}" if known else best[0]
        tiles.append(Tile("Against the best baseline", _gain(score, score.value - best[1]), note))
    trained = f"{share(results.model.trainable, results.model.parameters)} of the weights trained"
    return [*tiles, Tile("Labels", counted(results.labels, results.groups), trained)]


def leakage(split: Split, groups: str) -> tuple[bool, str]:
    """Return whether the parts are as far apart as split.json says, and say what they share."""
    pairs = list(combinations(split.parts.values(), 2))
    shared = sorted({group for first, second in pairs for group in {*first.groups} & {*second.groups}})
    if shared and split.apart.groups:
        return False, f"{len(shared)} {groups} are in more than one part, such as {shared[0]}: do not trust the scores."
    nearest = min((_days_between(*spans) for a, b in pairs for spans in product(a.spans, b.spans)), default=nan)
    if split.apart.gap_days is not None and nearest < split.apart.gap_days:
        return (
            False,
            f"Two parts are only {nearest:.1f} days apart, not {split.apart.gap_days:g}: do not trust the scores.",
        )
    told = [f"The parts share {len(shared)} {groups}, at other times." if shared else f"No two parts share {groups}."]
    if isfinite(nearest):
        told.append(
            f"The nearest times of two parts are {nearest:.0f} days apart." if nearest > 0 else "They share times."
        )
    if split.apart.blocks_degrees is not None:
        told.append(f"Whole blocks of {split.apart.blocks_degrees:g} degrees on the map are in one part each.")
    return True, f"{' '.join(told)} This was checked against split.json when the page was written."


def _days_between(first: tuple[datetime, datetime], second: tuple[datetime, datetime]) -> float:
    """Return how many days lie between two spans of time, 0 where they overlap."""
    earlier, later = sorted([first, second])
    return max((later[0] - earlier[1]).total_seconds() / 86400, 0.0)


def limits(run: Run) -> list[str]:
    """Return what the scores do not show, then the notes that the run left."""
    results = run.results
    told = [
        f"The intervals tell how far the scores would vary with other test {results.groups}, which were resampled "
        "whole. They do not hold what another training seed would change: this is one seed "
        f"({results.seed}).",
    ]
    told += rough(len(run.split.parts[TEST].groups), results.groups)
    if results.comparison and any(d.excludes_zero for d in results.comparison.differences.values()):
        told.append(
            "Each difference is judged by itself. Of many metrics, some differ by chance; the primary one, "
            f"{metric_title(results.primary)}, was chosen beforehand."
        )
    if results.baselines:
        told.append("The scores of the baselines are given without intervals.")
    if results.baseline_differences:
        told.append(
            f"The differences from the {len(results.baseline_differences)} baselines hold together for each metric "
            "(Holm's correction), not over all metrics."
        )
    if run.simulated:
        told.insert(0, SIMULATED)
    return [*told, *results.notes]


def rough(tested: int, groups: str) -> list[str]:
    """Return a warning of intervals over so few groups, nothing where they are enough."""
    return [f"There are only {counted(tested, groups)} to resample: the intervals are rough."] if tested < FEW else []


def verdict(value: float, better: str, certain: bool) -> tuple[str, str]:
    """Return better, worse or, where a difference is not certain, "", and what that is in words."""
    if not certain:
        return "", COULD_BE_CHANCE
    direction = "better" if (value < 0) == (better == "lower") else "worse"
    return direction, f"{direction}, {MORE_THAN_CHANCE}"


def used(results: Results) -> str:
    """Say what the network takes from the fields and from the columns; empty where it does not look at both."""
    score = results.metrics[results.primary]
    stated = {name: quantity(value, _places(score), score.unit) for name, value in results.contributions.items()}
    if not stated:
        return ""
    name = in_sentence(metric_title(results.primary))
    told = [f"On some test examples the {name} is {stated.pop('own', UNDEFINED)}."]
    told += [
        f"With the {name} of other examples in place of their own it is {value}." for name, value in stated.items()
    ]
    return " ".join(told)


def durations(results: Results) -> str:
    """Return how long the parts of the run took."""
    rest = [f"{name.replace('_', ' ')} {duration(value)}" for name, value in results.seconds.items() if name != "total"]
    total = duration(results.seconds.get("total", nan))
    return f"{total} ({', '.join(rest)})" if rest else total


def _how(method: str) -> str:
    return METHODS.get(method, ("", f"by the method '{method}'"))[1]


def _places(score: Score) -> int:
    return decimals([score.value, score.low, score.high])


def _stated(score: Score, with_interval: bool = True) -> str:
    places = _places(score)
    limits = interval(score.low, score.high, places) if with_interval else ""
    return f"{quantity(score.value, places, score.unit)} {limits}".strip()


def _gain(score: Score, difference: float) -> str:
    """Say how much better or worse a score is that differs by `difference` from another."""
    places = _places(score)
    if not isfinite(difference):
        return UNDEFINED
    if number(difference, places) == number(0, places):
        return "no difference"
    better = (difference < 0) == (score.better == "lower")
    return f"{quantity(abs(difference), places, score.unit)} {'better' if better else 'worse'}"


def _against_comparison(results: Results) -> list[str]:
    """Say how the comparison did, and whether the difference could be chance."""
    comparison = results.comparison
    if comparison is None or results.primary not in comparison.metrics:
        return [] if results.method == "scratch" else ["Training the same network from scratch was not tried."]
    other, difference = comparison.metrics[results.primary], comparison.differences.get(results.primary)
    first = f"The same network trained {_how(comparison.method)} on the same labels reaches {_stated(other)}"
    if difference is None or not isfinite(difference.value):
        return [f"{first}; the difference is undefined."]
    return [f"{first}.", _judged(results, difference)]


def _judged(results: Results, difference: Difference) -> str:
    """Say by how much the network differs in the primary score, and whether that could be chance."""
    score = results.metrics[results.primary]
    low, high = (difference.low, difference.high) if difference.value > 0 else (-difference.high, -difference.low)
    gained = f"{_gain(score, difference.value)} {interval(low, high, _places(score))}".strip()
    chance = f"more than the choice of test {results.groups} explains"
    if not difference.excludes_zero:
        chance = "which could be chance"
    elif difference.is_corrected_away:
        chance = f"which could be chance where {len(results.baselines)} baselines are compared"
    return f"The {'network' if results.backbone is None else 'adapted network'} is {gained}, {chance}."


def _verdict(difference: Difference) -> str:
    certain = difference.excludes_zero and not difference.is_corrected_away
    return MORE_THAN_CHANCE if certain else COULD_BE_CHANCE


def _against_baseline(results: Results) -> list[str]:
    """Say how the best baseline did and how sure the difference is; of an older run, whether the interval holds it."""
    best, score = best_baseline(results, results.primary), results.metrics[results.primary]
    if best is None:
        return []
    name, value = best
    first = f"The best baseline, {name}, reaches {quantity(value, _places(score), score.unit)}"
    difference = results.baseline_differences.get(name, {}).get(results.primary)
    if difference and isfinite(difference.value):
        return [f"{first}.", _judged(results, difference)]
    if not isfinite(score.low):
        return [f"{first}."]
    there = "inside" if score.low <= value <= score.high else "outside"
    return [f"{first}: the network is {_gain(score, score.value - value)}, and the baseline lies {there} its interval."]
