"""Which candidates are cyclones, and how strong: by the vorticity maximum alone, or by the rings around it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from tasks.hurricane.baselines.candidates import Array, Candidates, find_candidates
from tasks.hurricane.baselines.regression import Sample, likeliest_classifier, nearest_regressor, polynomial
from tasks.hurricane.baselines.surroundings import ring_means
from tasks.hurricane.scores import CSI, HIT_KM, choose_threshold, keep_likely, match
from toolkit.errors import UserError
from toolkit.examples import Examples, kilometres_per_pixel
from toolkit.metrics import evaluate_metrics

SMOOTHING_KM = (75.0, 110.0, 160.0)
"""What the vorticity maximum tries; the rings, which smooth by themselves, take the middle one."""
RINGS_KM = (125.0, 265.0, 405.0, 670.0)
EDGE_KM = 600.0
"""As far as this, the distance from the window's edge tells how much of a candidate is seen."""
RIDGES = (1.0, 30.0, 1000.0)

Describe = Callable[[Candidates], Array]
"""Candidates -> what a regression knows of each, (k, numbers)."""


@dataclass(frozen=True, eq=False)
class Identified:
    """Candidates of windows whose cyclones are known, and each one's row in the truth, -1 where it is no cyclone."""

    candidates: Candidates
    row: NDArray[np.intp]

    @property
    def is_cyclone(self) -> NDArray[np.bool_]:
        """Which candidates are cyclones, (k,)."""
        return self.row >= 0

    def cyclones(self) -> "Identified":
        """Return the candidates that are cyclones."""
        table = self.candidates.table[self.is_cyclone].reset_index(drop=True)
        return Identified(replace(self.candidates, table=table), self.row[self.is_cyclone])

    def truth(self, column: str) -> Array:
        """Return a column of the truth for each candidate (k,), NaN where it is no cyclone."""
        return np.append(self.candidates.examples.truth[column].to_numpy(np.float64), np.nan)[self.row]


@dataclass(frozen=True, eq=False)
class Detection:
    """What was learned: detect(windows) -> their candidates, whose table has probability and wind_kt too; from whom."""

    detect: Callable[[Examples], Candidates]
    train: Identified
    validation: Identified


def identify(candidates: Candidates) -> Identified:
    """Tell which candidates are cyclones: the nearest to each cyclone, within the radius of a hit."""
    own, km = match(candidates.table, candidates.examples.truth)
    row = np.full(len(candidates), -1)
    row[own[km <= HIT_KM]] = np.flatnonzero(km <= HIT_KM)
    return Identified(candidates, row)


def vorticity_maximum(train: Examples, validation: Examples) -> Detection:
    """Detect by the maximum alone: the greater it is, the likelier and the stronger the cyclone.

    The smoothing is the one with the best csi on the validation windows.
    Raises UserError where there is no cyclone to learn from.
    """
    _check(train, validation)
    smoothing_km = max(SMOOTHING_KM, key=lambda km: _csi(find_candidates(validation, km)))
    return _fitted(train, validation, smoothing_km, lambda candidates: candidates.column("peak")[:, None], (1,))


def matched_template(train: Examples, validation: Examples) -> Detection:
    """Detect by a quadratic discriminant of what the rings around the maximum hold, in every frame.

    A cyclone is nearly round: rings are its template, with less noise and fewer numbers than a patch of pixels. The
    squares and products tell the convergence that goes with a strong vortex from that which goes with a weak one.
    Raises UserError where there is no cyclone to learn from.
    """
    _check(train, validation)
    return _fitted(train, validation, SMOOTHING_KM[1], _rings, (1, 2))


def _rings(candidates: Candidates) -> Array:
    """Return the ring means, what share of them each frame shows, and the candidate's edge distance, latitude, peak."""
    means, share = ring_means(candidates, RINGS_KM)
    (h, w), y, x = candidates.fields.shape[-2:], candidates.column("y"), candidates.column("x")
    pixels = np.minimum.reduce([y, h - 1 - y, x, w - 1 - x])
    edge = np.minimum(pixels * kilometres_per_pixel(candidates.examples.store), EDGE_KM)
    latitude, peak = np.abs(candidates.column("latitude")), np.log(candidates.column("peak") + 0.1)
    in_rows = means.reshape(len(candidates), np.prod(means.shape[1:]))
    return np.column_stack([in_rows, share.mean(axis=-1), edge, latitude, peak])


def _fitted(
    train: Examples, validation: Examples, smoothing_km: float, describe: Describe, degrees: Sequence[int]
) -> Detection:
    """Fit probability and wind as polynomials of what `describe` says of a candidate."""
    parts = [identify(find_candidates(examples, smoothing_km)) for examples in (train, validation)]
    cyclones = parts[0].is_cyclone
    if cyclones.all() or not cyclones.any():
        raise UserError(
            f"{cyclones.sum()} of {len(cyclones)} vorticity maxima in the training windows are labelled cyclones: a "
            "baseline needs some that are and some that are not. Check the labels' positions, or add labels."
        )
    values = [describe(part.candidates) for part in parts]
    classify = likeliest_classifier(degrees, *(Sample(v, p.is_cyclone) for v, p in zip(values, parts, strict=True)))
    choices = [polynomial(degree, Ridge(ridge)) for degree in degrees for ridge in RIDGES]
    winds = (Sample(v, p.truth("wind_kt")) for v, p in zip(values, parts, strict=True))
    grade = nearest_regressor(choices, *winds)

    def detect(examples: Examples) -> Candidates:
        found = find_candidates(examples, smoothing_km)
        if not len(found):
            return replace(found, table=found.table.assign(probability=0.0, wind_kt=0.0))
        seen = describe(found)
        stated = {"probability": classify.predict_proba(seen)[:, 1], "wind_kt": grade.predict(seen).clip(0)}
        return replace(found, table=found.table.assign(**stated))

    return Detection(detect, *parts)


def _check(train: Examples, validation: Examples) -> None:
    for name, examples in (("training", train), ("validation", validation)):
        if examples.truth.empty:
            raise UserError(f"No cyclone in the {name} windows, so a baseline has nothing to learn from. Add labels.")


def _csi(candidates: Candidates) -> float:
    """Return the csi of the maxima above the threshold that states as many as there are."""
    truth, examples = candidates.examples.truth, candidates.examples.table
    stated = candidates.table.assign(probability=candidates.table["peak"], wind_kt=0.0)
    stated = stated.assign(latitude_24h=np.nan, longitude_24h=np.nan)
    kept = keep_likely(stated, choose_threshold(stated, truth, examples))
    return evaluate_metrics((CSI,), kept, truth, examples).values()[CSI.name]
