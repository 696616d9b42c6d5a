"""A baseline for objects that move: a way to detect them, and a way to displace what was detected."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from toolkit.baselines.candidates import Array, Candidates
from toolkit.baselines.detection import Detector, Sought
from toolkit.baselines.displacement import Displace, Displacement
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
            return found.table[columns].assign(**later_places(displace, found, suffix))

        return predict

    return fit


def later_places(displace: Displace, found: Candidates, suffix: str) -> dict[str, Array]:
    """Return where the candidates will be, as the columns latitude and longitude with the suffix."""
    latitude, longitude = displace(found) if len(found) else (np.empty(0), np.empty(0))
    return {f"latitude{suffix}": latitude, f"longitude{suffix}": longitude}
