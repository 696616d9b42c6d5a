"""Boxes of events: where they are drawn, when, and which are refused."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from toolkit.data.label_catalogue import catalogue_events, drawn
from toolkit.data.regrid import regular_grid
from toolkit.errors import UserError

AXES = regular_grid(10.0)
COLUMNS = "kind,start,end,latitude_min,latitude_max,longitude_min,longitude_max"
LATITUDE, LONGITUDE = AXES


def case(event_type: str = "heat_wave", start: Any = "2021-06-20 00:00:00", **edges: float) -> dict[str, Any]:
    """A case in ExtremeWeatherBench's words, five days long."""
    box = {"latitude_min": 35.0, "latitude_max": 65.0, "longitude_min": -20.0, "longitude_max": 20.0} | edges
    return {
        "case_id_number": 1, "title": "A heat wave", "start_date": start, "end_date": "2021-06-25 12:00:00",
        "location": {"type": "bounded_region", "parameters": box}, "event_type": event_type,
    }  # fmt: skip


@pytest.fixture
def catalogue(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes cases as YAML."""

    def written(*cases: dict[str, Any]) -> Path:
        (tmp_path / "events.yaml").write_text(yaml.safe_dump(list(cases)))
        return tmp_path / "events.yaml"

    return written


def maps_of(path: Path, kind: str = "heat") -> Any:
    """The maps of a kind on the 10 degree grid."""
    return drawn(*catalogue_events(path, Counter()), [kind], AXES)[kind]


@pytest.mark.parametrize(
    ("west", "east", "columns"),
    [
        (-20.0, 20.0, [34, 35, 0, 1, 2]),
        (340.0, 380.0, [34, 35, 0, 1, 2]),
        (340.0, 20.0, [34, 35, 0, 1, 2]),
        (170.0, -170.0, [17, 18, 19]),
        (170.0, 190.0, [17, 18, 19]),
        (-180.0, 180.0, list(range(36))),
        (33.0, 37.0, [3]),
    ],
)
def test_a_box_is_drawn_eastward_from_its_western_edge(
    catalogue: Callable[..., Path], west: float, east: float, columns: list[int]
) -> None:
    """Across Greenwich and the date line, however they are counted; a box between two centres marks one cell."""
    maps = maps_of(catalogue(case(longitude_min=west, longitude_max=east)))
    field = maps[0].values
    assert sorted(np.flatnonzero(field.any(0))) == sorted(columns)
    assert list(LATITUDE[field.any(1)]) == [60.0, 50.0, 40.0]
    assert set(np.unique(field)) <= {0.0, 1.0}


def test_an_event_lasts_from_its_start_to_its_end_and_absence_is_known_between_the_dates_of_the_catalogue(
    catalogue: Callable[..., Path],
) -> None:
    """Six-hourly, both ends included, also where an event lies between two of the times; other times of it are 0."""
    later = case("tropical_cyclone", "2021-06-28 07:00:00") | {"end_date": "2021-06-28 08:00:00"}
    path = catalogue(case(), later)
    heat, cyclone = maps_of(path), maps_of(path, "tropical_cyclone")
    assert heat.time.values[0] == np.datetime64("2021-06-20T00")
    assert heat.time.values[-1] == np.datetime64("2021-06-28T06")
    assert (np.diff(heat.time) == np.timedelta64(6, "h")).all()
    on = heat.any(("latitude", "longitude"))
    assert on.time[on.values].values[-1] == np.datetime64("2021-06-25T12")
    assert int(on.sum()) == 23
    there = cyclone.any(("latitude", "longitude"))
    assert list(there.time[there.values].values) == [np.datetime64("2021-06-28T06")]
    assert not np.isnan(heat).any()


def test_it_does_not_matter_in_which_blocks_of_times_boxes_are_drawn(
    catalogue: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One block and many give the same maps."""
    path = catalogue(case(), case(start="2021-06-22 00:00:00", latitude_min=-40.0, latitude_max=-10.0))
    whole = maps_of(path).values
    monkeypatch.setattr("toolkit.data.label_catalogue.TIMES_AT_ONCE", 3)
    np.testing.assert_array_equal(maps_of(path).values, whole)
    assert whole.any((0, 2)).sum() == 3 + 4


def test_other_kinds_and_places_are_left_out_and_counted(catalogue: Callable[..., Path]) -> None:
    """Severe convection and shapefiles are not read; centred regions are, by the length of their sides."""
    centred = case() | {
        "location": {
            "type": "centered_region",
            "parameters": {"latitude": 50, "longitude": 0, "bounding_box_degrees": [30, 40]},
        }
    }
    shape = case() | {"location": {"type": "shapefile_region", "parameters": {"shapefile_path": "x.shp"}}}
    left_out: Counter[str] = Counter()
    events, _ = catalogue_events(catalogue(centred, shape, case("freeze"), case("freeze")), left_out)
    assert len(events) == 1
    row = events.iloc[0]
    assert (row.latitude_min, row.latitude_max, row.west, row.width) == (35, 65, -20, 40)
    assert left_out == {
        "events whose place is a shapefile_region, which is not read": 1,
        "events of type freeze, which is none of the kinds of events": 2,
    }


AROUND = {"latitude": 50, "longitude": 0, "bounding_box_degrees": [30, 40, 50]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (case(latitude_min=70.0), r"case 1 \(A heat wave\): the event has a latitude_min north of its latitude_max"),
        (case(longitude_min=30.0), r"longitude_min east of its longitude_max, by more than half the globe"),
        (case(longitude_min=-300.0), None),
        (case(longitude_min=-400.0), r"is wider than the globe"),
        (case(latitude_max=120.0), r"reaches beyond a pole"),
        (case(latitude_max=float("nan")), r"has an edge that is no number"),
        (case(start="midsummer"), r"start 'midsummer' is not a date"),
        (case(start="1020-07-20"), r"start '1020-07-20' is not a date of the years 1900 to 2100"),
        (case(latitude_min="abc"), r"Case 0 of .* is not as ExtremeWeatherBench writes it: ValueError\(.*'abc'"),
        (case(start="2021-07-20"), r"ends before it starts"),
        (case("heat_wav"), r"case 1 \(A heat wave\): No class of extreme events 'heat_wav'. Did you mean 'heat_wave'"),
        (
            case() | {"location": {"type": "centered_region", "parameters": AROUND}},
            r"Case 0 of .* is not as ExtremeWeatherBench writes it: ValueError",
        ),
        ({"title": "nothing"}, r"Case 0 of .* is not as ExtremeWeatherBench writes it: KeyError\('location'\)"),
    ],
)
def test_impossible_events_are_refused(
    catalogue: Callable[..., Path], wrong: dict[str, Any], message: str | None
) -> None:
    """Each is named with what is wrong; a box of 320 degrees is wide, but one."""
    path = catalogue(wrong)
    if message is None:
        assert catalogue_events(path, Counter())[0].width.tolist() == [320]
        return
    with pytest.raises(UserError, match=message):
        catalogue_events(path, Counter())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "kind,start\nheat,2001-08-01\n", r"is no table of events: it lacks end, latitude_min"),
        ("x.csv", "", r"is not a table with a header"),
        ("x.csv", f"{COLUMNS}\n", r"has a header and no rows"),
        ("x.csv", f"{COLUMNS}\n\nheat,2001-08-01,3001-08-02,0,10,0,10\n", r"x\.csv, line 3: end '3001-08-02' is not"),
        ("x.csv", f"{COLUMNS}\nheet,2001-08-01,2001-08-02,0,10,0,10\n", r"x\.csv, line 2: No class .* 'heet'"),
        ("x.csv", f"{COLUMNS}\nh\xe4at,2001-08-01,2001-08-02,0,10,0,10\n", r"is not text in UTF-8"),
        ("x.yaml", "- title: h\xe4at", r"is not valid YAML: 'utf-8' codec"),
        ("x.yaml", "- start_date: 2021-06-31", r"is not valid YAML: day is out of range"),
        ("x.yaml", "[]", r"lists no event"),
        ("x.yaml", "a: [", r"is not valid YAML"),
        ("x.yaml", "a: 1", r"is no list of events"),
    ],
)
def test_files_that_are_no_catalogue_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    """What is there is named, and what should be."""
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=message):
        catalogue_events(tmp_path / name, Counter())


def test_a_missing_catalogue_is_named(tmp_path: Path) -> None:
    """There is no file to read."""
    with pytest.raises(UserError, match=r"There is no catalogue of events .*none\.csv"):
        catalogue_events(tmp_path / "none.csv", Counter())


def test_the_cases_of_extremeweatherbench(real_data: Path) -> None:
    """Of 329 cases 200 are of our kinds; the two that cross Greenwich with a smaller longitude_max are narrow."""
    left_out: Counter[str] = Counter()
    path = real_data / "events" / "extremeweatherbench-1.0.2.post1-events.yaml"
    events, (first, last) = catalogue_events(path, left_out)
    assert events["kind"].value_counts().to_dict() == {"tropical_cyclone": 98, "filament": 56, "heat": 46}
    assert sorted(left_out.values()) == [14, 115]
    assert (first, last) == (pd.Timestamp("2020-01-10T12"), pd.Timestamp("2024-11-22T00"))
    assert events["width"].between(1, 100).all()
    maps = drawn(events, (first, last), ["heat"], AXES)["heat"]
    northwest = maps.sel(time="2021-06-28T00", latitude=50, longitude=240)
    assert float(northwest) == 1.0
    assert float(maps.sel(time="2021-06-28T00").sum()) < 20
