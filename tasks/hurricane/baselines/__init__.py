"""The hurricane task without a backbone: what a forecaster can do with maxima, rings, winds and linear regression.

A baseline is a way to detect cyclones and a way to displace them. All of them see the same windows as a model, and
those that use the flow see the wind as well, which a model does not.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from tasks.hurricane.baselines.detection import Detection, Identified, matched_template, vorticity_maximum
from tasks.hurricane.baselines.displacement import Displace, persistence, steering_flow, wind_patterns
from toolkit.examples import Examples
from toolkit.task import Baseline

COLUMNS = ["example", "latitude", "longitude", "probability", "wind_kt", "latitude_24h", "longitude_24h"]


def _baseline(
    detector: Callable[[Examples, Examples], Detection], displacement: Callable[[Identified, Identified], Displace]
) -> Baseline:
    """Return the baseline that detects in the one way, and displaces what it has detected in the other."""

    def fit(train: Examples, validation: Examples) -> Callable[[Examples], pd.DataFrame]:
        detection = detector(train, validation)
        displace = displacement(detection.train, detection.validation)

        def predict(examples: Examples) -> pd.DataFrame:
            found = detection.detect(examples)
            latitude, longitude = displace(found) if len(found) else (np.empty(0), np.empty(0))
            return found.table.assign(latitude_24h=latitude, longitude_24h=longitude)[COLUMNS]

        return predict

    return fit


BASELINES: dict[str, Baseline] = {
    "vorticity maximum + persistence": _baseline(vorticity_maximum, persistence),
    "vorticity maximum + steering flow": _baseline(vorticity_maximum, steering_flow),
    "matched template + steering flow": _baseline(matched_template, steering_flow),
    "matched template + wind patterns": _baseline(matched_template, wind_patterns),
}
