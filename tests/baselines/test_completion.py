"""Laws of the hybrid that takes places from a model and displacements from a classical regression."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from toolkit.baselines.candidates import find_candidates, given_candidates
from toolkit.baselines.completion import displaced_objects
from toolkit.baselines.detection import SMOOTHING_KM, Sought, matched_template
from toolkit.baselines.displacement import steering_flow, wind_patterns
from toolkit.baselines.moving import moving_objects
from toolkit.errors import UserError
from toolkit.examples import Examples
from toolkit.geodesy import displaced, distance_km
from toolkit.scores.matching import Objects

LATER = ["latitude_24h", "longitude_24h"]
WAYS = {"steering flow": steering_flow, "wind patterns": wind_patterns}
Complete = Callable[[pd.DataFrame, Examples], pd.DataFrame]


@pytest.fixture(scope="module")
def fitted(world: dict[str, Examples], vortices: Objects) -> dict[str, Complete]:
    """Every completion's function, fitted on the made-up seasons."""
    return {
        name: displaced_objects(way, vortices, "_24h")(world["train"], world["validation"])
        for name, way in WAYS.items()
    }


@pytest.fixture(scope="module")
def model(world: dict[str, Examples], vortices: Objects) -> dict[str, pd.DataFrame]:
    """What the baselines with the matched template state, which stands in for a model: it states the same places."""
    sought = Sought(vortices, "wind_kt")
    return {
        name: moving_objects(matched_template, way, sought, "_24h")(world["train"], world["validation"])(world["test"])
        for name, way in WAYS.items()
    }


@pytest.mark.parametrize("name", WAYS)
def test_of_the_same_places_it_says_what_the_baseline_says(
    name: str, world: dict[str, Examples], fitted: dict[str, Complete], model: dict[str, pd.DataFrame]
) -> None:
    """A model that states what the baseline detects, and nothing of the day after, is completed to that baseline."""
    blank = model[name].assign(**dict.fromkeys(LATER, np.nan))
    pd.testing.assert_frame_equal(fitted[name](blank, world["test"]), model[name], rtol=1e-9)


def test_candidates_that_are_given_back_are_the_same(world: dict[str, Examples]) -> None:
    """Maxima, given by example, latitude and longitude in another order, are the candidates that they were."""
    found = find_candidates(world["test"], SMOOTHING_KM[1])
    order = np.random.default_rng(0).permutation(len(found))
    places = found.table[["example", "latitude", "longitude"]].iloc[order]
    again = given_candidates(world["test"], places, SMOOTHING_KM[1])
    pd.testing.assert_frame_equal(again.table, found.table.iloc[order].reset_index(drop=True), rtol=1e-9)
    np.testing.assert_array_equal(again.known, found.known)


def test_rows_and_all_else_that_a_model_states_stay(
    world: dict[str, Examples], fitted: dict[str, Complete], model: dict[str, pd.DataFrame]
) -> None:
    """Index, order, other columns and the table given are unchanged; a row's answer does not hang on the others."""
    complete, test = fitted["steering flow"], world["test"]
    order = np.random.default_rng(0).permutation(len(model["steering flow"]))
    given = model["steering flow"].iloc[order].assign(sure=1.0)
    before = given.copy()
    stated = complete(given, test)
    pd.testing.assert_frame_equal(given, before)
    assert stated.index.equals(given.index)
    assert list(stated) == list(given)
    pd.testing.assert_frame_equal(stated.drop(columns=LATER), given.drop(columns=LATER))
    pd.testing.assert_frame_equal(complete(given.iloc[::3], test), stated.iloc[::3], rtol=1e-9)
    pd.testing.assert_frame_equal(complete(given.iloc[:0], test), given.iloc[:0])


def test_the_displacement_starts_where_the_model_says(
    world: dict[str, Examples], fitted: dict[str, Complete], model: dict[str, pd.DataFrame]
) -> None:
    """Stated a little aside, an object goes nearly as far, from there; stated beyond the window, it still goes."""
    given, test = model["steering flow"], world["test"]
    latitude, longitude = displaced(given["latitude"], given["longitude"], 40.0, -30.0)
    aside = given.assign(latitude=latitude, longitude=longitude)
    stated, moved = fitted["steering flow"](given, test), fitted["steering flow"](aside, test)
    assert np.median(distance_km(*stated[LATER].to_numpy().T, *moved[LATER].to_numpy().T)) == pytest.approx(50, abs=15)
    beyond = given.assign(longitude=given["longitude"] + 60)
    assert np.isfinite(fitted["steering flow"](beyond, test)[LATER]).all(axis=None)


def test_the_other_hemisphere_is_a_mirror_image(
    world: dict[str, Examples], reflected: dict[str, Examples], vortices: Objects
) -> None:
    """With north and south exchanged every latitude changes its sign, and nothing else does."""
    completion = displaced_objects(steering_flow, vortices, "_24h")
    places = find_candidates(world["test"], SMOOTHING_KM[1]).table[["example", "latitude", "longitude"]]
    stated = completion(world["train"], world["validation"])(places, world["test"])
    mirror = completion(reflected["train"], reflected["validation"])(
        places.assign(latitude=-places["latitude"]), reflected["test"]
    )
    np.testing.assert_allclose(mirror[["longitude", *LATER]] * [1, -1, 1], stated[["longitude", *LATER]], atol=1e-6)


def test_what_cannot_be_learned(world: dict[str, Examples], vortices: Objects, model: dict[str, pd.DataFrame]) -> None:
    """Vortices that all end say nothing of the day after; without any vortex it is an error."""
    completion, train = displaced_objects(steering_flow, vortices, "_24h"), world["train"]
    ended = replace(train, truth=train.truth.assign(latitude_24h=np.nan))
    stated = completion(ended, world["validation"])(model["steering flow"], world["test"])
    assert stated[LATER].isna().all(axis=None)
    with pytest.raises(UserError, match="There are no vortices in the training windows"):
        completion(replace(train, truth=train.truth.iloc[:0]), world["validation"])
