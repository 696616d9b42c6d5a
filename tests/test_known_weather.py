"""The weather that a backbone has seen, told where it is tested on it."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from toolkit.backbones.card import Card, backbone_folder, read_card
from toolkit.known_weather import known_weather

SIMULATED = {"source": "simulated shallow water", "size": "small", "seed": 7}
TIMES = pd.Series(pd.to_datetime(["2003-08-01 00:00", "2004-08-01 12:00", "2004-08-31 18:00", "2005-08-01 00:00"]))


def card(**made_by: Any) -> Card:
    """A card of a backbone that was pretrained on two years of a world."""
    world = {"path": "before", "from": "2003-08-01", "to": "2004-08-31", "times": 8} | made_by
    return replace(read_card(backbone_folder("general-vit")), name="mine", data={"worlds": [world], "held_out": []})


@pytest.mark.parametrize("made_by", [SIMULATED, {}, {"source": "ECMWF"}])
def test_what_was_seen_is_counted_by_its_times(made_by: dict[str, Any]) -> None:
    """The last day counts to its end; of real fields the times alone tell, whoever made the file."""
    (said,) = known_weather(card(**made_by), SIMULATED if made_by == SIMULATED else {}, TIMES)
    assert said == (
        "mine was pretrained, without labels, on before, 2003-08-01 to 2004-08-31: 75% of the test part is weather "
        "that it has seen"
    )


@pytest.mark.parametrize("made_by", [SIMULATED | {"seed": 8}, SIMULATED | {"size": "large"}, {}])
def test_another_atmosphere_is_new(made_by: dict[str, Any]) -> None:
    """Simulated weather of another seed or size, and the Earth's, have not been seen though the dates are the same."""
    assert known_weather(card(**made_by), SIMULATED, TIMES) == []
    assert known_weather(card(**SIMULATED), made_by, TIMES) == []


def test_other_years_are_new() -> None:
    """Of the same world times before and after."""
    assert known_weather(card(**SIMULATED), SIMULATED, TIMES + pd.Timedelta(days=3000)) == []
