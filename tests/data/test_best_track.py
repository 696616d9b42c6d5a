"""Laws of the best-track reader and writer: nothing is lost, nothing is invented, nothing is misread."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from toolkit.data.best_track import (
    COLUMNS,
    BestTrack,
    Layout,
    looks_like_best_track,
    read_best_track,
    summarise_best_track,
    write_best_track,
)
from toolkit.data.best_track_format import NUMBERS, RECORDS, STATUSES
from toolkit.errors import UserError

HEADER = "AL012021,                ANA,      2,"
FIRST = "20210520, 0000,  , TS, 30.3N,  55.5W,  45, 1015,  100,    0,    0,   50" + ",    0" * 8
SECOND = "20210520, 0630, L, HU,  9.8S, 177.0E, 135" + ", -999" * 13
NO_RADIUS, RADIUS = ", -999", ",   70"
LAYOUTS = [Layout(fields, comma, newline, last) for fields in (20, 21) for comma in (False, True)
           for newline in ("\n", "\r\n") for last in (False, True)]  # fmt: skip


def read(text: str | bytes) -> BestTrack:
    """Read a best track from the bytes of its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hurdat2.txt"
        path.write_bytes(text.encode("latin-1") if isinstance(text, str) else text)
        return read_best_track(path)


def written(fixes: pd.DataFrame, layout: Layout) -> bytes:
    """Return the bytes of the file that a table becomes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hurdat2.txt"
        write_best_track(path, fixes, layout)
        return path.read_bytes()


def file_of(*lines: str) -> str:
    """Join lines, each with LF."""
    return "".join(line + "\n" for line in lines)


def written_plainly(fixes: pd.DataFrame, layout: Layout) -> bytes:
    """Write a table line by line with nothing but string formatting: a second implementation."""
    lines = []
    for storm, rows in fixes.groupby("storm", sort=False):
        lines.append(f"{storm},{rows['name'].iloc[0]:>19},{len(rows):>7},")
        for row in rows.to_dict("records"):
            latitude, longitude = row["latitude"], row["longitude"]
            north, east = "S" if np.signbit(latitude) else "N", "W" if np.signbit(longitude) else "E"
            line = f"{row['time']:%Y%m%d, %H%M}, {row['record']:1}, {row['status']}"
            line += f", {abs(latitude):4.1f}{north}, {abs(longitude):5.1f}{east}"
            line += f", {-99 if np.isnan(row['wind_kt']) else row['wind_kt']:3.0f}"
            for column in NUMBERS[1 : layout.fields - 6]:
                line += f", {-999 if np.isnan(row[column]) else row[column]:4.0f}"
            lines.append(line + "," * layout.trailing_comma)
    return (layout.newline.join(lines) + layout.newline * layout.last_newline).encode()


def read_plainly(text: str) -> pd.DataFrame:
    """Read a file by splitting at commas and stripping: a second implementation that believes everything."""
    rows = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if line[0].isalpha():
            storm, name = parts[:2]
            continue
        latitude = float(parts[4][:-1]) * (-1 if parts[4][-1] == "S" else 1)
        longitude = float(parts[5][:-1]) * (-1 if parts[5][-1] == "W" else 1)
        numbers = [np.nan if float(part) < 0 else float(part) for part in parts[6:21] if part]
        numbers += [np.nan] * (15 - len(numbers))
        time = pd.Timestamp(f"{parts[0]}T{parts[1]}")
        rows.append([storm, name, time, parts[2], parts[3], latitude, longitude, *numbers])
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"time": "M8[ns]"})


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Best tracks of up to three storms of up to three fixes, in every value the format can hold."""
    storms = draw(st.lists(st.from_regex(r"[A-Z]{2}[0-9]{6}", fullmatch=True), min_size=1, max_size=3, unique=True))
    name = st.from_regex(r"[!-+\--~]([ -+\--~]{0,17}[!-+\--~])?", fullmatch=True)
    tenths = st.integers(-900, 900), st.integers(-1800, 1799)
    number = st.none() | st.integers(0, 9999)
    rows = []
    for storm in storms:
        storm_name = draw(name)
        minutes = draw(st.lists(st.integers(-142_000_000, 120_000_000), min_size=1, max_size=3, unique=True))
        for minute in sorted(minutes):
            time = np.datetime64(minute, "m")
            codes = draw(st.sampled_from(list(RECORDS))), draw(st.sampled_from(list(STATUSES)))
            place = [draw(axis) / 10 * draw(st.sampled_from([1.0, -1.0])) for axis in tenths]
            place[1] = -180.0 if place[1] == 180.0 else place[1]
            numbers = [draw(st.none() | st.integers(0, 999)), *draw(st.tuples(*[number] * 14))]
            rows.append([storm, storm_name, time, *codes, *place, *numbers])
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"time": "M8[ns]"} | dict.fromkeys(NUMBERS, "float64"))


def without_radius(fixes: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """Drop what 20 fields have no place for."""
    return fixes if layout.fields == 21 else fixes.assign(radius_of_maximum_wind_nmi=np.nan)


@pytest.mark.slow
@settings(max_examples=30)
@given(tables(), st.sampled_from(LAYOUTS))
def test_a_table_comes_back_as_it_was_written(table: pd.DataFrame, layout: Layout) -> None:
    """Writing then reading gives the same table, in the columns that are promised, with nothing left out."""
    table = without_radius(table, layout)
    track = read(written(table, layout))
    pd.testing.assert_frame_equal(
        track.fixes, table.astype(dict.fromkeys(("storm", "name", "record", "status"), "str"))
    )
    assert np.array_equal(np.signbit(track.fixes["longitude"]), np.signbit(table["longitude"]))
    assert list(track.fixes.columns) == list(COLUMNS)
    assert track.left_out == ()


@pytest.mark.slow
@settings(max_examples=30)
@given(tables(), st.sampled_from(LAYOUTS))
def test_a_file_comes_back_to_the_byte(table: pd.DataFrame, layout: Layout) -> None:
    """Reading then writing in the layout found gives the same bytes, whatever the layout."""
    text = written_plainly(without_radius(table, layout), layout)
    track = read(text)
    assert track.layout == layout
    assert written(track.fixes, track.layout) == text


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_reading_agrees_with_a_plain_reader(layout: Layout) -> None:
    """Values are those that splitting the line at its commas gives; a regular file has no finding."""
    lines = [line + NO_RADIUS * (layout.fields == 21) + "," * layout.trailing_comma for line in (FIRST, SECOND)]
    text = layout.newline.join([HEADER, *lines]) + layout.newline * layout.last_newline
    pd.testing.assert_frame_equal(read(text).fixes, read_plainly(text), check_dtype=False)
    assert read(text).findings == ()


BASES = [
    file_of(HEADER, FIRST + ",", SECOND + ","),
    file_of(HEADER, FIRST, SECOND).replace("\n", "\r\n"),
    file_of(HEADER, FIRST + RADIUS, SECOND + NO_RADIUS).removesuffix("\n"),
    file_of(HEADER, FIRST + RADIUS + ",", SECOND + NO_RADIUS + ","),
]
# Longer texts hold no digit: five characters and more can make a proper 21st field, which no reader can tell.
GARBAGE = st.text(st.characters(max_codepoint=255), min_size=1, max_size=4) | st.text(
    st.characters(max_codepoint=255, exclude_categories=["Nd"]) | st.sampled_from(" ,-.NEW\r\n"), max_size=40
)


def assert_same_or_refused(text: str, base: str, line: int) -> None:
    """Assert that a damaged file gives its table all the same, or an error that names the damaged line."""
    try:
        track = read(text)
    except UserError as error:
        named = re.search(r", line (\d+): ", str(error))
        assert named is not None
        assert line <= int(named[1]) <= line + text.count("\n") - base.count("\n") + 1
    else:
        pd.testing.assert_frame_equal(track.fixes, read(base).fixes)
        assert track.left_out == ()


@pytest.mark.slow
@settings(max_examples=150)
@given(st.sampled_from(BASES), st.data(), GARBAGE)
@example(BASES[0], None, "1")
def test_garbage_in_a_line_is_never_misread(base: str, data: st.DataObject | None, garbage: str) -> None:
    """A file with garbage inserted anywhere is read as if it were not there, or refused with the line's number."""
    places = range(len(base)) if data is None else [data.draw(st.integers(0, len(base) - 1))]
    for place in places:
        damaged = base[:place] + garbage + base[place:]
        assert_same_or_refused(damaged, base, 1 + base[:place].count("\n"))


@pytest.mark.slow
@pytest.mark.parametrize("base", BASES)
def test_a_lost_character_is_never_misread(base: str) -> None:
    """A file that has lost any one character is read as if it had not, or refused with the line's number."""
    for place in range(len(base)):
        assert_same_or_refused(base[:place] + base[place + 1 :], base, 1 + base[:place].count("\n"))


IRREGULAR = {
    "comma after a blank": ("TS, 30.3N", "TS ,30.3N", {}, "out of place"),
    "comma lost to a blank": ("30.3N,  55.5W", "30.3N   55.5W", {}, "out of place"),
    "blanks at the end": ("0,    0,\n", "0,    0,  \n", {}, "out of place"),
    "name with a blank after it": ("    ANA,", "   ANA ,", {}, "a header"),
    "longitude beyond 180 W": (" 55.5W", "354.7W", {"longitude": 5.3}, "date line"),
    "longitude beyond 180 E": (" 55.5W", "190.0E", {"longitude": -170.0}, "date line"),
    "180 E": (" 55.5W", "180.0E", {"longitude": -180.0}, "date line"),
    "wind missing as -999": (",  45,", ",-999,", {"wind_kt": np.nan}, "-99 or -999"),
    "pressure missing as -99": (", 1015,", ",  -99,", {"pressure_hpa": np.nan}, "-99 or -999"),
}


@pytest.mark.parametrize(("regular", "irregular", "value", "reason"), IRREGULAR.values(), ids=IRREGULAR)
def test_irregular_but_clear_lines_are_read(regular: str, irregular: str, value: dict[str, float], reason: str) -> None:
    """What NHC has written irregularly is read, listed as a finding, and regular once written again."""
    base = file_of(HEADER, FIRST + ",", SECOND + ",")
    assert regular in base
    track = read(base.replace(regular, irregular, 1))
    expected = read(base).fixes
    expected.loc[0, list(value)] = list(value.values())
    pd.testing.assert_frame_equal(track.fixes, expected)
    assert any(reason in finding.reason for finding in track.findings)
    again = read(written(track.fixes, track.layout))
    assert again.findings == ()
    pd.testing.assert_frame_equal(again.fixes, expected)


def test_lines_of_20_and_of_21_fields_in_one_file_are_read() -> None:
    """A file that changes its layout half way is read whole and written with 21 fields."""
    third = SECOND.replace("0630", "1200")
    header = HEADER.replace(" 2,", " 3,")
    track = read(file_of(header, FIRST + RADIUS, SECOND + ",", third + ","))
    assert track.fixes["radius_of_maximum_wind_nmi"].isna().tolist() == [False, True, True]
    assert [str(finding) for finding in track.findings] == ["2 lines, the first 3: 20 fields where other lines have 21"]
    whole = file_of(header, FIRST + RADIUS, SECOND + NO_RADIUS, third + NO_RADIUS)
    assert written(track.fixes, track.layout).decode() == whole


MALFORMED = {
    "number": ("  45,", "  4O,", "wind_kt as a whole number"),
    "padded number": ("  45,", " 045,", "wind_kt as a whole number"),
    "negative radius": ("  100,", " -100,", "radius_34kt_ne_nmi as a whole number"),
    "wind of four digits": (",  45,", ",1045,", "wind_kt"),
    "latitude without a letter": ("30.3N", "30.33", "a latitude such as 29.1N"),
    "latitude beyond the pole": ("30.3N", "90.1N", "a latitude"),
    "longitude beyond a full circle": (" 55.5W", "360.1W", "a longitude such as 90.2W"),
    "no such day": ("20210520, 0000", "20210230, 0000", "a date and a time"),
    "no such hour": ("20210520, 0000", "20210520, 2400", "a date and a time"),
    "a digit of the date in the time": ("20210520, 0000", "2021052, 00000", "a date and a time"),
    "year that nanoseconds cannot hold": ("20210520, 0000", "16990520, 0000", "a year from 1700"),
    "record": ("0000,  ,", "0000, X,", "a record identifier among C G I L P R S T W"),
    "status": ("TS", "TZ", "a status among TD TS HU"),
    "field too many": (" 1015,", " 1,15,", "21 fields, not"),
    "fields too few": ("   50,    0,", "   50", "20 or 21 fields"),
    "header": ("     ANA,", " ANA, X,", "a storm header such as"),
    "header of another length": ("      2,", "     2,", "37 characters"),
    "no header and no fix": ("20210520, 0000", "# a comment, 00", "a fix of 20 or 21 fields"),
}


@pytest.mark.parametrize(("right", "wrong", "expected"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_line_is_refused(right: str, wrong: str, expected: str) -> None:
    """The error names the file, the line, its text and what was expected there."""
    base = file_of(HEADER, FIRST, SECOND)
    assert right in base
    damaged = base.replace(right, wrong, 1)
    number = 1 + base[: base.index(right)].count("\n")
    with pytest.raises(UserError, match=rf"hurdat2\.txt, line {number}: ") as error:
        read(damaged)
    assert expected in str(error.value)
    assert damaged.splitlines()[number - 1][:100] in str(error.value)


def test_a_second_fix_at_one_time_is_left_out() -> None:
    """The first fix of a storm at a time stands, the second is left out with its line and reason."""
    track = read(file_of(HEADER, FIRST, FIRST.replace("  45,", "  50,"), SECOND))
    assert track.fixes["wind_kt"].to_dict() == {0: 45.0, 1: 135.0}
    assert [str(finding) for finding in track.left_out] == ["line 3: a second fix of the same storm at the same time"]


OTHER = HEADER.replace("AL01", "AL02")
FINDINGS = {
    "count": (file_of(HEADER, FIRST), 1, "promises 2 fixes and 1 follow"),
    "no fixes": (file_of(OTHER, HEADER, FIRST, SECOND), 1, "without fixes"),
    "storm again": (file_of(HEADER, FIRST, HEADER, SECOND), 3, "a storm that has had one"),
    "renamed": (file_of(HEADER, FIRST, HEADER.replace("ANA", "BOB"), SECOND), 3, "AL012021 was ANA before"),
    "order": (file_of(HEADER, SECOND, FIRST), 3, "earlier than the one before"),
    "blank line": (file_of(HEADER, FIRST, "  ", SECOND), 3, "blank line"),
    "newlines": (file_of(HEADER, FIRST + "\r", SECOND), 2, "LF and CRLF"),
    "comma": (file_of(HEADER, FIRST, SECOND + ","), 3, "a comma at the end"),
    "wind": (file_of(HEADER, FIRST.replace(" 45,", "245,"), SECOND), 2, "wind above 200 kt"),
    "pressure": (file_of(HEADER, FIRST.replace("1015", "1150"), SECOND), 2, "pressure outside"),
    "radius": (file_of(HEADER, FIRST.replace(" 100", "1180"), SECOND), 2, "wind radius above"),
}


@pytest.mark.parametrize(("text", "line", "reason"), FINDINGS.values(), ids=FINDINGS)
def test_what_is_out_of_the_ordinary_is_a_finding(text: str, line: int, reason: str) -> None:
    """It is read, and named with its line; the storm keeps its first name."""
    track = read(text)
    assert any(reason in finding.reason and line in finding.lines for finding in track.findings)
    assert set(track.fixes["name"]) == {"ANA"}
    assert track.left_out == ()


UNREADABLE = {
    "empty": ("", "is empty"),
    "no fix": (HEADER + "\n", "no fix"),
    "no header": (FIRST + "\n", "line 1: .* expected a storm header"),
    "a mark alone": ("\xef\xbb\xbf\n", "is empty"),
    "another format": ("time,latitude,longitude\n1,2,3\n", "line 1: .* a storm header .* is no HURDAT2 file"),
    "a deck": ("AL, 09, 2021082612,   , BEST,   0, 165N,  782W\n", "a storm header .* is no HURDAT2 file"),
}


@pytest.mark.parametrize(("text", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_holds_no_best_track_is_refused(text: str, message: str) -> None:
    """Another file, or an empty one, ends in an error that says what was expected."""
    with pytest.raises(UserError, match=message):
        read(text)


def test_a_byte_order_mark_is_passed_over() -> None:
    """As editors put it before UTF-8; it is a finding, since it is not written back."""
    text = file_of(HEADER, FIRST, SECOND)
    marked = read("\xef\xbb\xbf" + text)
    pd.testing.assert_frame_equal(marked.fixes, read(text).fixes)
    assert [str(finding) for finding in marked.findings] == ["line 1: begins with a byte order mark, which is left out"]


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    """A missing file and a folder are errors that name the path; neither looks like a best track."""
    for path in (tmp_path / "absent.txt", tmp_path):
        with pytest.raises(UserError, match=re.escape(str(path))):
            read_best_track(path)
        assert not looks_like_best_track(path)


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        (file_of(HEADER, FIRST), True),
        (HEADER + "\r\nanything", True),
        ("\xef\xbb\xbf" + HEADER, True),
        ("AL, 09, 2021082612,   , BEST,   0, 165N,  782W\n", False),
        ("SID,SEASON,NUMBER\n", False),
        ("\x00\xff" * 300, False),
        ("", False),
    ],
)
def test_the_first_line_tells_the_format(tmp_path: Path, text: str, looks: bool) -> None:
    """A HURDAT2 header is known; an ATCF deck, an IBTrACS table, bytes and nothing at all are not."""
    path = tmp_path / "file"
    path.write_bytes(text.encode("latin-1"))
    assert looks_like_best_track(path) is looks


def test_the_summary_counts_and_can_be_json(tmp_path: Path) -> None:
    """Storms, fixes and rows left out are counted; every reason is a text."""
    path = tmp_path / "hurdat2.txt"
    path.write_text(file_of(HEADER, FIRST, FIRST, SECOND))
    assert json.loads(json.dumps(summarise_best_track(path))) == {
        "storms": 1,
        "fixes": 2,
        "left_out": 1,
        "findings": [
            "left out: line 3: a second fix of the same storm at the same time",
            "line 1: the header of AL012021 promises 2 fixes and 3 follow",
        ],
    }


@pytest.mark.parametrize(
    ("file", "storms", "fixes", "irregular"),
    [
        ("hurdat2-nepac-1949-2016-041317.txt", 1072, 26868, [16274, 25825]),
        ("sample_hurdat.txt", 37, 1073, []),
    ],
)
def test_nhc_files_are_read_whole(real_data: Path, file: str, storms: int, fixes: int, irregular: list[int]) -> None:
    """Every fix is read as a plain reader would, and all but the irregular lines come back to the byte."""
    path = real_data / "hurdat2" / file
    track = read_best_track(path)
    assert (track.fixes["storm"].nunique(), len(track.fixes), track.left_out) == (storms, fixes, ())
    text = path.read_bytes()
    pd.testing.assert_frame_equal(track.fixes, read_plainly(text.decode()), check_dtype=False)
    pairs = zip(text.split(b"\n"), written(track.fixes, track.layout).split(b"\n"), strict=True)
    assert [number for number, (ours, theirs) in enumerate(pairs, 1) if ours != theirs] == irregular
    assert set(irregular) <= {line for finding in track.findings for line in finding.lines}
    assert looks_like_best_track(path)


def test_the_reader_is_light() -> None:
    """Importing it loads neither torch nor xarray."""
    code = "import sys, toolkit.data.best_track; print({'torch', 'xarray'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
