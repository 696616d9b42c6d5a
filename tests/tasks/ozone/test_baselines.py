"""The baselines of daily ozone that know nothing of the weather."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from tasks.ozone.baselines import climatology, persistence


@dataclass(frozen=True)
class Rows:
    """Examples without windows."""

    table: pd.DataFrame
    truth: pd.DataFrame

    def __len__(self) -> int:
        return len(self.table)


def rows(known: list[list[float]], group: list[str], ahead: float = 50.0) -> Rows:
    """Rows with their known days, the latest first; two days ahead of `ahead` ppb."""
    table = pd.DataFrame(known, columns=["mda8_0d", "mda8_m1d", "mda8_m2d"])
    table["time"], table["group"] = pd.Timestamp("2020-07-01"), group
    truth = pd.DataFrame({"example": np.arange(len(table)), "mda8_1d": ahead, "mda8_2d": np.nan}).astype(
        {"example": int}
    )
    truth.loc[0, "mda8_2d"] = ahead
    return Rows(table, truth.assign(mda8_0d=1.0))


def test_persistence_states_the_last_known_day_for_every_lead() -> None:
    """Where the last is missing the one before stands in, and without any the mean of training."""
    ask = rows([[60, 1, 2], [np.nan, 70, 3], [np.nan] * 3], ["a", "a", "new"], ahead=0.0)
    stated = persistence(rows([[1, 1, 1]], ["a"]), ask)(ask)
    assert list(stated) == ["example", "mda8_1d", "mda8_2d"]
    for name in ("mda8_1d", "mda8_2d"):
        assert stated[name].tolist() == [60, 70, 50]


@pytest.mark.parametrize("baseline", [persistence, climatology])
def test_they_work_for_stations_that_were_not_trained_on(baseline) -> None:
    """Every row asked for has a number for every lead, whatever the truth of it."""
    train = rows([[30, 30, 30]] * 4, ["a", "a", "b", "b"])
    ask = rows([[30, 30, 30]] * 2, ["a", "new"], ahead=np.nan)
    stated = baseline(train, train)(ask)
    assert stated["example"].tolist() == [0, 1]
    assert stated[["mda8_1d", "mda8_2d"]].notna().all(axis=None)


def test_climatology_states_what_is_usual() -> None:
    """Where every day has 50 ppb, 50 is stated."""
    train = rows([[30, 30, 30]] * 4, ["a", "a", "b", "b"])
    np.testing.assert_allclose(climatology(train, train)(train)[["mda8_1d", "mda8_2d"]], 50.0)
