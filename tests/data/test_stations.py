"""Station tables: every layout gives the same series, and bad labels are an error or counted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.data.stations import StationSeries, read_stations
from toolkit.errors import UserError

HOURLY = """station,time,o3_ppb
A,2020-07-01 00:00:00,30.5
A,2020-07-01 01:00:00,
A,2020-07-01 02:00:00,32
B,2020-07-01 01:00:00,41
"""
META = """station,latitude,longitude,altitude_m,type_of_area
A,50.5,190,12,rural
B,-10,-20.25,1500,urban
C,0,0,0,urban
"""
DAILY = """station,date,latitude,longitude,mda8_ppb,altitude_m,type_of_area,weekday
A,2020-07-01,50.5,-170,60,12,rural,3
A,2020-07-03,50.5,-170,62,12,rural,5
B,2020-07-02,-10,-20.25,70.5,1500,urban,4
"""


def world(folder: Path, hourly: str = HOURLY, meta: str = META) -> Path:
    """A folder with the two tables of a world."""
    (folder / "stations.csv").write_text(hourly)
    (folder / "stations_meta.csv").write_text(meta)
    return folder


def table(folder: Path, text: str, definition: str = "eu") -> StationSeries:
    """What a single file that holds `text` gives."""
    (folder / "mine.csv").write_text(text, encoding="utf-8")
    return read_stations(folder / "mine.csv", definition)


def test_a_world_is_read(tmp_path: Path) -> None:
    """Hours without a value are no rows; stations without one are not there; longitudes are -180 to 180."""
    series = read_stations(world(tmp_path), "eu")
    assert series.hourly
    assert not series.left_out
    assert series.values["station"].tolist() == ["A", "A", "B"]
    assert series.values["ozone_ppb"].tolist() == [30.5, 32.0, 41.0]
    assert series.values["time"].dtype == "datetime64[s]"
    assert series.stations.to_dict("index") == {
        "A": {"latitude": 50.5, "longitude": -170.0, "altitude_m": 12.0, "type_of_area": "rural"},
        "B": {"latitude": -10.0, "longitude": -20.25, "altitude_m": 1500.0, "type_of_area": "urban"},
    }


def test_a_simulated_world_has_this_layout(tmp_path: Path) -> None:
    """What the simulation writes comes back as it was."""
    from toolkit.data.world.stations import stations_of

    stations = stations_of(1)
    stations.to_csv(tmp_path / "stations_meta.csv", index=False)
    time = pd.date_range("2001-08-01", periods=30, freq="h")
    hourly = stations[["station"]].merge(pd.DataFrame({"time": time}), how="cross")
    hourly["o3_ppb"] = np.random.default_rng(0).uniform(0, 100, len(hourly)).round(1)
    hourly.to_csv(tmp_path / "stations.csv", index=False)
    series = read_stations(tmp_path, "eu")
    pd.testing.assert_frame_equal(series.stations.reset_index(), stations, check_dtype=False)
    np.testing.assert_array_equal(series.values["ozone_ppb"], hourly["o3_ppb"])
    regular, first = series.regular()
    assert (regular.shape, first) == ((60, 48), np.datetime64("2001-08-01"))
    np.testing.assert_array_equal(regular[:, :30].ravel(), hourly["o3_ppb"])
    assert np.isnan(regular[:, 30:]).all()


def test_a_single_daily_table_is_read(tmp_path: Path) -> None:
    """A column that is not the same in all rows of a station does not describe it: left out and said."""
    series = table(tmp_path, DAILY)
    assert not series.hourly
    assert series.left_out == {"columns that change within a station: weekday": 1}
    assert list(series.stations) == ["latitude", "longitude", "altitude_m", "type_of_area"]
    regular, first = series.regular()
    assert first == np.datetime64("2020-07-01")
    np.testing.assert_array_equal(regular, [[60, np.nan, 62], [np.nan, 70.5, np.nan]])


def test_what_describes_a_station_may_be_spelled_in_several_ways(tmp_path: Path) -> None:
    """Other zeros, other capitals and cells without a value are no change, and the value that is known stands."""
    rows = [
        "A,2020-07-01,50.5,-170,60,,Rural,3",
        "A,2020-07-02,50.50,-170.0,60,12,rural,3",
        "A,2020-07-03,50.5,-170,62,12.0,-999,3",
        "B,2020-07-02,-10,-20.25,70.5,1500,urban,4",
    ]
    series = table(tmp_path, "\n".join([DAILY.splitlines()[0], *rows]))
    assert not series.left_out
    assert series.stations.loc["A", ["latitude", "altitude_m", "type_of_area"]].tolist() == [50.5, 12, "Rural"]
    more = "A,50.50,190,12.0,Rural\n"
    assert len(read_stations(world(tmp_path, meta=META + more), "eu").stations) == 2


def test_a_daily_table_with_means_beside_its_maxima_gives_the_maxima(tmp_path: Path) -> None:
    """Where the times are days a column of ozone without more is no hourly one."""
    text = DAILY.replace("weekday", "o3_ppb")
    series = table(tmp_path, text)
    assert not series.hourly
    assert series.values["ozone_ppb"].tolist() == [60, 62, 70.5]
    with pytest.raises(UserError, match="in the definition 'epa'"):
        table(tmp_path, text.replace("mda8_ppb", "dma8epax"))


EPA = """State Code,County Code,Site Num,Parameter Code,POC,Latitude,Longitude,Datum,Parameter Name,Sample Duration,\
Pollutant Standard,Date Local,Units of Measure,Event Type,Observation Count,Observation Percent,Arithmetic Mean,\
1st Max Value,1st Max Hour,AQI,Method Code,Method Name,Local Site Name,Address,State Name,County Name,City Name,\
CBSA Name,Date of Last Change
01,003,0010,44201,1,30.497,-87.880,NAD83,Ozone,8-HR RUN AVG BEGIN HOUR,Ozone 8-hour 2015,2020-03-01,\
Parts per million,None,17,100.0,0.04,0.047,10,44,,-,"F, A","#1 Road",Alabama,Baldwin,Fairhope,Daphne,2021-02-20
01,003,0010,44201,2,30.497,-87.880,NAD83,Ozone,8-HR RUN AVG BEGIN HOUR,Ozone 8-hour 2015,2020-03-01,\
Parts per million,None,17,100.0,0.04,0.049,10,45,,-,"F, A","#1 Road",Alabama,Baldwin,Fairhope,Daphne,2021-02-20
01,003,0010,44201,1,30.497,-87.880,NAD83,Ozone,8-HR RUN AVG BEGIN HOUR,Ozone 8-hour 2015,2020-03-02,\
Parts per million,Included,17,100.0,0.03,0.061,9,64,,-,"F, A","#1 Road",Alabama,Baldwin,Fairhope,Daphne,2021-02-20
01,003,0010,44201,1,30.497,-87.880,NAD83,Ozone,8-HR RUN AVG BEGIN HOUR,Ozone 8-hour 2015,2020-03-02,\
Parts per million,Excluded,9,53.0,0.03,0.040,9,37,,-,"F, A","#1 Road",Alabama,Baldwin,Fairhope,Daphne,2021-02-20
01,003,0010,44201,1,30.497,-87.880,NAD83,Ozone,1 HOUR,Ozone 1-hour 1979,2020-03-02,\
Parts per million,None,24,100.0,0.03,0.070,9,,,-,"F, A","#1 Road",Alabama,Baldwin,Fairhope,Daphne,2021-02-20
01,003,0010,88101,1,30.497,-87.880,NAD83,PM2.5,24 HOUR,PM25 24-hour 2012,2020-03-02,\
Micrograms/cubic meter (LC),None,1,100.0,7,7,0,29,,-,"F, A","#1 Road",Alabama,Baldwin,Fairhope,Daphne,2021-02-20
"""


def test_the_examples_of_the_page_are_read(tmp_path: Path) -> None:
    """The daily and the hourly table in docs/station-layout.md are ones."""
    page = (Path(__file__).parents[2] / "docs" / "station-layout.md").read_text()
    daily, hourly = (table(tmp_path, text) for text in page.split("```\n")[1::2])
    assert (daily.hourly, hourly.hourly) == (False, True)
    assert daily.values["ozone_ppb"].tolist() == [58.4]
    assert daily.stations.equals(hourly.stations)


def test_the_daily_summary_of_the_epa_is_read(tmp_path: Path) -> None:
    """One station, its first instrument, ppm as ppb; every other row is counted, and no other column describes it."""
    series = table(tmp_path, EPA, "epa")
    assert series.values["station"].unique().tolist() == ["01-003-0010"]
    np.testing.assert_allclose(series.values["ozone_ppb"], [47.0, 61.0])
    assert list(series.stations) == ["latitude", "longitude"]
    assert series.left_out == {
        "rows of another substance than ozone": 1,
        "rows of another averaging time than 8 hours": 1,
        "rows without the hours of an exceptional event": 1,
        "rows of a second instrument at the same place and time": 1,
    }
    with pytest.raises(UserError, match=r"in the definition 'epa' \(column '1st max value'\), not in 'eu'"):
        table(tmp_path, EPA)


def test_the_hourly_table_of_the_epa_is_read(tmp_path: Path) -> None:
    """Its time is the one in GMT."""
    head = "State Code,County Code,Site Num,Parameter Code,POC,Latitude,Longitude,Date Local,Time Local,Date GMT,"
    head += "Time GMT,Sample Measurement,Units of Measure,MDL"
    row = "01,003,0010,44201,1,30.497,-87.880,2020-03-01,18:00,2020-03-02,00:00,0.036,Parts per million,0.005"
    series = table(tmp_path, f"{head}\n{row}\n", "epa")
    assert series.hourly
    assert series.values["time"].tolist() == [pd.Timestamp("2020-03-02")]
    np.testing.assert_allclose(series.values["ozone_ppb"], [36.0])


def test_toar_has_both_definitions(tmp_path: Path) -> None:
    """The one asked for is taken, -999 is missing, semicolons and comments are understood."""
    text = "#TOAR\nstation_id;station_lat;station_lon;station_alt;datetime;dma8eu;dma8epax\n"
    text += "DE1;50;8;100;2010-01-01 00:00;41.5;42.5\nDE1;50;8;100;2010-01-02 00:00;-999;43\n"
    assert table(tmp_path, text, "eu").values["ozone_ppb"].tolist() == [41.5]
    epa = table(tmp_path, text, "epa")
    assert epa.values["ozone_ppb"].tolist() == [42.5, 43.0]
    assert list(epa.stations) == ["latitude", "longitude", "altitude_m"]


@pytest.mark.parametrize(
    ("name", "units", "value"),
    [("mda8_ppm", "", 0.05), ("mda8_ug_m3", "", 99.785), ("mda8", "ug/m3", 99.785), ("mda8", "nmol mol-1", 50)],
)
def test_units_are_converted(tmp_path: Path, name: str, units: str, value: float) -> None:
    """0.05 ppm, 50 nmol/mol and 99.785 ug/m3 at 20 C are all 50 ppb."""
    text = f"station,date,latitude,longitude,{name},units\nA,2020-07-01,0,0,{value},{units}\n"
    np.testing.assert_allclose(table(tmp_path, text).values["ozone_ppb"], [50.0])


def test_repeated_and_impossible_rows_are_counted(tmp_path: Path) -> None:
    """A row that is there twice counts once; ozone below 0 or above 500 ppb is left out; both are said."""
    more = (
        "A,2020-07-01 00:00:00,30.5\nA,2020-07-01 05:00:00,-3\nB,2020-07-01 05:00:00,900\nB,2020-07-01 06:00:00,inf\n"
    )
    series = read_stations(world(tmp_path, HOURLY + more, META + "B,-10,-20.25,1500,urban\n"), "eu")
    assert len(series.values) == 3
    assert series.left_out == {
        "ozone outside 0 to 500 ppb": 3,
        "rows that are there twice": 1,
        "stations that are twice in stations_meta.csv": 1,
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "B,2020-07-01 01:00:00,41",
            "ST9,2020-07-01 01:00:00,41",
            r"line 5: stations_meta.csv has no station 'ST9'\. Add",
        ),
        ("B,2020-07-01 01:00:00,41", "A,2020-07-01 00:00:00,41", "lines 2 and 5 contradict .* ozone_ppb 30.5 and 41.0"),
        ("32\n", "3Z\n", "line 4: '3Z' in the column 'o3_ppb' is not a number"),
        ("2020-07-01 02:00:00", "soon", "line 4: 'soon' in the column 'time' is not a time"),
        ("A,2020-07-01 02", ",2020-07-01 02", "line 4: the column 'station' is empty"),
        ("o3_ppb", "o4_ppb", r"has no column of ozone. Is it 'o4_ppb'\? Call it o3_ppb"),
        ("time", "when", r"No column of .*stations\.csv 'time'"),
        ("o3_ppb", "o3", "does not say the unit of 'o3'. Call it one of o3_ppb, o3_ppm, o3_ug_m3, or add"),
    ],
)
def test_bad_hours_are_an_error_that_says_where(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Each names the file, the line or column, and the value."""
    with pytest.raises(UserError, match=said):
        read_stations(world(tmp_path, HOURLY.replace(old, new)), "eu")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("A,50.5", "A,95", r"line 2: latitude '95' of station 'A' is not in degrees, -90 to 90"),
        ("A,50.5", "A,", r"line 2: the column 'latitude' is empty"),
        ("12,rural", "low,rural", "line 2: 'low' in the column 'altitude_m' is not a number"),
        ("C,0,0", "A,0,0", r"lines 2 and 4 contradict each other about A: latitude 50\.5 and 0"),
        ("longitude", "length", r"No column of .*stations_meta\.csv 'longitude'"),
        ("B,-10", "BB,-10", r"has no station 'B'\. Did you mean 'BB'\?"),
    ],
)
def test_bad_stations_are_an_error_that_says_where(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Each names the second file, the line or column, and the value."""
    with pytest.raises(UserError, match=said):
        read_stations(world(tmp_path, meta=META.replace(old, new)), "eu")


def test_a_table_without_places_needs_a_second(tmp_path: Path) -> None:
    """The error says under which name it was looked for."""
    with pytest.raises(UserError, match=r"no column 'latitude', and there is no mine_meta\.csv beside it"):
        table(tmp_path, HOURLY)


def test_a_station_is_at_one_place(tmp_path: Path) -> None:
    """Two places of one station in a single table are an error."""
    with pytest.raises(UserError, match=r"contradict each other about A: latitude 50\.5 and 51"):
        table(tmp_path, DAILY.replace("A,2020-07-03,50.5", "A,2020-07-03,51"))


def test_an_unknown_unit_is_named(tmp_path: Path) -> None:
    """With the line, and the near miss."""
    text = "station,date,latitude,longitude,mda8,units\nA,2020-07-01,0,0,5,ug/m4\n"
    with pytest.raises(UserError, match=r"No unit of ozone \(line 2 of .*\) 'ug/m4'\. Did you mean 'ug/m3'"):
        table(tmp_path, text)


def test_a_table_without_ozone_is_an_error(tmp_path: Path) -> None:
    """A column that is empty throughout holds none."""
    with pytest.raises(UserError, match="holds no ozone in its column 'mda8_ppb'"):
        table(tmp_path, "station,date,latitude,longitude,mda8_ppb\nA,2020-07-01,0,0,NA\n")
