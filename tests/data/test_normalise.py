import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.normalise import Normalisation, fitted, no_moments, with_values
from toolkit.errors import UserError

NAMES, UNITS = ("vorticity", "pressure"), ("s-1", "Pa")


def sample(times: int = 12) -> np.ndarray:
    """Random vorticity and pressure (t, 2, 4, 5), the one around 0 and the other far from it."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((times, 2, 4, 5))
    return noise * np.array([3e-5, 900.0])[:, None, None] + np.array([1e-6, 101_000.0])[:, None, None]


@given(cuts=st.lists(st.integers(0, 12), max_size=4))
def test_moments_do_not_depend_on_how_the_values_are_cut(cuts: list[int]) -> None:
    """Blocks of any length, empty ones too, give NumPy's mean and standard deviation of the whole."""
    values = sample()
    moments = no_moments(2)
    for block in np.split(values, sorted(cuts)):
        moments = with_values(moments, block)
    result = fitted(NAMES, UNITS, moments)
    np.testing.assert_allclose(result.mean, values.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(result.standard_deviation, values.std(axis=(0, 2, 3)), rtol=1e-12)


def test_moments_leave_out_what_is_not_finite() -> None:
    """NaN and infinity count for nothing."""
    values = sample()
    values[2:5, 0] = np.nan
    values[0, 1, 0, 0] = np.inf
    result = fitted(NAMES, UNITS, with_values(no_moments(2), values))
    finite = [values[:, c][np.isfinite(values[:, c])] for c in range(2)]
    np.testing.assert_allclose(result.mean, [v.mean() for v in finite], rtol=1e-12)
    np.testing.assert_allclose(result.standard_deviation, [v.std() for v in finite], rtol=1e-12)


def test_apply_gives_mean_0_and_deviation_1() -> None:
    """The values that were fitted come out standardised, as float32."""
    values = sample()
    applied = fitted(NAMES, UNITS, with_values(no_moments(2), values)).apply(values)
    assert applied.dtype == np.float32
    np.testing.assert_allclose(applied.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(applied.std(axis=(0, 2, 3)), 1, rtol=1e-5)


def test_invert_undoes_apply() -> None:
    """Applying and inverting gives the physical values back, NaN included."""
    values = sample()
    values[0, 0, 0, 0] = np.nan
    normalisation = Normalisation(NAMES, UNITS, (1e-6, 101_000.0), (3e-5, 900.0))
    np.testing.assert_allclose(normalisation.invert(normalisation.apply(values)), values, rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("values", [np.full((3, 2, 4, 5), 7.0), np.full((3, 2, 4, 5), np.nan)])
def test_a_channel_that_does_not_vary_is_refused(values: np.ndarray) -> None:
    """A constant channel, or one without any value, is named with its remedy."""
    with pytest.raises(UserError, match=r"'vorticity' has standard deviation 0 .* Leave the variable out"):
        fitted(NAMES, UNITS, with_values(no_moments(2), values))
