import math

import numpy as np
import pandas as pd
import pytest

from toolkit.pretexts.lag_answers import accuracy, confusion, entropy, hits, predictability
from toolkit.pretexts.lags import Lags

LAGS = Lags(4, 6)


def ranked(*orders: str) -> np.ndarray:
    """Logits of pairs by their classes, likeliest first: "2013" says class 2, then 0, then 1, then 3."""
    return np.array([[-float(order.index(str(k))) for k in range(len(order))] for order in orders])


def test_confusion_is_shared_out_per_predicted_lag() -> None:
    """Of the pairs taken for one lag, the shares of the true ones add up to 1; what is never predicted has none."""
    logits = np.stack([ranked("0123", "0123", "2013", "2013"), ranked("0123", "1023", "2013", "0123")])
    table = confusion(logits, LAGS)
    counts = table.pivot_table(index="true_hours", columns="predicted_hours", values="count")
    assert counts.to_numpy().tolist() == [[2, 0, 0, 0], [1, 1, 0, 0], [0, 0, 2, 0], [1, 0, 1, 0]]
    shares = table.pivot_table(index="true_hours", columns="predicted_hours", values="share")
    assert list(shares.index) == list(shares.columns) == [6, 12, 18, 24]
    assert shares.sum().tolist() == [1, 1, 1, 0]
    assert shares.loc[24, 18] == pytest.approx(1 / 3)


def test_accuracy_per_lag() -> None:
    """Each lag has the share of its pairs that are told, and of those whose truth is among the three likeliest."""
    logits = np.stack([ranked("0123", "0123", "3012", "3012"), ranked("0123", "1023", "3012", "0123")])
    table = accuracy(logits, LAGS)
    assert table["hours"].tolist() == [6, 12, 18, 24]
    assert table["windows"].tolist() == [2] * 4
    assert table["top_1"].tolist() == [1, 0.5, 0, 0.5]
    assert table["top_3"].tolist() == [1, 1, 0, 0.5]


def test_hits_take_the_three_likeliest() -> None:
    """The first counts for both, the third for one, the fourth for none."""
    top_1, top_3 = hits(ranked("2013", "2013", "2013"), np.array([2, 1, 3]))
    assert top_1.tolist() == [True, False, False]
    assert top_3.tolist() == [True, True, False]


def test_entropy_of_known_distributions() -> None:
    """Nothing known is 1, certainty 0, an even choice between two of four a half."""
    assert entropy(np.zeros(4)) == pytest.approx(1)
    assert entropy(np.array([1e3, 0, 0, 0])) == pytest.approx(0)
    assert entropy(np.log([0.5, 0.5, 1e-30, 1e-30])) == pytest.approx(math.log(2) / math.log(4))


def test_predictability_by_place_month_and_hour() -> None:
    """Windows are counted in cells of 15 by 30 degrees, across the date line, by month and by hour."""
    where = pd.DataFrame(
        {"latitude": [14.9, 15.0, -0.1, 16.0], "longitude": [359.0, -1.0, 29.9, 330.0], "month": [8, 8, 9, 9]}
    ).assign(hour=[0, 6, 0, 6])
    table = predictability(ranked("2013", "2013", "0123", "0132"), 2, where).set_index("by")
    places = table.loc["place"].set_index(["south", "west"])
    assert places["windows"].to_dict() == {(-15, 0): 1, (0, 330): 1, (15, 330): 2}
    assert places["top_1"].to_dict() == {(-15, 0): 0, (0, 330): 1, (15, 330): 0.5}
    months = table.loc["month"].set_index("month")
    assert months["top_1"].to_dict() == {8: 1, 9: 0}
    assert months["top_3"].to_dict() == {8: 1, 9: 0.5}
    assert table.loc["hour"].set_index("hour")["top_1"].to_dict() == {0: 0.5, 6: 0.5}
    np.testing.assert_allclose(table["entropy"], entropy(ranked("0123"))[0])
    assert table.groupby("by")["windows"].sum().tolist() == [4, 4, 4]
