"""Whether a backbone was pretrained on the weather that it is tested on, which then is not new to it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from toolkit.backbones.card import Card
from toolkit.data.world_identity import MADE_BY, SIMULATED


def known_weather(card: Card, made_by: Mapping[str, Any], times: pd.Series) -> list[str]:
    """Return a sentence for every world of the pretraining that has the weather of some of the times of a test part.

    There is one atmosphere of the Earth; a simulated one is the same where size, seed and all else that made it are.
    """
    said = []
    for world in card.data.get("worlds", ()):
        before = {key: world[key] for key in MADE_BY if key in world}
        simulated = [SIMULATED in str(of.get("source", "")) for of in (before, made_by)]
        if any(simulated) and before != dict(made_by):
            continue
        first, after = pd.Timestamp(world["from"]), pd.Timestamp(world["to"]) + pd.Timedelta(days=1)
        if share := float(((times >= first) & (times < after)).mean()):
            said.append(
                f"{card.name} was pretrained, without labels, on {world['path']}, {world['from']} to {world['to']}: "
                f"{share:.0%} of the test part is weather that it has seen"
            )
    return said
