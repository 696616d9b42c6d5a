"""A baseline for objects that move: a way to detect them, and a way to displace what was detected."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from toolkit.baselines.detection import Detector, Sought
from toolkit.baselines.displacement import Displacement
from toolkit.examples import Examples
from toolkit.task import Baseline


def moving_objects(detector: Detector, displacement: Displacement, sought: Sought, suffix: str) -> Baseline:
    """Return the baseline that detects in the one way, and displaces what it has detected in the other.

    Its predictions have the columns example, latitude, longitude, probability, the strength, and latitude and longitude
    with the suffix of the later place.
    """
    columns = ["example", "latitude", "longitude", "probability", sought.strength]

    def fit(train: Examples, validation: Examples) -> Callable[[Examples], pd.DataFrame]:
        detection = detector(train, validation, sought)
        displace = displacement(detection.train, detection.validation, suffix)

        def predict(examples: Examples) -> pd.DataFrame:
            found = detection.detect(examples)
            latitude, longitude = displace(found) if len(found) else (np.empty(0), np.empty(0))
            later = {f"latitude{suffix}": latitude, f"longitude{suffix}": longitude}
            return found.table[columns].assign(**later)

        return predict

    return fit
