"""Laws of the baselines for objects that move, on a made-up world."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from toolkit.baselines.detection import Sought, matched_template, vorticity_maximum
from toolkit.baselines.displacement import persistence, steering_flow, wind_patterns
from toolkit.baselines.moving import moving_objects
from toolkit.examples import Examples
from toolkit.geodesy import distance_km
from toolkit.metrics import evaluate_metrics
from toolkit.scores.matching import Objects, match
from toolkit.scores.objects import csi, median_centre_error
from toolkit.scores.threshold import choose_threshold, keep_likely
from toolkit.task import Baseline

WAYS = {
    "vorticity maximum + persistence": (vorticity_maximum, persistence),
    "vorticity maximum + steering flow": (vorticity_maximum, steering_flow),
    "matched template + steering flow": (matched_template, steering_flow),
    "matched template + wind patterns": (matched_template, wind_patterns),
}
COLUMNS = ["example", "latitude", "longitude", "probability", "wind_kt", "latitude_24h", "longitude_24h"]
Predict = Callable[[Examples], pd.DataFrame]
Hits = Callable[[pd.DataFrame, pd.DataFrame], tuple[pd.DataFrame, pd.DataFrame]]


@pytest.fixture(scope="module")
def baselines(vortices: Objects) -> dict[str, Baseline]:
    """Every way of detection and every way of displacement at least once."""
    sought = Sought(vortices, "wind_kt")
    return {name: moving_objects(*way, sought, "_24h") for name, way in WAYS.items()}


@pytest.fixture(scope="module")
def fitted(baselines: dict[str, Baseline], world: dict[str, Examples]) -> dict[str, Predict]:
    """Every baseline's function that predicts."""
    return {name: fit(world["train"], world["validation"]) for name, fit in baselines.items()}


@pytest.fixture(scope="module")
def stated(fitted: dict[str, Predict], world: dict[str, Examples]) -> dict[str, pd.DataFrame]:
    """Every baseline's predictions for the test windows."""
    return {name: predict(world["test"]) for name, predict in fitted.items()}


@pytest.mark.parametrize("name", WAYS)
def test_planted_vortices_are_found(
    name: str, world: dict[str, Examples], stated: dict[str, pd.DataFrame], vortices: Objects
) -> None:
    """Nearly all planted vortices are found where they are, nearly nothing else is, and the table is as agreed."""
    test, predictions = world["test"], stated[name]
    assert list(predictions.columns) == COLUMNS
    assert np.isfinite(predictions).all(axis=None)
    kept = keep_likely(predictions, choose_threshold(predictions, test.truth, test.table, vortices))
    scores = evaluate_metrics((csi(vortices), median_centre_error(vortices)), kept, test.truth, test.table).values()
    assert scores["csi"] > 0.95
    assert scores["median_centre_error"] < 25


@pytest.mark.parametrize("name", WAYS)
def test_the_strength_is_that_of_the_truth(
    name: str, world: dict[str, Examples], stated: dict[str, pd.DataFrame], hits: Hits
) -> None:
    """Stated winds follow the planted ones, which are proportional to the vorticity."""
    found, planted = hits(stated[name], world["test"].truth)
    assert np.abs(found["wind_kt"] - planted["wind_kt"]).mean() < 6
    assert np.corrcoef(found["wind_kt"], planted["wind_kt"])[0, 1] > 0.95


@pytest.mark.parametrize("name", [name for name in WAYS if "persistence" not in name])
def test_a_vortex_goes_where_the_wind_carries_it(
    name: str, world: dict[str, Examples], stated: dict[str, pd.DataFrame], hits: Hits
) -> None:
    """A uniform wind unlike any in the training seasons carries a vortex as far as it blows in 24 h."""
    found, planted = hits(stated[name], world["test"].truth)
    lives = planted["latitude_24h"].notna()
    moved = distance_km(planted["latitude"], planted["longitude"], planted["latitude_24h"], planted["longitude_24h"])
    missed = distance_km(
        found["latitude_24h"], found["longitude_24h"], planted["latitude_24h"], planted["longitude_24h"]
    )
    assert missed[lives].mean() < 0.35 * moved[lives].mean()


@pytest.mark.slow
def test_the_reflected_world_has_the_reflected_predictions(
    baselines: dict[str, Baseline], reflected: dict[str, Examples], stated: dict[str, pd.DataFrame]
) -> None:
    """With north and south exchanged, every latitude changes its sign and nothing else changes."""
    for name in ("vorticity maximum + persistence", "matched template + wind patterns"):
        predictions = baselines[name](reflected["train"], reflected["validation"])(reflected["test"])
        sign = [-1 if column.startswith("latitude") else 1 for column in COLUMNS]
        np.testing.assert_allclose(predictions, stated[name] * sign, atol=1e-6)


@pytest.mark.slow
def test_the_same_data_give_the_same_predictions(
    baselines: dict[str, Baseline], world: dict[str, Examples], stated: dict[str, pd.DataFrame]
) -> None:
    """A second fit gives the same numbers."""
    name = "matched template + wind patterns"
    again = baselines[name](world["train"], world["validation"])(world["test"])
    pd.testing.assert_frame_equal(again, stated[name])


@pytest.mark.parametrize("frame", [0, 1])
def test_a_missing_frame_is_seen_through(
    frame: int, fitted: dict[str, Predict], world: dict[str, Examples], without_frames: Callable[..., Examples]
) -> None:
    """Without one of the frames everything stated is finite, and what the other frame shows is found."""
    whole = world["test"].windows.time.min(axis=1) >= 0
    shown = world["test"].truth[whole[world["test"].truth["example"]]]
    for predict in fitted.values():
        predictions = predict(without_frames(world["test"], frame))
        assert np.isfinite(predictions).all(axis=None)
        _, km = match(predictions, shown, 1000)
        assert (km < 300).mean() > 0.9


def test_where_nothing_is_known_nothing_is_stated(
    fitted: dict[str, Predict], world: dict[str, Examples], without_frames: Callable[..., Examples]
) -> None:
    """Windows without any value have no predictions, in a table with the agreed columns."""
    for predict in fitted.values():
        predictions = predict(without_frames(world["test"], 0, 1))
        assert list(predictions.columns) == COLUMNS
        assert predictions.empty


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
def test_vortices_that_end_teach_no_displacement(
    name: str, baselines: dict[str, Baseline], world: dict[str, Examples]
) -> None:
    """Without a position in 24 h in the training windows, none is stated, and the rest is stated all the same."""
    truth = world["train"].truth.assign(latitude_24h=np.nan)
    predictions = baselines[name](replace(world["train"], truth=truth), world["validation"])(world["test"])
    assert predictions[["latitude_24h", "longitude_24h"]].isna().all(axis=None)
    assert np.isfinite(predictions[["latitude", "longitude", "probability", "wind_kt"]]).all(axis=None)
