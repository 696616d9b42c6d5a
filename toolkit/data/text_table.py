"""Tables in text files: every cell is read as it stands, and a wrong one is named by its line, column and value."""

import csv
from pathlib import Path

import pandas as pd

from toolkit.errors import UserError

MISSING_WORDS = ("", "na", "n/a", "nan", "null", "none")
MISSING_NUMBER = -999.0
"""What TOAR and AQ-Bench write where there is no number."""
YEARS = (1900, 2100)
"""The first and last year that is believed to be meant."""
_IN_YEARS = f"of the years {YEARS[0]} to {YEARS[1]}"


def read_header(path: Path) -> tuple[str, int]:
    """Return the line that names the columns, and how many lines of comment (beginning with #) stand before it."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            comments = 0
            for line in stream:
                if not line.startswith("#"):
                    return line.rstrip("\r\n"), comments
                comments += 1
    except OSError as error:
        raise UserError(f"Cannot read the table {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from error
    return "", comments


def column_names(path: Path) -> list[str]:
    """Return the names of the columns of a CSV file, as `read_text_table` finds them."""
    header, _ = read_header(path)
    return [name.strip() for name in next(csv.reader([header], delimiter=_separator(header)), [])]


def read_text_table(path: Path) -> pd.DataFrame:
    """Return the cells of a CSV file as text without blanks around it; the index is the line number, 1 the first.

    Columns are separated by commas or semicolons, whichever the header has more of. Empty lines are passed over. Raises
    `UserError` for a file that cannot be read, has no rows, names a column twice, or has a line with too many cells.
    """
    header, comments = read_header(path)
    try:
        cells = pd.read_csv(
            path,
            sep=_separator(header),
            dtype=str,
            header=None,
            keep_default_na=False,
            skiprows=comments,
            skip_blank_lines=False,
            encoding="utf-8-sig",
        )
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"{path} is not a table with a header: {str(error).strip()}.") from error
    cells.index = pd.RangeIndex(comments + 1, comments + 1 + len(cells), name="line")
    cells = cells.fillna("").apply(lambda column: column.str.strip())
    names = cells.iloc[0].tolist()
    lower = [name.lower() for name in names]
    if twice := [name for name in lower if lower.count(name) > 1]:
        raise UserError(f"{path} names the column '{twice[0]}' twice. Rename or delete one.")
    cells = cells.iloc[1:].set_axis(names, axis=1)
    cells = cells[(cells != "").any(axis=1)]
    if cells.empty:
        raise UserError(f"{path} has a header and no rows.")
    return cells


def numbers(path: Path, column: pd.Series) -> pd.Series:
    """Return a column of text as float64: NaN where it is empty, says that nothing is there, or holds -999.

    Raises `UserError` for other text, which names line, column and value.
    """
    said_missing = column.str.lower().isin(MISSING_WORDS)
    values = pd.to_numeric(column.mask(said_missing), errors="coerce").astype("float64")
    _refuse(
        path, column, values.isna() & ~said_missing, "a number", "Correct it, or leave it empty where it is missing."
    )
    return values.mask(values == MISSING_NUMBER)


def numbers_or_words(path: Path, column: pd.Series) -> pd.Series:
    """Return a column as numbers where at least half of its cells are, and as words (NaN for none) where fewer are.

    Raises `UserError` for text in a column of numbers.
    """
    said = column[~column.str.lower().isin(MISSING_WORDS)]
    if pd.to_numeric(said, errors="coerce").notna().sum() * 2 >= len(said):
        return numbers(path, column)
    return column.where(column.index.isin(said.index)).astype(object)


def meanings(column: pd.Series) -> pd.Series:
    """Return what cells mean, for comparison: 31 and 31.0 are one number, Urban and urban one word, NaN is missing."""
    words = column.str.lower()
    values = pd.to_numeric(column, errors="coerce")
    meant = values.astype(object).where(values.notna(), words)
    return meant.mask(words.isin(MISSING_WORDS) | (values == MISSING_NUMBER))


def times(path: Path, column: pd.Series) -> pd.Series:
    """Return a column of ISO 8601 times as datetime64[s], UTC; those without a zone are taken as UTC."""
    values = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    _refuse(path, column, ~values.dt.year.between(*YEARS), f"a time {_IN_YEARS}", "Write it as 2020-07-01 14:00, UTC.")
    return values.dt.tz_localize(None).astype("datetime64[s]")


def dates(path: Path, column: pd.Series) -> pd.Series:
    """Return a column of dates, or of times of which only the date is taken, as datetime64[s]."""
    values = pd.to_datetime(column.str[:10], format="%Y-%m-%d", errors="coerce")
    _refuse(path, column, ~values.dt.year.between(*YEARS), f"a date {_IN_YEARS}", "Write it as 2020-07-01.")
    return values.astype("datetime64[s]")


def without_repeats(path: Path, table: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, int]:
    """Return the rows without those that repeat another, and how many repeat; the index is the line number.

    Raises `UserError` where two rows have the same `keys` and say different things, which names lines and values.
    """
    once = table[~table.duplicated()]
    again = once.duplicated(keys)
    if again.any():
        second = once[again].iloc[0]
        first = once[(once[keys] == second[keys]).all(axis=1)].iloc[0]
        about = " at ".join(str(second[key]) for key in keys)
        differ = [name for name in once.columns if first[name] != second[name]]
        said = ", ".join(f"{name} {first[name]} and {second[name]}" for name in differ)
        raise UserError(
            f"{path}, lines {first.name} and {second.name} contradict each other about {about}: {said}. "
            "Correct or delete one of them."
        )
    return once, len(table) - len(once)


def first_line(rows: pd.Series) -> int:
    """Return the number of the first line of which `rows` is true."""
    return int(rows.index[int(rows.argmax())])


def _separator(header: str) -> str:
    return ";" if header.count(";") > header.count(",") else ","


def _no_text(path: Path, error: UnicodeDecodeError) -> UserError:
    return UserError(f"{path} is not text in UTF-8 ({error.reason}). Save it as CSV in UTF-8.")


def _refuse(path: Path, column: pd.Series, wrong: pd.Series, expected: str, remedy: str) -> None:
    if wrong.any():
        line = first_line(wrong)
        more = f" So are {wrong.sum() - 1} more." if wrong.sum() > 1 else ""
        raise UserError(
            f"{path}, line {line}: '{column[line]}' in the column '{column.name}' is not {expected}. {remedy}{more}"
        )
