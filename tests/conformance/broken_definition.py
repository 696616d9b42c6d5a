"""Tasks that are broken in what they say of themselves, their labels and their split."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np
import pandas as pd
import pytest

from toolkit.scores.numbers import Stated, mean_absolute_error
from toolkit.split import Apart
from toolkit.task import Inputs, Maps, Task

breaks = pytest.mark.breaks


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


@breaks("blind columns", "inputs.columns", "'value' is an input and is predicted: leave it out of inputs.columns")
def _input_that_is_predicted(task: Task) -> Task:
    return replace(task, inputs=replace(task.inputs, columns=("before", "value")))


@breaks("blind columns", "inputs.columns", "'hint' says what is predicted, 'value', in every row")
def _input_in_another_unit(task: Task) -> Task:
    def labels(path: object) -> pd.DataFrame:
        table = task.labels(path)
        return table.assign(hint=(273.15 - 2 * table["value"]).astype("float32"))

    return replace(task, labels=labels, inputs=replace(task.inputs, columns=("before", "hint")))


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
