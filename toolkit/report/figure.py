"""What a figure of the report is, and what it may look at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import matplotlib.figure

    from toolkit.report.read import Results


@dataclass(frozen=True, eq=False)
class RunTables:
    """What figures are drawn from: the resolved configuration, the scores, and what was stated and true in the test.

    `predictions` and `truth` have one row per object and the columns of the run's CSV files, `time` as datetime64.
    """

    config: Mapping[str, Any]
    results: "Results"
    predictions: pd.DataFrame
    truth: pd.DataFrame

    @property
    def simulated(self) -> bool:
        """Whether the world is a simulated one, without the continents of the Earth."""
        return bool((self.config.get("world") or {}).get("simulated"))


@dataclass(frozen=True)
class Figure:
    """A figure with a title and a caption in plain words; the caption is also what a screen reader says.

    draw(tables) -> matplotlib figure, or None where there is nothing to show. It is called once for a wide page and
    once for a phone, under the settings of `toolkit.report.theme`: make the figure with `theme.panels` and take colours
    from there, so that they follow the reader's light or dark page.
    """

    title: str
    caption: str
    draw: Callable[[RunTables], "matplotlib.figure.Figure | None"]
