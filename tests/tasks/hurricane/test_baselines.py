from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tasks.hurricane.baselines import BASELINES, COMPLETIONS
from tasks.hurricane.scores import METRICS, choose
from toolkit.baselines.candidates import find_candidates
from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.examples import Examples, cut_examples
from toolkit.metrics import evaluate_metrics
from toolkit.scores.threshold import keep_likely
from toolkit.task import Task


@pytest.fixture(scope="module")
def parts(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> list[Examples]:
    """Windows in which every other vorticity maximum is a storm, the stronger the higher: two sets of them."""
    even = (storm_labels["group"].str[2:4].astype(int) % 2 == 0).to_numpy()
    found = []
    for own in (even, ~even):
        examples = cut_examples(small_task, smooth_store, storm_labels, own, seed=0)
        storms = find_candidates(examples, 110).table.iloc[::2]
        truth = storms[["example", "latitude", "longitude"]].assign(wind_kt=20 * storms["peak"])
        later = {"latitude_24h": truth["latitude"] + 1, "longitude_24h": truth["longitude"] - 4}
        found.append(replace(examples, truth=truth.assign(**later)))
    return found


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_states_what_is_scored(name: str, parts: list[Examples]) -> None:
    """Each states place, probability, wind and the place in 24 h, in the columns that the scores read."""
    train, test = parts
    stated = BASELINES[name](train, test)(test)
    place = ["example", "latitude", "longitude", "probability"]
    assert list(stated) == [*place, "wind_kt", "latitude_24h", "longitude_24h"]
    assert np.isfinite(stated).all(axis=None)
    assert (stated["wind_kt"] >= 0).all()
    kept = keep_likely(stated, choose(stated, test.truth, test.table))
    values = evaluate_metrics(METRICS, kept, test.truth, test.table).values()
    assert np.isfinite(list(values.values())).all()


@pytest.mark.parametrize("name", BASELINES)
def test_without_storms_there_is_nothing_to_learn(name: str, parts: list[Examples]) -> None:
    """Windows without a storm are refused in words of the task."""
    train, test = parts
    with pytest.raises(UserError, match="There are no storms in the training windows"):
        BASELINES[name](replace(train, truth=train.truth.iloc[:0]), test)


@pytest.mark.parametrize("name", COMPLETIONS)
def test_every_completion_answers_for_the_day_after_alone(name: str, parts: list[Examples]) -> None:
    """Each replaces the place in 24 h of every cyclone that a model states, by what it learned: all go the same way."""
    train, test = parts
    columns = ["example", "latitude", "longitude", "wind_kt"]
    model = test.truth[columns].assign(probability=0.9, latitude_24h=0.0, longitude_24h=0.0)
    stated = COMPLETIONS[name](train, test)(model, test)
    assert list(stated) == list(model)
    pd.testing.assert_frame_equal(stated[[*columns, "probability"]], model[[*columns, "probability"]])
    values = evaluate_metrics(METRICS, stated, test.truth, test.table).values()
    assert values["position_error_24h"] < 250
    assert values["median_centre_error"] == 0
