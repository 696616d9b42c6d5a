import numpy as np
from sklearn.linear_model import Ridge

from toolkit.baselines.regression import Sample, nearest_regressor


def test_the_regression_is_the_nearest_on_the_validation_sample() -> None:
    """The choice with the least validation error wins; few rows give their mean, none gives NaN."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((60, 4))
    target = np.column_stack([values[:, 0], values[:, 1] - values[:, 2]])
    part = Sample(values[:30], target[:30]), Sample(values[30:], target[30:])
    chosen = nearest_regressor([Ridge(1e4), Ridge(1e-6), Ridge(1e2)], *part)
    np.testing.assert_allclose(chosen.predict(values), target, atol=1e-4)
    few = Sample(values[:3], np.where([[True], [True], [False]], target[:3], np.nan))
    mean = nearest_regressor([Ridge(1.0)], few, part[1]).predict(values)
    np.testing.assert_allclose(mean, np.broadcast_to(target[:2].mean(axis=0), mean.shape))
    silent = nearest_regressor([Ridge(1.0)], Sample(values[:0], target[:0]), part[1]).predict(values)
    assert silent.shape == target.shape
    assert np.isnan(silent).all()
