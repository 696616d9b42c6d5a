"""The best-track writer: what a simulated world has made, and what the format cannot hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from toolkit.data.best_track import Layout, read_best_track, write_best_track
from toolkit.errors import UserError


def simulated() -> pd.DataFrame:
    """Two storms as a simulated world has them: sorted by time, unrounded, without radii."""
    return pd.DataFrame(
        {
            "storm": ["AL012000", "AL022000", "AL012000"],
            "name": ["ONE", "TWO", "ONE"],
            "time": np.array(["2000-08-01T00", "2000-08-01T00", "2000-08-01T06"], "M8[ns]"),
            "record": ["", "", "L"],
            "status": ["TS", "TD", "HU"],
            "latitude": [12.34, -0.02, 13.06],
            "longitude": [310.26, 179.97, -50.04],
            "wind_kt": [47.3, np.nan, 64.9],
            "pressure_hpa": [994.6, 1008.0, np.nan],
        }
    )


def test_a_simulated_table_is_written_in_the_current_layout(tmp_path: Path) -> None:
    """Storms are put together, values rounded to the format, longitudes brought within 180 degrees."""
    path = tmp_path / "world" / "hurdat2.txt"
    write_best_track(path, simulated())
    missing = ", -999" * 13 + "\n"
    lines = [
        "AL012000,                ONE,      2,\n",
        "20000801, 0000,  , TS, 12.3N,  49.7W,  47,  995" + missing,
        "20000801, 0600, L, HU, 13.1N,  50.0W,  65, -999" + missing,
        "AL022000,                TWO,      1,\n",
        "20000801, 0000,  , TD,  0.0S, 180.0W, -99, 1008" + missing,
    ]
    assert path.read_bytes().decode() == "".join(lines)
    assert read_best_track(path).findings == ()


REFUSED = {
    "column unknown": ({"wind_kts": 1.0}, r"No best track column 'wind_kts'. Did you mean 'wind_kt'\?"),
    "storm": ({"storm": ["AL012000", "ATLANTIC", "AL022000"]}, "'ATLANTIC': must be an identifier such as AL092021"),
    "name with a comma": ({"name": "A,B"}, "its name must be 1 to 19 printable characters"),
    "name too long": ({"name": "A" * 20}, "its name must be 1 to 19"),
    "two names": ({"name": ["A", "B", "C"]}, "more than one name"),
    "time as text": ({"time": "20000801"}, "must hold datetime64"),
    "no time": ({"time": pd.NaT}, "must be a time"),
    "time twice": ({"time": np.datetime64("2000-08-01", "ns")}, "given once for a storm"),
    "seconds": ({"time": np.array(["2000-08-01T00:00:01", "2000-08-01", "2001-01-01"], "M8[ns]")}, "a whole minute"),
    "year": ({"time": np.array(["1690-08-01", "2000-08-01", "2001-01-01"], "M8[ns]")}, "in a year from 1700"),
    "record": ({"record": "Q"}, "record is 'Q' and must be one of C G I L P R S T W or ''"),
    "status": ({"status": "hurricane"}, "must be one of TD TS"),
    "latitude": ({"latitude": [0.0, np.nan, 0.0]}, "'AL022000' at 2000-08-01 .* latitude is nan"),
    "longitude": ({"longitude": 400.0}, "longitude is 400.0 and must be from -360 to 360"),
    "wind": ({"wind_kt": 1000.0}, "wind_kt is 1000.0 and must be from 0 to 999, or missing"),
    "infinite": ({"pressure_hpa": np.inf}, "pressure_hpa is inf"),
    "negative": ({"radius_34kt_ne_nmi": -5.0}, "radius_34kt_ne_nmi is -5.0"),
    "not a number": ({"wind_kt": "strong"}, "must be numbers"),
    "no place in 20 fields": ({"radius_of_maximum_wind_nmi": 20.0}, "20 fields have no place"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_format_cannot_hold_is_not_written(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """The error names storm, time, column and value, and the file that was there is untouched."""
    path = tmp_path / "hurdat2.txt"
    path.write_text("as it was")
    with pytest.raises(UserError, match=message):
        write_best_track(path, simulated().assign(**change), Layout(fields=20))
    assert path.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [path]


def test_tables_without_what_is_needed_are_not_written(tmp_path: Path) -> None:
    """A missing column and an empty table are errors."""
    with pytest.raises(UserError, match="needs the columns name, wind_kt"):
        write_best_track(tmp_path / "a", simulated().drop(columns=["name", "wind_kt"]))
    with pytest.raises(UserError, match="at least one fix"):
        write_best_track(tmp_path / "a", simulated().iloc[:0])
