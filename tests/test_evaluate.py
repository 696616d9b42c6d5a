from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from toolkit.adapt import Lora
from toolkit.backbones.weights import load_backbone
from toolkit.data.store import Store
from toolkit.evaluate import (
    corrected_differences,
    differences,
    metric_intervals,
    outputs,
    plain_values,
    predictor,
    scored,
)
from toolkit.examples import Examples, cut_examples
from toolkit.frozen import computed
from toolkit.metrics import evaluate_metrics
from toolkit.parts import Parts, assemble
from toolkit.task import Task


@pytest.fixture(scope="module")
def examples(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> Examples:
    """The windows of six storms."""
    own = storm_labels["group"].isin(sorted(set(storm_labels["group"]))[:6]).to_numpy()
    return cut_examples(small_task, smooth_store, storm_labels, own, seed=0)


@pytest.fixture(scope="module")
def parts(small_task: Task, random_backbone: Path) -> Parts:
    """A model with random weights."""
    backbone = load_backbone(random_backbone)
    parts = assemble(small_task, backbone.card, backbone, "full", Lora(), seed=0)
    torch.nn.init.normal_(parts.model.head.pixels.out.weight, generator=torch.Generator().manual_seed(0))
    return parts


def oracle(shift: float, extra: int = 0) -> Callable[[Examples], pd.DataFrame]:
    """A method that states every storm `shift` degrees north of where it is, and improbable ones beside."""

    def predict(examples: Examples) -> pd.DataFrame:
        truth = examples.truth.drop(columns="group").fillna({"latitude_24h": 0.0, "longitude_24h": 0.0})
        said = truth.assign(
            probability=0.9, latitude=truth["latitude"] + shift, latitude_24h=truth["latitude_24h"] + shift
        )
        false = said.iloc[:extra]
        return pd.concat([said, false.assign(probability=0.1, latitude=false["latitude"] - 20)], ignore_index=True)

    return predict


def test_outputs_do_not_depend_on_the_chunks(examples: Examples, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """All windows come out in order however they are cut into chunks; the model is left evaluating."""
    parts.model.train()
    whole = outputs(parts, examples)
    assert not parts.model.training
    monkeypatch.setattr("toolkit.frozen.CHUNK", 7)
    chunked = outputs(parts, examples)
    assert whole.shape == (len(examples), 6, 16, 16)
    np.testing.assert_allclose(chunked, whole, rtol=1e-4, atol=1e-4)
    assert np.ptp(whole, 0).max() > 0.1


def test_outputs_are_those_of_the_whole_model(small_task: Task, random_backbone: Path, examples: Examples) -> None:
    """With what is frozen at hand the outputs, and what is stated by them, are the same to half precision."""
    backbone = load_backbone(random_backbone)
    parts = assemble(small_task, backbone.card, backbone, "lora", Lora(rank=2, blocks=1), seed=0)
    torch.nn.init.normal_(parts.model.head.pixels.out.weight, generator=torch.Generator().manual_seed(0))
    frozen = computed(parts, examples, "cpu")
    whole, kept = outputs(parts, examples), outputs(parts, examples, frozen)
    np.testing.assert_allclose(kept, whole, rtol=5e-3, atol=5e-3 * np.abs(whole).max())
    assert not np.array_equal(kept, whole)
    stated = predictor(small_task, parts, frozen)(examples)
    pd.testing.assert_frame_equal(stated, small_task.decode(kept, examples))


def test_the_threshold_is_chosen_on_validation(small_task: Task, examples: Examples) -> None:
    """Improbable false alarms of validation raise the threshold, and with it they go from the test as well."""
    result = scored(small_task, oracle(0.1, extra=20), examples, examples)
    assert set(result.thresholds) == {"probability"}
    assert 0.1 < result.thresholds["probability"] <= 0.9
    assert len(result.table) == len(examples.truth)
    again = evaluate_metrics(small_task.metrics, result.table, examples.truth, examples.table)
    assert result.scores.values() == again.values()


def test_intervals_hold_the_value(small_task: Task, examples: Examples) -> None:
    """Each metric comes with unit, direction and an interval around its value; several runs are taken together."""
    runs = [scored(small_task, oracle(shift), examples, examples).scores for shift in (0.1, 0.3)]
    found = metric_intervals(small_task.metrics, runs)
    assert set(found) == {metric.name for metric in small_task.metrics}
    defined = {name: numbers for name, numbers in found.items() if numbers["value"] is not None}
    assert small_task.primary in defined
    for name, numbers in defined.items():
        assert numbers["low"] - 1e-3 <= numbers["value"] <= numbers["high"] + 1e-3, name
        assert numbers["better"] in ("higher", "lower")
        assert isinstance(numbers["unit"], str)
        assert numbers["meaning"]


def test_a_difference_is_ours_minus_theirs(small_task: Task, examples: Examples) -> None:
    """A method that is nearer has a negative difference of its error, clear of zero; the same method has none."""
    near, far = (scored(small_task, oracle(shift), examples, examples).scores for shift in (0.1, 1.0))
    found = differences(small_task.metrics, [near], [far])[small_task.primary]
    assert found["value"] < 0
    assert found["high"] < 0
    assert found["excludes_zero"] is True
    assert found["value"] == pytest.approx(-differences(small_task.metrics, [far], [near])[small_task.primary]["value"])
    same = differences(small_task.metrics, [near], [near])[small_task.primary]
    assert same["value"] == 0
    assert same["excludes_zero"] is False
    errors = [plain_values(scores)[small_task.primary] for scores in (near, far)]
    assert found["value"] == pytest.approx(errors[0] - errors[1], abs=1e-3)


def test_differences_from_several_are_corrected_together(small_task: Task, examples: Examples) -> None:
    """Each is the difference from that one alone; the smallest p-value counts as often as there are others."""
    ours, near, far = (scored(small_task, oracle(shift), examples, examples).scores for shift in (0.1, 0.11, 1.0))
    found = corrected_differences(small_task.metrics, ours, {"near": near, "far": far})
    for name, other in (("near", near), ("far", far)):
        alone = differences(small_task.metrics, [ours], [other])
        assert alone == {m: {k: v for k, v in d.items() if k != "p_holm"} for m, d in found[name].items()}
    of_primary = {name: found[name][small_task.primary] for name in ("near", "far")}
    least = min(of_primary.values(), key=lambda d: d["p_value"])
    assert least["p_holm"] == pytest.approx(2 * least["p_value"], abs=1e-4)
    assert all(d["p_holm"] >= d["p_value"] for d in of_primary.values())
    single = corrected_differences(small_task.metrics, ours, {"far": far})["far"][small_task.primary]
    assert single["p_holm"] == single["p_value"]


def test_what_has_the_same_sums_is_corrected_for_once(small_task: Task, examples: Examples) -> None:
    """Beside its double, another has the p-value that it has alone, and so has the double."""
    ours, near, far = (scored(small_task, oracle(shift), examples, examples).scores for shift in (0.1, 0.11, 1.0))
    alone = corrected_differences(small_task.metrics, ours, {"near": near, "far": far})
    beside = corrected_differences(small_task.metrics, ours, {"near": near, "double": near, "far": far})
    assert beside == alone | {"double": alone["near"]}


def test_a_difference_from_an_undefined_score_is_none(small_task: Task, examples: Examples) -> None:
    """A rival without predictions has no position error; the difference is None throughout, and claims nothing."""

    def silent(examples: Examples) -> pd.DataFrame:
        return oracle(0.0)(examples).iloc[:0]

    ours, theirs = (scored(small_task, said, examples, examples).scores for said in (oracle(0.1), silent))
    found = corrected_differences(small_task.metrics, ours, {"silent": theirs})["silent"]["far"]
    assert found == dict.fromkeys(("value", "low", "high", "p_value", "p_holm")) | {"excludes_zero": False}


def test_scores_of_small_numbers_keep_their_digits(small_task: Task, examples: Examples) -> None:
    """An error in units that make it tiny is not rounded away."""
    metric = small_task.metrics[-1]
    tiny = replace(metric, name="tiny", finish=lambda sums: 1e-9 * metric.finish(sums))
    task = replace(small_task, metrics=(*small_task.metrics, tiny))
    values = plain_values(scored(task, oracle(0.1), examples, examples).scores)
    assert values["tiny"] == pytest.approx(1e-9 * values[metric.name], rel=1e-5)
    assert 0 < values["tiny"] < 1e-6


def test_an_undefined_score_is_none(small_task: Task, examples: Examples) -> None:
    """A score that no window defines is None, not NaN: JSON has none."""

    def silent(examples: Examples) -> pd.DataFrame:
        return oracle(0.0)(examples).iloc[:0]

    values = plain_values(scored(small_task, silent, examples, examples).scores)
    assert None in values.values()
    assert all(value is None or np.isfinite(value) for value in values.values())
