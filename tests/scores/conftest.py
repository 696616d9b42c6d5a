"""Tables of made-up objects, for tests of matching, thresholds and scores."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from toolkit.scores.matching import Objects

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="session")
def eddies() -> Objects:
    """Objects that are found within 300 km; 225 km for the hit rate, and 1000 km at most."""
    return Objects("an eddy", "eddies", hit_km=300.0, near_km=225.0, cap_km=1000.0)


@pytest.fixture(scope="session")
def random_tables() -> Callable[[int, int], Tables]:
    """(seed, windows) -> predictions, truth, examples.

    Windows have 0 to 3 objects with a speed, a fifth of them without a place after 6 h, and 0 to 4 predictions, in
    degrees around the date line.
    """

    def drawn(seed: int, windows: int) -> Tables:
        rng = np.random.default_rng(seed)
        examples = pd.DataFrame({"group": [f"E{k:02d}" for k in rng.integers(20, size=windows)]}, index=range(windows))

        def table(most: int) -> pd.DataFrame:
            example = np.repeat(np.arange(windows), rng.integers(most + 1, size=windows))
            n = example.size
            values = {
                "example": example,
                "latitude": rng.uniform(10, 20, n),
                "probability": rng.integers(1, 40, n) / 40,
            }
            values |= {"longitude": (rng.uniform(175, 185, n) + 180) % 360 - 180, "speed": rng.uniform(30, 120, n)}
            ends = rng.random(n) < 0.2
            values |= {"latitude_6h": np.where(ends, np.nan, rng.uniform(10, 20, n))}
            values |= {"longitude_6h": np.where(ends, np.nan, rng.uniform(175, 185, n))}
            return pd.DataFrame(values)

        return table(4), table(3).drop(columns="probability"), examples

    return drawn
