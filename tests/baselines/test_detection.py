"""Which maxima are objects, in a made-up world."""

from dataclasses import replace

import numpy as np
import pytest

from toolkit.baselines.candidates import find_candidates
from toolkit.baselines.detection import Detector, Sought, identify, matched_template, vorticity_maximum
from toolkit.errors import UserError
from toolkit.examples import Examples
from toolkit.scores.matching import Objects


def test_objects_are_identified_within_the_radius_of_a_hit(clear: Examples, vortices: Objects) -> None:
    """Every planted vortex is the candidate at its place; a label 400 km beside it is no candidate at all."""
    found = find_candidates(clear, 110)
    known = identify(found, vortices)
    assert sorted(known.row[known.is_object]) == list(range(len(clear.truth)))
    assert np.abs(known.objects().truth("latitude") - known.objects().candidates.column("latitude")).max() < 0.5
    beside = clear.truth.assign(latitude=clear.truth["latitude"] + 3.6)
    assert not identify(replace(found, examples=replace(clear, truth=beside)), vortices).is_object.any()


def test_a_greater_maximum_is_a_likelier_and_stronger_vortex(world: dict[str, Examples], vortices: Objects) -> None:
    """By the vorticity maximum, probability and wind rise with the peak."""
    detection = vorticity_maximum(world["train"], world["validation"], Sought(vortices, "wind_kt"))
    table = detection.detect(world["test"]).table.sort_values("peak")
    assert (np.diff(table["probability"]) >= 0).all()
    assert (np.diff(table["wind_kt"]) >= 0).all()
    assert table["probability"].iloc[-1] > 0.99
    assert table["wind_kt"].iloc[-1] > 2 * table["wind_kt"].iloc[0]


@pytest.mark.parametrize("detector", [vorticity_maximum, matched_template])
def test_no_object_is_an_error_that_says_so(detector: Detector, world: dict[str, Examples], vortices: Objects) -> None:
    """Training or validation windows without an object, or objects where there is no maximum, are refused."""
    train, validation, sought = world["train"], world["validation"], Sought(vortices, "wind_kt")
    nothing = train.truth.iloc[:0]
    with pytest.raises(UserError, match="There are no vortices in the training windows"):
        detector(replace(train, truth=nothing), validation, sought)
    with pytest.raises(UserError, match="validation windows"):
        detector(train, replace(validation, truth=nothing), sought)
    elsewhere = train.truth.assign(longitude=(train.truth["longitude"] + 180) % 360)
    with pytest.raises(UserError, match=r"0 of .* are labelled vortices"):
        detector(replace(train, truth=elsewhere), validation, sought)
