"""Text tables: cells as they stand, and errors that say where."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.text_table import dates, numbers, numbers_or_words, read_text_table, times, without_repeats
from toolkit.errors import UserError

FILE = Path("table.csv")


def write(folder: Path, text: str) -> Path:
    """A file that holds `text`."""
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def column(*cells: str) -> pd.Series:
    """A column named x, of the lines 2, 3, ..."""
    return pd.Series(cells, range(2, 2 + len(cells)), name="x", dtype=str)


@pytest.mark.parametrize("separator", [",", ";"])
def test_cells_are_read_as_they_stand(tmp_path: Path, separator: str) -> None:
    """Comments before the header and empty lines are passed over; a row keeps its line, a short one has empty cells."""
    lines = ["# made by hand", "id, name ,x", "007, Ä ,NA", "", "8", "9,b,1"]
    table = read_text_table(write(tmp_path, "\n".join(line.replace(",", separator) for line in lines)))
    assert table.index.tolist() == [3, 5, 6]
    assert table.columns.tolist() == ["id", "name", "x"]
    assert table.to_numpy().tolist() == [["007", "Ä", "NA"], ["8", "", ""], ["9", "b", "1"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a table with a header"),
        ("# nothing\n", "is not a table with a header"),
        ("id,x\n", "a header and no rows"),
        ("id,x,ID\n1,2,3\n", "names the column 'id' twice"),
        ("id,x\n1,2\n1,2,3\n", r"is not a table with a header: .*line 3"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """The error names the file and what is wrong with it."""
    with pytest.raises(UserError, match=said) as error:
        read_text_table(write(tmp_path, text))
    assert "table.csv" in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are no text are errors of the user."""
    with pytest.raises(UserError, match=r"Cannot read the table .*none\.csv: No such file"):
        read_text_table(tmp_path / "none.csv")
    with pytest.raises(UserError, match="Cannot read the table"):
        read_text_table(tmp_path)
    for content in (b"id,\xb5g\n1,2\n", b"id,g\n" + b"1,2\n" * 9999 + b"1,\xb5\n"):
        (tmp_path / "latin.csv").write_bytes(content)
        with pytest.raises(UserError, match=r"latin\.csv is not text in UTF-8"):
            read_text_table(tmp_path / "latin.csv")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x != -999), min_size=1))
def test_numbers_come_back(values: list[float]) -> None:
    """What is written as text is read as the same number."""
    np.testing.assert_allclose(numbers(FILE, column(*map(repr, values))), values, rtol=1e-15)


def test_missing_numbers_are_nan() -> None:
    """Empty cells, the usual words and -999 are missing."""
    assert numbers(FILE, column("", "NA", "nan", "None", "-999", "-999.0")).isna().all()


@pytest.mark.parametrize(
    ("read", "cell", "said"),
    [
        (numbers, "1,5", "a number"),
        (times, "yesterday", "a time of the years 1900 to 2100"),
        (times, "2920-07-05 12:00", "a time of the years 1900 to 2100"),
        (dates, "01/07/2020", "a date of the years 1900 to 2100"),
        (dates, "0020-07-05", "a date of the years 1900 to 2100"),
    ],
)
def test_a_wrong_cell_is_named(read, cell: str, said: str) -> None:
    """The error gives line, column, value, remedy and how many more there are."""
    good = {numbers: "1", times: "2020-07-01T14:00", dates: "2020-07-01"}[read]
    with pytest.raises(
        UserError, match=rf"table\.csv, line 3: '{cell}' in the column 'x' is not {said}\. \w+.* 1 more"
    ):
        read(FILE, column(good, cell, good, cell))


def test_times_are_utc() -> None:
    """A zone is converted, none is UTC, and of a date with a time the date is taken."""
    read = times(FILE, column("2020-07-01 14:00", "2020-07-01T14:00:00Z", "2020-07-01T14:00+02:00"))
    assert read.dtype == "datetime64[s]"
    assert read.dt.hour.tolist() == [14, 14, 12]
    assert dates(FILE, column("2020-07-01", "2020-07-01 12:00")).tolist() == [pd.Timestamp("2020-07-01")] * 2


def test_a_column_is_words_unless_most_of_it_are_numbers() -> None:
    """Words stay words, with NaN for none; one word among numbers is an error."""
    words = numbers_or_words(FILE, column("rural", "", "12", "urban"))
    assert words[[2, 4, 5]].tolist() == ["rural", "12", "urban"]
    assert pd.isna(words[3])
    assert numbers_or_words(FILE, column("1", "", "2")).dtype == float
    with pytest.raises(UserError, match=r"line 4: 'high' in the column 'x' is not a number"):
        numbers_or_words(FILE, column("1", "2", "high"))


def test_repeated_rows_are_counted_and_contradictions_named() -> None:
    """Equal rows count once; two rows that say different things of one key are an error with lines and values."""
    table = pd.DataFrame({"k": ["a", "b", "a"], "x": [1.0, 2.0, 1.0]}, index=[2, 3, 4])
    once, twice = without_repeats(FILE, table, ["k"])
    assert (once.index.tolist(), twice) == ([2, 3], 1)
    table.loc[4, "x"] = 5.0
    with pytest.raises(UserError, match=r"lines 2 and 4 contradict each other about a: x 1\.0 and 5\.0"):
        without_repeats(FILE, table, ["k"])
