"""The report's figures for hurricanes: where storms were found, how the errors grow with intensity, and 24 h ahead."""

from functools import partial

from tasks.hurricane.scores import MISSED_KT, STORMS
from toolkit.report.figure import Figure
from toolkit.report.objects import Shown
from toolkit.report.objects_errors import draw_errors_by_class, draw_later_places
from toolkit.report.objects_map import draw_objects_map

CLASSES = (("TD", 0.0), ("TS", 34.0), ("Cat 1–2", 64.0), ("Cat 3+", 96.0))
"""Best-track wind classes and where each begins, kt: depression, tropical storm, Saffir-Simpson categories."""
SHOWN = Shown(STORMS, rows="fixes", track="best track", strength="wind_kt", missed=MISSED_KT, ahead_h=24)

draw_map = partial(draw_objects_map, shown=SHOWN)
draw_error_by_intensity = partial(draw_errors_by_class, shown=SHOWN, classes=CLASSES, title="Mean intensity error, kt")
draw_position_24h = partial(draw_later_places, shown=SHOWN, metric="position_error_24h")

FIGURES = (
    Figure(
        "Where the storms were found",
        "Every test storm along its best track. A dot is a prediction within 300 km of its storm, a cross a storm that "
        "was missed, a triangle a prediction without a storm. Below, the strongest storm by itself: thin lines lead "
        "from its true centres to the stated ones, arrows from where it was, or was stated to be, to 24 h later.",
        draw_map,
    ),
    Figure(
        "Errors by intensity",
        "Means over best-track fixes by wind class: tropical depression (TD, under 34 kt), tropical storm (TS, 34 to "
        "63 kt), categories 1 and 2 (64 to 95 kt), category 3 and above. Circles count a miss as 1,000 km and as 0 kt, "
        "as the scores do; diamonds leave misses out. Bars are 95 % intervals over storms.",
        draw_error_by_intensity,
    ),
    Figure(
        "Where each storm will be in 24 h",
        "How far the stated position in 24 h lies from the true one, north up: a cloud around the cross has no bias. "
        "Beside it, the mean distance for every method; a storm that was missed counts 1,000 km.",
        draw_position_24h,
    ),
)
"""The figures of the hurricane task, in the order of the page."""
