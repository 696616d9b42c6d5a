"""Which candidates are the objects sought, and how strong: by the vorticity maximum, or by the rings around it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from toolkit.baselines.candidates import Array, Candidates, find_candidates
from toolkit.baselines.regression import Sample, likeliest_classifier, nearest_regressor, polynomial
from toolkit.baselines.surroundings import ring_means
from toolkit.errors import UserError
from toolkit.examples import Examples, kilometres_per_pixel
from toolkit.metrics import evaluate_metrics
from toolkit.scores.matching import Objects, match
from toolkit.scores.objects import csi
from toolkit.scores.threshold import choose_threshold, keep_likely

SMOOTHING_KM = (75.0, 110.0, 160.0)
"""What the vorticity maximum tries; the rings, which smooth by themselves, take the middle one."""
RINGS_KM = (125.0, 265.0, 405.0, 670.0)
EDGE_KM = 600.0
"""As far as this, the distance from the window's edge tells how much of a candidate is seen."""
RIDGES = (1.0, 30.0, 1000.0)

Describe = Callable[[Candidates], Array]
"""Candidates -> what a regression knows of each, (k, numbers)."""


@dataclass(frozen=True)
class Sought:
    """What is to be detected, and the column of the truth, at least 0, that says how strong it is."""

    objects: Objects
    strength: str


@dataclass(frozen=True, eq=False)
class Identified:
    """Candidates of windows whose objects are known, and each one's row in the truth, -1 where it is no object."""

    candidates: Candidates
    row: NDArray[np.intp]

    @property
    def is_object(self) -> NDArray[np.bool_]:
        """Which candidates are objects, (k,)."""
        return self.row >= 0

    def objects(self) -> "Identified":
        """Return the candidates that are objects."""
        table = self.candidates.table[self.is_object].reset_index(drop=True)
        return Identified(replace(self.candidates, table=table), self.row[self.is_object])

    def truth(self, column: str) -> Array:
        """Return a column of the truth for each candidate (k,), NaN where it is no object."""
        return np.append(self.candidates.examples.truth[column].to_numpy(np.float64), np.nan)[self.row]


@dataclass(frozen=True, eq=False)
class Detection:
    """What was learned, and from whom.

    detect(windows) -> their candidates, whose table has the probability and the strength of each too.
    """

    detect: Callable[[Examples], Candidates]
    train: Identified
    validation: Identified


Detector = Callable[[Examples, Examples, Sought], Detection]
"""(training, validation, what is sought) -> what was learned."""


def identify(candidates: Candidates, objects: Objects) -> Identified:
    """Tell which candidates are objects: the nearest to each object, within the radius of a hit."""
    own, km = match(candidates.table, candidates.examples.truth, objects.cap_km)
    row = np.full(len(candidates), -1)
    row[own[km <= objects.hit_km]] = np.flatnonzero(km <= objects.hit_km)
    return Identified(candidates, row)


def check_labelled(train: Examples, validation: Examples, objects: Objects) -> None:
    """Raise `UserError` where either has no object to learn from."""
    for name, examples in (("training", train), ("validation", validation)):
        if examples.truth.empty:
            raise UserError(
                f"There are no {objects.many} in the {name} windows, so a baseline has nothing to learn from. "
                "Add labels."
            )


def vorticity_maximum(train: Examples, validation: Examples, sought: Sought) -> Detection:
    """Detect by the maximum alone: the greater it is, the likelier and the stronger the object.

    The smoothing is the one with the best csi on the validation windows.
    Raises UserError where there is no object to learn from.
    """
    check_labelled(train, validation, sought.objects)
    smoothing_km = max(SMOOTHING_KM, key=lambda km: _csi(find_candidates(validation, km), sought.objects))
    return _fitted(train, validation, sought, smoothing_km, lambda found: found.column("peak")[:, None], (1,))


def matched_template(train: Examples, validation: Examples, sought: Sought) -> Detection:
    """Detect by a quadratic discriminant of what the rings around the maximum hold, in every frame.

    A cyclone is nearly round: rings are its template, with less noise and fewer numbers than a patch of pixels. The
    squares and products tell the convergence that goes with a strong vortex from that which goes with a weak one.
    Raises UserError where there is no object to learn from.
    """
    check_labelled(train, validation, sought.objects)
    return _fitted(train, validation, sought, SMOOTHING_KM[1], _rings, (1, 2))


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
    train: Examples,
    validation: Examples,
    sought: Sought,
    smoothing_km: float,
    describe: Describe,
    degrees: Sequence[int],
) -> Detection:
    """Fit probability and strength as polynomials of what `describe` says of a candidate."""
    parts = [identify(find_candidates(examples, smoothing_km), sought.objects) for examples in (train, validation)]
    positive = parts[0].is_object
    if positive.all() or not positive.any():
        raise UserError(
            f"{positive.sum()} of {len(positive)} vorticity maxima in the training windows are labelled "
            f"{sought.objects.many}: a baseline needs some that are and some that are not. Check the labels' "
            "positions, or add labels."
        )
    values = [describe(part.candidates) for part in parts]
    classify = likeliest_classifier(degrees, *(Sample(v, p.is_object) for v, p in zip(values, parts, strict=True)))
    choices = [polynomial(degree, Ridge(ridge)) for degree in degrees for ridge in RIDGES]
    strengths = (Sample(v, p.truth(sought.strength)) for v, p in zip(values, parts, strict=True))
    grade = nearest_regressor(choices, *strengths)

    def detect(examples: Examples) -> Candidates:
        found = find_candidates(examples, smoothing_km)
        stated = {"probability": np.empty(0), sought.strength: np.empty(0)}
        if len(found):
            seen = describe(found)
            stated = {"probability": classify.predict_proba(seen)[:, 1], sought.strength: grade.predict(seen).clip(0)}
        return replace(found, table=found.table.assign(**stated))

    return Detection(detect, *parts)


def _csi(candidates: Candidates, objects: Objects) -> float:
    """Return the csi of the maxima above the threshold of `choose_threshold`."""
    truth, examples, metric = candidates.examples.truth, candidates.examples.table, csi(objects)
    stated = candidates.table.assign(probability=candidates.table["peak"])
    kept = keep_likely(stated, choose_threshold(stated, truth, examples, objects))
    return evaluate_metrics((metric,), kept, truth, examples).values()[metric.name]
