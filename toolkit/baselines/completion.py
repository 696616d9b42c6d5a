"""A hybrid for objects that move: a model says where they are, a classical method where they will be."""

from collections.abc import Callable

import pandas as pd

from toolkit.baselines.candidates import find_candidates, given_candidates
from toolkit.baselines.detection import SMOOTHING_KM, check_labelled, identify
from toolkit.baselines.displacement import Displacement
from toolkit.baselines.moving import later_places
from toolkit.examples import Examples
from toolkit.scores.matching import Objects
from toolkit.task import Completion


def displaced_objects(displacement: Displacement, objects: Objects, suffix: str) -> Completion:
    """Return the completion that displaces every object a model states, from where the model states it.

    The displacement is learned as that of the baselines is, from the true objects among the vorticity maxima of the
    windows. It replaces the columns latitude and longitude with the suffix; NaN where no true object has a later place.
    Predictions need the columns example, latitude, longitude (degrees). Fitting raises `UserError` without an object.
    """
    smoothing_km = SMOOTHING_KM[1]

    def fit(train: Examples, validation: Examples) -> Callable[[pd.DataFrame, Examples], pd.DataFrame]:
        check_labelled(train, validation, objects)
        known, judged = (identify(find_candidates(part, smoothing_km), objects) for part in (train, validation))
        displace = displacement(known, judged, suffix)

        def complete(predictions: pd.DataFrame, examples: Examples) -> pd.DataFrame:
            stated = given_candidates(examples, predictions, smoothing_km)
            return predictions.assign(**later_places(displace, stated, suffix))

        return complete

    return fit
