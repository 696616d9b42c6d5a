"""Peaks of a field: a task with which nothing but prediction can be done."""

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import maximum_filter

from toolkit.data.normalise import Normalisation
from toolkit.examples import Examples
from toolkit.heads.features import Given
from toolkit.heads.pixels import PixelHead
from toolkit.scores.threshold import keep_likely
from toolkit.task import Inputs, Placement, Task

NORMALISATION = Normalisation(("vorticity", "divergence"), ("s-1", "s-1"), (0.0, 0.0), (2e-5, 5e-6))


def random_head(given: Given) -> PixelHead:
    """A pixel head for a logit and two displacements, its last layer drawn at random."""
    head = PixelHead(given.spec, 3)
    torch.nn.init.normal_(head.out.weight, std=0.5)
    return head


def peaks(field: np.ndarray, output: np.ndarray, examples: Examples) -> pd.DataFrame:
    """Return the highest points of a field (n, h, w) in the windows, which become more probable the higher they are."""
    example, row, column = np.nonzero(field == maximum_filter(field, (1, 3, 3)))
    latitude, longitude = examples.degrees(example, row, column)
    east, poleward = output[example, 1:, row, column].T
    return pd.DataFrame(
        {
            "example": example,
            "latitude": latitude,
            "longitude": longitude,
            "probability": 1 / (1 + np.exp(-field[example, row, column])),
            "latitude_24h": latitude + poleward * np.where(examples.mirrored(example), -1, 1),
            "longitude_24h": (longitude + east) % 360,
        }
    )


def by_network(output: np.ndarray, examples: Examples) -> pd.DataFrame:
    """What a random network makes of the windows: arbitrary, but a function of them alone."""
    return peaks(output[:, 0], output, examples)


def vorticity_maxima(output: np.ndarray, examples: Examples) -> pd.DataFrame:
    """State the strongest vorticity of each window, whatever the network says."""
    return peaks(np.nan_to_num(examples.fields(NORMALISATION)[:, -1, 0]), output * 0, examples)


def vorticity_peaks(fields_alone: bool = False) -> Task:
    """Return the task: what is stated is a random network's, or the fields' alone."""
    unused: dict = dict.fromkeys(("labels", "encode", "loss"))
    return Task(
        name="peaks",
        summary="",
        inputs=Inputs(NORMALISATION.names, (-6, 0), (8, 8)),
        placement=Placement(1, objects=True),
        head=random_head,
        decode=vorticity_maxima if fields_alone else by_network,
        keep=keep_likely,
        threshold_limits=(0.0, 1.0),
        apart_km=300.0,
        metrics=(),
        primary="",
        **unused,
    )


TASK = vorticity_peaks
