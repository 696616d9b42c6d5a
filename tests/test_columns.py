"""Columns of a table as numbers: what becomes of numbers, gaps and words, and what is refused."""

import json
import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy.stats import norm, rankdata

from toolkit.columns import KNOTS, NO_COLUMNS, ColumnCode, encode_columns, fit_columns
from toolkit.errors import UserError

TABLE = pd.DataFrame(
    {
        "height": [1.0, 2.0, np.nan, 4.0, 5.0],
        "kind": ["rural", "urban", None, "urban", "rural"],
        "people": [3, 1, 4, 1, 5],
        "alike": 7.5,
    }
).loc[[0, 1, 3, 4, 2] * 3]


def test_a_number_is_its_value_its_rank_and_whether_it_is_known() -> None:
    """Standardised over the known rows; the normal score of its rank; 1, or three zeros where there is none."""
    x = encode_columns(fit_columns(TABLE, ["height"]), TABLE)
    known = TABLE["height"].notna().to_numpy()
    height = TABLE["height"][known]
    assert x.dtype == np.float32
    np.testing.assert_allclose(x[known, 0], (height - height.mean()) / height.std(ddof=0), rtol=1e-6)
    assert x[:, 2].tolist() == known.tolist()
    assert not x[~known].any()


def test_ranks_become_normal_scores() -> None:
    """Of many different values the second number is the normal score of the share of rows below."""
    skewed = pd.DataFrame({"x": np.random.default_rng(0).lognormal(0, 2, 4000)})
    score = encode_columns(fit_columns(skewed, ["x"]), skewed)[:, 1]
    inside = np.abs(score) < 1.5
    expected = norm.ppf((rankdata(skewed["x"]) - 0.5) / len(skewed))
    np.testing.assert_allclose(score[inside], expected[inside], atol=0.03)
    assert np.abs(score).max() == pytest.approx(norm.isf(0.5 / KNOTS))


def test_equal_values_have_the_score_in_their_middle() -> None:
    """Where three quarters of the rows are zero, zero stands at 3/8 of all rows, and what is above follows on."""
    mostly = pd.DataFrame({"x": [0.0] * 750 + list(range(1, 251))})
    score = encode_columns(fit_columns(mostly, ["x"]), mostly)[:, 1]
    assert score[0] == pytest.approx(norm.ppf(3 / 8), abs=0.03)
    assert (np.diff(score[750:]) >= 0).all()
    assert score[751] > norm.ppf(0.74)


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=30))
def test_order_is_kept_and_nothing_is_far(values: list[float]) -> None:
    """Larger values never have smaller numbers, and whatever is asked for later, no number is beyond six."""
    code = fit_columns(pd.DataFrame({"x": values}), ["x"])
    x = encode_columns(code, pd.DataFrame({"x": [-1e30, *sorted(values), 1e30]}))
    assert (np.diff(x, axis=0) >= 0).all()
    assert np.abs(x).max() <= 6


def test_words_are_told_one_by_one() -> None:
    """A word has a 1 in its own place; one that was not there in training, or is missing, has none."""
    code = fit_columns(TABLE, ["kind"])
    asked = pd.DataFrame({"kind": ["urban", "rural", "remote", None]})
    assert encode_columns(code, asked).tolist() == [[0, 1], [1, 0], [0, 0], [0, 0]]


def test_rare_words_are_as_good_as_unknown() -> None:
    """A word of two rows has no place of its own; three are enough."""
    words = pd.DataFrame({"country": ["a"] * 3 + ["b"] * 2})
    assert encode_columns(fit_columns(words, ["country"]), words).tolist() == [[1]] * 3 + [[0]] * 2


def test_a_column_without_variation_is_harmless() -> None:
    """Constant columns, empty ones and those of yes and no give finite numbers, in any later table."""
    table = TABLE.assign(none=np.nan, flag=TABLE["people"] > 2, huge=np.inf)
    code = fit_columns(table, ["alike", "none", "flag", "huge"])
    for asked in (table, table.assign(alike=-100.0, none=3.0, huge=1.0)):
        assert np.isfinite(encode_columns(code, asked)).all()
    assert not encode_columns(code, table)[:, [0, 3, 4, 5, 9, 10, 11]].any()


def test_the_width_is_that_of_the_rows() -> None:
    """Three for a number, one for each known word, none without columns; rows alone do not matter."""
    code = fit_columns(TABLE, ["height", "kind", "people"])
    assert code.width == 3 + 2 + 3 == encode_columns(code, TABLE).shape[1]
    assert NO_COLUMNS.width == 0
    assert encode_columns(NO_COLUMNS, TABLE).shape == (len(TABLE), 0)
    np.testing.assert_array_equal(encode_columns(code, TABLE.iloc[3:5]), encode_columns(code, TABLE)[3:5])
    assert encode_columns(code, TABLE.iloc[:0]).shape == (0, 8)


def test_a_code_survives_being_written_down() -> None:
    """Through JSON and back it is the same code."""
    code = fit_columns(TABLE, list(TABLE))
    assert TypeAdapter(ColumnCode).validate_python(json.loads(json.dumps(asdict(code)))) == code


def test_numbers_as_text_are_read_as_numbers() -> None:
    """A table from a text file may hold its numbers as words, empty where there is none."""
    code = fit_columns(TABLE, ["people"])
    text = pd.DataFrame({"people": ["3", "4.0", None]})
    np.testing.assert_array_equal(
        encode_columns(code, text), encode_columns(code, pd.DataFrame({"people": [3, 4.0, math.nan]}))
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pd.DataFrame({"people": [1, "many", 3]}, index=[5, 6, 7]), "'people' is 'many' in row 6"),
        (pd.DataFrame({"peoples": [1]}), "No column 'people'. Did you mean 'peoples'?"),
    ],
)
def test_what_a_known_column_cannot_be_is_refused(table: pd.DataFrame, said: str) -> None:
    """Text in a column of numbers, and a column that is gone, are named."""
    code = fit_columns(TABLE, ["people"])
    with pytest.raises(UserError) as error:
        encode_columns(code, table)
    assert said in str(error.value)


def test_a_column_that_cannot_be_learned_from_is_refused() -> None:
    """One that is not there is named with the near miss, and text among numbers with its row: it is no word."""
    with pytest.raises(UserError, match=r"No column 'hight'\. Did you mean 'height'"):
        fit_columns(TABLE, ["hight"])
    mixed = pd.DataFrame({"height": ["1.5", "2.5", "tall", "4", None]})
    with pytest.raises(UserError, match="'height' is 'tall' in row 2: it should be a number, or empty"):
        fit_columns(mixed, ["height"])
