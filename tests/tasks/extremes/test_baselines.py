import numpy as np
import pandas as pd
import pytest

from tasks.extremes.baselines import baselines
from tasks.extremes.cells import columns, truth
from toolkit.data.label_kinds import KINDS
from toolkit.examples import Examples

pytestmark = pytest.mark.slow

LEADS = (1,)
NAMES = sorted(baselines(LEADS))


@pytest.fixture(scope="module")
def stated(examples: Examples) -> dict[str, pd.DataFrame]:
    """What every baseline states of the windows that it was fitted to."""
    fits = baselines(LEADS)
    return {name: fits[name](examples, examples)(examples) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_states_probabilities_of_every_cell(
    examples: Examples, stated: dict[str, pd.DataFrame], name: str
) -> None:
    """Every cell has a probability for each kind, also for one that nobody labelled, and the truth is not looked at."""
    table = stated[name]
    true = truth(examples, LEADS)
    assert table[["example", "cell"]].equals(true[["example", "cell"]])
    values = table[columns(LEADS)].to_numpy()
    assert ((values >= 0) & (values <= 1)).all()
    assert np.ptp(table[f"{KINDS[-1]}_24h"]) == 0


@pytest.mark.parametrize("name", ["persistence", "climatology", "gradient boosting"])
def test_a_baseline_tells_more_than_the_mean(examples: Examples, stated: dict[str, pd.DataFrame], name: str) -> None:
    """Where events lie at one latitude and drift slowly, its squared error is less than that of the overall share."""
    likely = stated[name]["tropical_cyclone_24h"].to_numpy()
    true = truth(examples, LEADS)["tropical_cyclone_24h"].to_numpy()
    assert np.mean((likely - true) ** 2) < 0.97 * np.var(true)
    assert likely.mean() == pytest.approx(true.mean(), rel=0.2)
