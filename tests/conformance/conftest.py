"""A small task that keeps every rule, and what tasks are checked on here: the tests' own small world and backbone."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from toolkit.config import FinetuneSettings
from toolkit.conformance.rules import Outcome, outcomes
from toolkit.conformance.subject import Subject
from toolkit.examples import Examples
from toolkit.heads.features import Features, Given
from toolkit.origin import Origin
from toolkit.scores.numbers import Stated, explained_variance, mean_absolute_error, root_mean_square_error
from toolkit.split import ByYear
from toolkit.task import Inputs, Task

Checked = Callable[[Task], dict[str, Outcome]]
STATIONS = {"north": (42.0, 10.0), "west": (15.0, 250.0), "equator": (-2.0, 120.0), "south": (-35.0, 300.0)}
VALUE = Stated(("value",), "m", "value")
PLACED = Inputs(variables=("vorticity", "divergence"), frames=(-6, 0), window=(16, 16))


def labels(_path: Path) -> pd.DataFrame:
    """A number at four stations, every twelve hours of the tiny world's four years of five days."""
    time = np.concatenate(
        [np.datetime64(f"{year}-08-01", "s") + np.arange(10) * np.timedelta64(12, "h") for year in range(2001, 2005)]
    )
    tables = []
    for k, (station, (latitude, longitude)) in enumerate(STATIONS.items()):
        value = 3.0 + k + np.sin(np.arange(len(time)) + k)
        place = {"latitude": latitude, "longitude": longitude, "group": station}
        tables.append(pd.DataFrame({"time": time, **place, "value": value, "before": np.roll(value, 1)}))
    return pd.concat(tables, ignore_index=True)


class Head(nn.Module):
    """The mean token and the columns, a linear layer: one number for each window."""

    def __init__(self, given: Given) -> None:
        super().__init__()
        self.layer = nn.Linear(given.spec.dim + given.columns.width, 1)

    def forward(self, features: Features) -> Tensor:
        """Return one number (b, 1)."""
        mean = features.tokens.mean(1) if features.tokens.shape[1] else features.tokens[:, 0:0].flatten(1)
        return self.layer(torch.cat([mean, features.columns], 1))


def encode(examples: Examples) -> dict[str, NDArray[np.float32]]:
    """The number, as it is."""
    return {"value": examples.truth["value"].to_numpy(np.float32)[:, None]}


def loss(output: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The mean squared error."""
    return {"error": nn.functional.mse_loss(output, targets["value"])}


def decode(output: NDArray[np.float32], _examples: Examples) -> pd.DataFrame:
    """The number, as it is."""
    return pd.DataFrame({"example": np.arange(len(output)), "value": output[:, 0]})


def usual(train: Examples, _validation: Examples) -> Callable[[Examples], pd.DataFrame]:
    """The baseline that states the training mean."""
    mean = float(train.truth["value"].mean())
    return lambda examples: pd.DataFrame({"example": np.arange(len(examples)), "value": mean})


def moved(train: Examples, _validation: Examples) -> Callable[[pd.DataFrame, Examples], pd.DataFrame]:
    """The completion that moves what a model states to the training mean, in its own table."""
    mean = float(train.truth["value"].mean())
    return lambda predictions, _examples: predictions.assign(value=predictions["value"] * 0 + mean)


SOUND = Task(
    name="sound",
    summary="A number at four stations",
    inputs=PLACED,
    labels=labels,
    head=Head,
    encode=encode,
    loss=loss,
    decode=decode,
    metrics=(
        root_mean_square_error("value_rmse", VALUE),
        mean_absolute_error("value_mae", VALUE),
        explained_variance("value_r2", VALUE),
    ),
    primary="value_rmse",
    baselines={"usual": usual},
    completions={"moved": moved},
    strata=lambda labels: labels["latitude"] > 0,
    split=ByYear(whole_groups=False),
    groups="stations",
    needs="none",
)


@pytest.fixture(scope="session")
def sound() -> Task:
    """A small task that keeps every rule."""
    return SOUND


@pytest.fixture(scope="session")
def checked(tiny_world: Path, random_backbone: Path) -> Checked:
    """Check a task by all rules; the outcomes by the rules' names."""

    def check(task: Task) -> dict[str, Outcome]:
        settings = FinetuneSettings(task=task.name, backbone=str(random_backbone))
        subject = Subject(task, settings, Origin(tiny_world), task.sample is not None)
        return {outcome.rule.name: outcome for outcome in outcomes(subject)}

    return check
