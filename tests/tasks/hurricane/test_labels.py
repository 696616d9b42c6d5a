from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.hurricane.labels import labels
from toolkit.errors import UserError

REST = ", ".join(["   0"] * 12) + ","
TRACK = f"""AL012020,              ALPHA,      9,
20200801, 0000,  , LO, 10.0N,  50.0W,  25, 1008, {REST}
20200801, 0600,  , TD, 10.5N,  51.0W,  30, 1006, {REST}
20200801, 0900, L, TS, 10.7N,  51.4W,  35, 1004, {REST}
20200801, 1200,  , TS, 11.0N,  52.0W,  40, 1003, {REST}
20200801, 1800,  , TS, 11.5N,  53.0W, -99, 1001, {REST}
20200802, 0600,  , HU, 12.5N,  55.0W,  70,  985, {REST}
20200802, 1200,  , EX, 13.0N,  56.0W,  60,  990, {REST}
20200802, 1800,  , EX, 13.5N,  57.0W,  50,  992, {REST}
20200803, 0610,  , TS, 14.0N,  58.0W,  45,  995, {REST}
AL022020,               BETA,      2,
20200802, 0600,  , TD, 20.0N, 179.5E,  30, 1005, {REST}
20200803, 0600,  , SS, 21.0N, 179.0W,  35, 1004, {REST}
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A world folder with two storms."""
    (tmp_path / "hurdat2.txt").write_text(TRACK)
    return tmp_path


def test_labels_are_synoptic_fixes_of_cyclones(world: Path) -> None:
    """Kept are fixes at 00, 06, 12, 18 UTC with a cyclone's status and a wind."""
    table = labels(world)
    assert list(table) == ["time", "latitude", "longitude", "group", "wind_kt", "latitude_24h", "longitude_24h"]
    alpha = table[table["group"] == "AL012020"]
    assert alpha["time"].tolist() == [
        pd.Timestamp(t) for t in ("2020-08-01 06:00", "2020-08-01 12:00", "2020-08-02 06:00")
    ]
    assert alpha["wind_kt"].tolist() == [30, 40, 70]
    assert table["time"].is_monotonic_increasing


def test_the_place_24_h_later_is_the_same_storms(world: Path) -> None:
    """The later place is that of the same storm in whatever status, and NaN where it has no fix then."""
    alpha, beta = (table.reset_index() for _, table in labels(world).groupby("group"))
    np.testing.assert_allclose(alpha["latitude_24h"], [12.5, 13.0, np.nan])
    np.testing.assert_allclose(alpha["longitude_24h"] % 360, [305.0, 304.0, np.nan])
    np.testing.assert_allclose(beta["latitude_24h"], [21.0, np.nan])
    np.testing.assert_allclose(beta["longitude_24h"] % 360, [181.0, np.nan])


def test_a_file_stands_for_the_folder_that_holds_it(world: Path) -> None:
    """Labels of a best track by itself, whatever its name, are those of a world with it."""
    track = (world / "hurdat2.txt").rename(world / "atlantic.txt")
    from_file = labels(track)
    track.rename(world / "hurdat2.txt")
    pd.testing.assert_frame_equal(from_file, labels(world))


def test_a_world_without_cyclones_is_an_error(world: Path) -> None:
    """A missing file and a file of lows alone are errors that name it."""
    (world / "hurdat2.txt").write_text(
        "\n".join([TRACK.splitlines()[0].replace("9", "1"), TRACK.splitlines()[1]]) + "\n"
    )
    with pytest.raises(UserError, match=r"hurdat2\.txt holds no fix of a tropical cyclone"):
        labels(world)
    (world / "hurdat2.txt").unlink()
    with pytest.raises(UserError, match=r"hurdat2\.txt"):
        labels(world)
