from pathlib import Path

import pytest

from toolkit.metrics import evaluate_metrics
from toolkit.report.objects import Shown, outcome
from toolkit.report.read import read_run
from toolkit.scores.matching import Objects
from toolkit.scores.objects import detection_metrics

STORMS = Objects("a storm", "storms", hit_km=300.0, near_km=225.0, cap_km=1000.0)
SHOWN = Shown(STORMS, rows="fixes", track="best track", strength="wind_kt", missed=0.0, ahead_h=24)


def test_what_became_of_objects_agrees_with_the_scores(finished_run: Path) -> None:
    """Hits, false alarms and errors are those that the metrics count."""
    tables = read_run(finished_run).tables
    seen = outcome(tables, SHOWN)
    examples = tables.truth.drop_duplicates("example").set_index("example")[["group"]]
    known = evaluate_metrics(detection_metrics(STORMS), tables.predictions, tables.truth, examples).values()
    assert seen.objects["found"].mean() == pytest.approx(known["pod"])
    assert len(seen.alarms) / len(tables.predictions) == pytest.approx(known["far"])
    assert seen.objects["centre_error_km"].mean() == pytest.approx(known["mean_centre_error"])


def test_a_missed_object_is_wrong_by_its_strength(finished_run: Path) -> None:
    """The error of the strength is that of the own prediction, and that of the declared number where it is missed."""
    objects = outcome(read_run(finished_run).tables, SHOWN).objects
    found, missed = objects[objects["found"]], objects[~objects["found"]]
    assert len(found)
    assert len(missed)
    assert found["strength_error"].to_numpy() == pytest.approx((found["stated_wind_kt"] - found["wind_kt"]).abs())
    assert missed["strength_error"].to_numpy() == pytest.approx(missed["wind_kt"])
    assert missed.filter(like="stated_").isna().all(axis=None)
