"""The hurricane task without a backbone: what a forecaster can do with maxima, rings, winds and linear regression.

All baselines see the same windows as a model, and those that use the flow see the wind as well, which a model does not.
"""

from tasks.hurricane.scores import LATER, STORMS
from toolkit.baselines.completion import displaced_objects
from toolkit.baselines.detection import Detector, Sought, matched_template, vorticity_maximum
from toolkit.baselines.displacement import Displacement, persistence, steering_flow, wind_patterns
from toolkit.baselines.moving import moving_objects
from toolkit.task import Baseline, Completion

CYCLONES = Sought(STORMS, strength="wind_kt")


def _baseline(detector: Detector, displacement: Displacement) -> Baseline:
    return moving_objects(detector, displacement, CYCLONES, LATER)


BASELINES: dict[str, Baseline] = {
    "vorticity maximum + persistence": _baseline(vorticity_maximum, persistence),
    "vorticity maximum + steering flow": _baseline(vorticity_maximum, steering_flow),
    "matched template + steering flow": _baseline(matched_template, steering_flow),
    "matched template + wind patterns": _baseline(matched_template, wind_patterns),
}
COMPLETIONS: dict[str, Completion] = {
    "steering flow": displaced_objects(steering_flow, STORMS, LATER),
    "wind patterns": displaced_objects(wind_patterns, STORMS, LATER),
}
"""What the same regressions say of the cyclones that a model has found, in the place of the model's own 24 h."""
