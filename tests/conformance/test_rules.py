"""Each rule has tasks that break it, and it alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from toolkit.conformance.rules import RULES
from toolkit.metrics import Metric, Statistic, sum_by_group
from toolkit.scores.numbers import Stated, mean_absolute_error
from toolkit.split import Apart
from toolkit.task import Inputs, Maps, Task

pytestmark = pytest.mark.slow

Broken = Callable[[Task], Task]
BROKEN: list[tuple[str, str, str, Broken]] = []
"""A rule, the place and a part of the sentence it must give, and what breaks a sound task."""


def breaks(rule: str, place: str, said: str) -> Callable[[Broken], Broken]:
    """Note a function that breaks a rule."""

    def note(broken: Broken) -> Broken:
        BROKEN.append((rule, place, said, broken))
        return broken

    return note


def raises(*_given: object) -> None:
    """Fail, as a plug-in does."""
    raise KeyError("rain_mm")


@breaks("description", "name", "'Rain at Points'")
def _name_with_blanks(task: Task) -> Task:
    return replace(task, name="Rain at Points")


@breaks("description", "summary", "it is empty")
def _no_summary(task: Task) -> Task:
    return replace(task, summary=" ")


@breaks("description", "groups", "several lines")
def _groups_in_two_lines(task: Task) -> Task:
    return replace(task, groups="stations\nand ships")


@breaks("description", "needs", "it is empty")
def _no_needs(task: Task) -> Task:
    return replace(task, needs="")


@breaks("metric list", "metrics", "there is none")
def _no_metric(task: Task) -> Task:
    return replace(task, metrics=())


@breaks("metric list", "metric value_mae", "two metrics have this name")
def _one_metric_twice(task: Task) -> Task:
    return replace(task, metrics=(*task.metrics, mean_absolute_error("value_mae", Stated(("value",), "m", "value"))))


@breaks("metric list", "metric value_rmse", "its unit is empty")
def _no_unit(task: Task) -> Task:
    return replace(task, metrics=(replace(task.metrics[0], unit=""), *task.metrics[1:]))


@breaks("metric list", "metric value_rmse", "its limits are inf and 0")
def _limits_the_other_way_round(task: Task) -> Task:
    return replace(task, metrics=(replace(task.metrics[0], limits=(np.inf, 0.0)), *task.metrics[1:]))


@breaks("metric list", "primary", "Did you mean 'value_rmse'?")
def _misspelt_primary(task: Task) -> Task:
    return replace(task, primary="value_rms")


@breaks("inputs", "inputs", "looks at nothing")
def _no_input(task: Task) -> Task:
    return replace(task, inputs=Inputs())


@breaks("inputs", "variable vorticty", "Did you mean 'vorticity'?")
def _misspelt_variable(task: Task) -> Task:
    return replace(task, inputs=replace(task.inputs, variables=("vorticty", "divergence")))


@breaks("inputs", "inputs.variables", "also looks at divergence")
def _variable_of_the_backbone_missing(task: Task) -> Task:
    return replace(task, inputs=replace(task.inputs, variables=("vorticity",)))


@breaks("inputs", "inputs.frames", "they are 0, -6 h")
def _latest_frame_first(task: Task) -> Task:
    return replace(task, inputs=replace(task.inputs, frames=(0, -6)))


@breaks("inputs", "inputs.window", "it is 16 by 18 pixels")
def _window_of_broken_tokens(task: Task) -> Task:
    return replace(task, inputs=replace(task.inputs, window=(16, 18)))


@breaks("inputs", "readout next_frame", "Did you mean 'next_frames'?")
def _misspelt_readout(task: Task) -> Task:
    return replace(task, readouts=("next_frame",))


@breaks("inputs", "input vorticity", "named twice")
def _variable_named_twice(task: Task) -> Task:
    return replace(task, inputs=replace(task.inputs, also=("vorticity",)))


@breaks("inputs", "maps.known", "the frame 24 h is not known beforehand")
def _map_of_the_next_day_known(task: Task) -> Task:
    return replace(task, maps=Maps(("rain",), (48,), raises, known=(0, 24)))


@breaks("sample", "sample", "it raises KeyError: 'rain_mm'")
def _sample_that_raises(task: Task) -> Task:
    return replace(task, sample=raises)


@breaks("labels", "labels", "No column of the labels of sound 'latitude'")
def _column_missing(task: Task) -> Task:
    return replace(task, labels=lambda path: task.labels(path).rename(columns={"latitude": "lat"}))


@breaks("labels", "labels", "No column of the labels of sound 'befor'")
def _input_column_missing(task: Task) -> Task:
    return replace(task, inputs=replace(task.inputs, columns=("befor",)))


@breaks("labels", "labels", "read twice, 'value' differs")
def _labels_with_noise(task: Task) -> Task:
    rng = np.random.default_rng()
    return replace(task, labels=lambda path: task.labels(path).assign(value=rng.normal(4, 1, 160)))


@breaks("labels", "labels", "does not say how many rows are left out: no value")
def _left_out_without_a_count(task: Task) -> Task:
    def labels(path: object) -> pd.DataFrame:
        table = task.labels(path)
        table.attrs["left_out"] = {"no value": ["row 3"]}
        return table

    return replace(task, labels=labels)


@dataclass(frozen=True)
class Splitting:
    """A split by any function."""

    part: Callable[[pd.DataFrame], object]
    apart: Apart = Apart(gap_days=5.0)  # noqa: RUF009 - it is frozen

    def __call__(self, labels: pd.DataFrame) -> object:
        """Return the part of each row."""
        return self.part(labels)


@breaks("parts", "split", "does not give a part for each row")
def _split_without_an_index(task: Task) -> Task:
    return replace(task, split=Splitting(lambda labels: task.split(labels).to_numpy()))


@breaks("parts", "split", "it gives the part 'holdout'")
def _unknown_part(task: Task) -> Task:
    return replace(task, split=Splitting(lambda labels: task.split(labels).replace("test", "holdout")))


@breaks("parts", "split", "no row falls into the part validation")
def _no_validation(task: Task) -> Task:
    return replace(task, split=Splitting(lambda labels: task.split(labels).replace("validation", "train")))


@breaks("parts", "strata", "must be a Series with the index of the labels")
def _one_stratum_for_all(task: Task) -> Task:
    return replace(task, strata=lambda labels: labels["group"].iloc[0])


@breaks("parts", "placement", "does not fit on a grid")
def _window_larger_than_the_world(task: Task) -> Task:
    return replace(task, inputs=replace(task.inputs, window=(512, 512)))


@breaks("apart", "split", "does not say what holds")
def _nothing_said_of_the_split(task: Task) -> Task:
    return replace(task, split=Splitting(task.split, Apart()))


@breaks("apart", "split", "train and test share 4 groups")
def _groups_that_straddle(task: Task) -> Task:
    return replace(task, split=Splitting(task.split, Apart(groups=True)))


@breaks("columns", "inputs.columns", "'before' is 'some' in row")
def _text_in_a_number_column(task: Task) -> Task:
    def labels(path: object) -> pd.DataFrame:
        table = task.labels(path)
        return table.assign(before=table["before"].astype(object).where(table.index % 7 > 0, "some"))

    return replace(task, labels=labels, inputs=replace(task.inputs, columns=("before",)))


@breaks("encode", "encode", "it returns ndarray")
def _one_array(task: Task) -> Task:
    return replace(task, encode=lambda examples: task.encode(examples)["value"])


@breaks("encode", "encode", "'value' is object, not an array of numbers")
def _targets_of_objects(task: Task) -> Task:
    return replace(task, encode=lambda examples: {"value": task.encode(examples)["value"].astype(object)})


@breaks("encode", "encode", "'value' has the shape (1,")
def _examples_on_another_axis(task: Task) -> Task:
    return replace(task, encode=lambda examples: {"value": task.encode(examples)["value"].T})


@breaks("encode", "encode", "'value' is infinite")
def _infinite_target(task: Task) -> Task:
    return replace(task, encode=lambda examples: {"value": task.encode(examples)["value"] * np.float32(np.inf)})


@breaks("encode", "encode", "asked for alone, 'value' differs")
def _scaled_by_the_batch(task: Task) -> Task:
    def encode(examples: object) -> dict[str, np.ndarray]:
        value = task.encode(examples)["value"]
        return {"value": value - value.mean()}

    return replace(task, encode=encode)


class Wrapped(nn.Module):
    """A head whose output another function changes."""

    def __init__(self, head: nn.Module, change: Callable[[nn.Module, torch.Tensor], object]) -> None:
        super().__init__()
        self.inside, self.change, self.steps = head, change, 0

    def forward(self, features: object) -> object:
        """Return the changed output."""
        self.steps += self.training
        return self.change(self, self.inside(features))


def _changed(task: Task, change: Callable[[nn.Module, torch.Tensor], object]) -> Task:
    return replace(task, head=lambda given: Wrapped(task.head(given), change))


@breaks("head", "head", "it raises KeyError: 'rain_mm'")
def _head_that_raises(task: Task) -> Task:
    return replace(task, head=raises)


@breaks("head", "head", "of 8 windows it returns tuple")
def _two_outputs(task: Task) -> Task:
    return _changed(task, lambda _head, output: (output, output))


@breaks("head", "head", "of 8 windows it returns (1, 8)")
def _windows_on_another_axis(task: Task) -> Task:
    return _changed(task, lambda _head, output: output.T)


@breaks("head", "head", "differs in eval mode")
def _noise_in_eval_mode(task: Task) -> Task:
    return _changed(task, lambda _head, output: output + torch.randn_like(output))


@breaks("head", "head", "built twice from one seed")
def _weights_from_elsewhere(task: Task) -> Task:
    rng = np.random.default_rng()

    def head(given: object) -> nn.Module:
        built = task.head(given)
        nn.init.constant_(built.layer.bias, rng.normal())
        return built

    return replace(task, head=head)


@breaks("head", "head", "not finite")
def _output_without_a_number(task: Task) -> Task:
    return _changed(task, lambda _head, output: output / 0 * 0)


@breaks("loss", "loss", "it returns Tensor")
def _one_scalar(task: Task) -> Task:
    return replace(task, loss=lambda output, targets: task.loss(output, targets)["error"])


@breaks("loss", "loss, part error", "it is nan")
def _loss_without_a_number(task: Task) -> Task:
    return replace(task, loss=lambda output, _targets: {"error": (output - np.nan).mean()})


@breaks("loss", "loss, part error", "it is (8, 1)")
def _loss_of_each_window(task: Task) -> Task:
    return replace(task, loss=lambda output, targets: {"error": (output - targets["value"]).abs()})


@breaks("loss", "loss", "does not reach the head")
def _loss_of_a_detached_output(task: Task) -> Task:
    return replace(task, loss=lambda output, targets: task.loss(output.detach(), targets))


@breaks("loss", "loss", "its gradient is not finite")
def _root_of_zero(task: Task) -> Task:
    return replace(task, loss=lambda output, _targets: {"error": (output - output).sum().abs().sqrt() + output.sum()})


@breaks("loss", "head", "nothing to train")
def _frozen_head(task: Task) -> Task:
    return replace(task, head=lambda given: task.head(given).requires_grad_(False))


@breaks("decode", "decode", "it returns ndarray, not a pandas table")
def _array_of_predictions(task: Task) -> Task:
    return replace(task, decode=lambda output, _examples: output)


@breaks("decode", "decode", "no column 'example'")
def _no_example_stated(task: Task) -> Task:
    return replace(task, decode=lambda output, examples: task.decode(output, examples).drop(columns="example"))


@breaks("decode", "decode", "other things than the numbers 0 to 39")
def _examples_that_there_are_not(task: Task) -> Task:
    return replace(task, decode=lambda output, examples: task.decode(output, examples).assign(example=99))


@breaks("decode", "decode", "called twice, 'value' differs in 40 rows")
def _noise_in_predictions(task: Task) -> Task:
    rng = np.random.default_rng()
    return replace(task, decode=lambda output, examples: task.decode(output + rng.normal(), examples))


@breaks("decode", "decode", "asked for alone, 'value' differs")
def _predictions_drawn_to_their_mean(task: Task) -> Task:
    return replace(task, decode=lambda output, examples: task.decode(output - output.mean(), examples))


@breaks("decode", "decode", "it changes the output")
def _output_changed_in_place(task: Task) -> Task:
    def decode(output: np.ndarray, examples: object) -> pd.DataFrame:
        output += 1
        return task.decode(output, examples)

    return replace(task, decode=decode)


@breaks("blind decode", "decode", "without the truth it raises KeyError: 'value'")
def _predictions_copied(task: Task) -> Task:
    return replace(
        task,
        decode=lambda output, examples: task.decode(output, examples).assign(value=examples.truth["value"].to_numpy()),
    )


@breaks("blind decode", "decode", "without the truth there are 40 and 0 rows")
def _stated_where_truth_is(task: Task) -> Task:
    def decode(output: np.ndarray, examples: object) -> pd.DataFrame:
        stated = task.decode(output, examples)
        return stated[stated["example"].isin(examples.truth["example"])]

    return replace(task, decode=decode)


@breaks("blind split", "split", "made twice, it is another one")
def _split_by_chance(task: Task) -> Task:
    orders = cycle([YEARS, YEARS[::-1]])

    def part(labels: pd.DataFrame) -> pd.Series:
        return labels["time"].dt.year.map(dict(zip(range(2001, 2005), next(orders), strict=True)))

    return replace(task, split=Splitting(part))


YEARS = ["train", "train", "validation", "test"]


@breaks("blind split", "split, column value", "depend on this target")
def _split_by_a_target(task: Task) -> Task:
    def part(labels: pd.DataFrame) -> pd.Series:
        order = labels["value"].groupby(labels["time"].dt.year).first().rank().astype(int) - 1
        return labels["time"].dt.year.map(order.map(dict(enumerate(YEARS))))

    return replace(task, split=Splitting(part))


@breaks("truth", "truth", "no column 'example'")
def _truth_of_no_example(task: Task) -> Task:
    return replace(task, truth=lambda examples: examples.truth.drop(columns="example"))


@breaks("truth", "truth", "for train it has no row")
def _empty_truth(task: Task) -> Task:
    return replace(task, truth=lambda examples: examples.truth.iloc[:0])


def _with_metric(task: Task, compute: Callable, finish: Callable) -> Task:
    metric = Metric("odd", "m", "lower", "an odd error", Statistic("odd sums", compute), finish, (0.0, np.inf))
    return replace(task, metrics=(*task.metrics, metric))


def _absolute_errors(predictions: pd.DataFrame, truth: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    error = (predictions.set_index("example")["value"] - truth.set_index("example")["value"]).abs()
    rows = pd.DataFrame({"example": error.index, "error": error.to_numpy(), "count": 1.0})
    return sum_by_group(rows, examples)


@breaks("chunks", "metric odd", "in one chunk and")
def _mean_of_means(task: Task) -> Task:
    def compute(*tables: pd.DataFrame) -> pd.DataFrame:
        sums = _absolute_errors(*tables)
        return pd.DataFrame({"mean": sums["error"] / sums["count"]})

    return _with_metric(task, compute, lambda sums: sums["mean"])


@breaks("scores", "metrics", "must return one row per group")
def _statistic_of_all_groups(task: Task) -> Task:
    def compute(*tables: pd.DataFrame) -> pd.DataFrame:
        return _absolute_errors(*tables).sum().to_frame().T

    return _with_metric(task, compute, lambda sums: sums["error"])


@breaks("scores", "keep", "it returns list")
def _keep_of_a_list(task: Task) -> Task:
    return replace(task, keep=lambda predictions, _thresholds: [predictions])


@breaks("scores", "choose", "it raises KeyError: 'rain_mm'")
def _choose_that_raises(task: Task) -> Task:
    return replace(task, choose=raises)


@breaks("perfect", "metric odd", "for a perfect prediction it is 1, not 0")
def _score_one_off(task: Task) -> Task:
    return _with_metric(task, _absolute_errors, lambda sums: sums["error"] / sums["count"] + 1)


@breaks("perfect", "metric odd", "for a perfect prediction it is not defined")
def _primary_score_that_is_never_defined(task: Task) -> Task:
    return replace(_with_metric(task, _absolute_errors, lambda sums: sums["error"] * np.nan), primary="odd")


def _with_baseline(task: Task, predict: Callable[[object], object]) -> Task:
    return replace(task, baselines={"odd": lambda _train, _validation: predict})


@breaks("baselines", "baseline odd", "it raises KeyError: 'rain_mm'")
def _baseline_that_raises(task: Task) -> Task:
    return replace(task, baselines={"odd": raises})


@breaks("baselines", "baseline odd", "it returns int")
def _baseline_of_a_number(task: Task) -> Task:
    return _with_baseline(task, len)


@breaks("baselines", "baseline odd", "No column of the predictions 'value'. Did you mean 'val'?")
def _baseline_that_cannot_be_scored(task: Task) -> Task:
    return _with_baseline(task, lambda examples: pd.DataFrame({"example": np.arange(len(examples)), "val": 1.0}))


@breaks("baselines", "baseline odd", "fitted twice, 'value' differs")
def _baseline_of_chance(task: Task) -> Task:
    rng = np.random.default_rng()
    return _with_baseline(
        task, lambda examples: pd.DataFrame({"example": np.arange(len(examples)), "value": rng.normal(4, 1)})
    )


@breaks("baselines", "baseline odd", "without the truth 'value' differs")
def _baseline_that_knows(task: Task) -> Task:
    return _with_baseline(task, lambda examples: examples.truth[["example", "value"]].copy())


Completed = Callable[[pd.DataFrame, object], object]


def _with_completion(task: Task, complete: Completed) -> Task:
    return replace(task, completions={"odd": lambda _train, _validation: complete})


@breaks("completions", "completion odd", "it raises KeyError: 'rain_mm'")
def _completion_that_raises(task: Task) -> Task:
    return replace(task, completions={"odd": raises})


@breaks("completions", "completion odd", "it returns int")
def _completion_of_a_number(task: Task) -> Task:
    return _with_completion(task, lambda predictions, _examples: len(predictions))


@breaks("completions", "completion odd", "the columns differ (sure)")
def _completion_with_a_column_more(task: Task) -> Task:
    return _with_completion(task, lambda predictions, _examples: predictions.assign(sure=1.0))


@breaks("completions", "completion odd", "there are 40 and 39 rows")
def _completion_that_drops_a_row(task: Task) -> Task:
    return _with_completion(task, lambda predictions, _examples: predictions.iloc[1:])


@breaks("completions", "completion odd", "'example' differs in 40 rows")
def _completion_in_another_order(task: Task) -> Task:
    return _with_completion(task, lambda predictions, _examples: predictions.iloc[::-1])


@breaks("completions", "completion odd", "it changes the table that it is given: 'value' differs")
def _predictions_changed_in_place(task: Task) -> Task:
    def complete(predictions: pd.DataFrame, _examples: object) -> pd.DataFrame:
        predictions["value"] += 1
        return predictions

    return _with_completion(task, complete)


@breaks("completions", "completion odd", "fitted twice, 'value' differs")
def _completion_of_chance(task: Task) -> Task:
    rng = np.random.default_rng()
    return _with_completion(task, lambda predictions, _examples: predictions.assign(value=rng.normal(4, 1)))


@breaks("completions", "completion odd", "it raises ValueError")
def _completion_that_cannot_be_scored(task: Task) -> Task:
    return _with_completion(task, lambda predictions, _examples: predictions.assign(value="high"))


@breaks("completions", "completion odd", "without the truth 'value' differs")
def _completion_that_knows(task: Task) -> Task:
    return _with_completion(
        task, lambda predictions, examples: predictions.assign(value=examples.truth["value"].to_numpy())
    )


@breaks("methods", "method scratch", "saved and loaded, it says something else")
def _state_beside_the_weights(task: Task) -> Task:
    return _changed(task, lambda head, output: output + head.steps)


@breaks("methods", "method probe", "At step 0 validation is inf")
def _loss_that_overflows_in_validation(task: Task) -> Task:
    def loss(output: torch.Tensor, targets: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"error": task.loss(output, targets)["error"] * (np.inf if len(output) > 16 else 1.0)}

    return replace(task, loss=loss)


@pytest.mark.parametrize(
    ("rule", "place", "said", "broken"), BROKEN, ids=[case[-1].__name__.strip("_") for case in BROKEN]
)
def test_a_broken_task_is_caught_by_one_rule(
    sound: Task, checked, rule: str, place: str, said: str, broken: Broken
) -> None:
    """The rule that a task breaks names the place and what is wrong there; no other rule fails."""
    found = checked(broken(sound))
    assert [name for name, outcome in found.items() if outcome.state == "FAILED"] == [rule]
    told = [problem for problem in found[rule].problems if problem.place == place and said in problem.wrong]
    assert told, found[rule].problems
    assert told[0].remedy or "raises" not in said


def test_a_sound_task_keeps_all_rules(sound: Task, checked) -> None:
    """Nothing is wrong with a task that does as it should, and every rule has been asked."""
    assert {name: outcome.state for name, outcome in checked(sound).items()} == {rule.name: "ok" for rule in RULES}


def test_every_rule_is_broken_by_a_task() -> None:
    """There is no rule that cannot fail."""
    assert {case[0] for case in BROKEN} == {rule.name for rule in RULES}
