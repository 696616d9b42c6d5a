"""The figures every report has."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from toolkit.report import charts, theme
from toolkit.report.read import Results


def curve(loss: np.ndarray, validation: dict[int, float] | None = None) -> pd.DataFrame:
    """Return a learning curve with a loss for every step."""
    table = pd.DataFrame({"step": np.arange(loss.size), "loss": loss})
    return table.assign(validation=table["step"].map(validation)) if validation else table


def row_names(axes: Axes) -> list[str]:
    """Return the names of the rows from top to bottom."""
    return [label.get_text() for label in reversed(axes.get_yticklabels())]


@pytest.mark.parametrize(
    ("metric", "best", "worst"), [("mean_centre_error", "LoRA", "climatology"), ("csi", "LoRA", "climatology")]
)
def test_methods_are_ordered_by_their_score(results: Results, metric: str, best: str, worst: str) -> None:
    """The best is on top, whichever way is better."""
    with theme.style("wide"):
        _, (axes,) = theme.panels(1)
        charts.draw_scores(axes, results, metric)
    assert (row_names(axes)[0], row_names(axes)[-1]) == (best, worst)


def test_a_method_without_the_score_is_left_out(results: Results) -> None:
    """Undefined scores have no place on an axis."""
    with theme.style("wide"):
        _, (axes,) = theme.panels(1)
        charts.draw_scores(axes, results, "intensity_error")
    assert "steering flow" not in row_names(axes)


def test_nothing_is_drawn_where_nothing_is_defined(results: Results) -> None:
    """A figure of no scores is no figure."""
    undefined = replace(results.metrics["csi"], value=math.nan)
    bare = replace(results, metrics={"csi": undefined}, primary="csi", comparison=None, baselines={})
    with theme.style("wide"):
        assert charts.primary_score(bare) is None


def test_names_are_shown_as_they_are(results: Results) -> None:
    """A dollar sign does not start a formula."""
    named = replace(results, baselines={r"$\frac{1$": {results.primary: 300.0}})
    with theme.style("narrow"):
        figure = charts.primary_score(named)
        assert figure is not None
        figure.draw_without_rendering()
        assert any(text.get_text() == r"\$\frac{1\$" for text in figure.axes[0].texts)


@pytest.mark.parametrize(("lowest", "scale"), [(0.9, "linear"), (0.01, "log"), (-1.0, "linear")])
def test_the_loss_is_logarithmic_where_it_spans_much(lowest: float, scale: str) -> None:
    """A wide range of positive numbers asks for a logarithm, and nothing else does."""
    with theme.style("wide"):
        figure = charts.learning_curves({"LoRA": curve(np.linspace(1.0, lowest, 300))})
    assert figure.axes[0].get_yscale() == scale


def test_the_validation_has_axes_of_its_own() -> None:
    """It need not be in the unit of the loss; the best step is marked."""
    with theme.style("wide"):
        figure = charts.learning_curves(
            {"LoRA": curve(np.ones(30), {9: 0.5, 19: 0.2, 29: 0.3}), "Probe": curve(np.ones(9))}
        )
    assert len(figure.axes) == 2
    kept = [line for line in figure.axes[1].lines if line.get_label() == "LoRA, kept"]
    assert [list(np.atleast_1d(line.get_xdata())) for line in kept] == [[19]]


def test_a_curve_without_validation_has_one_panel() -> None:
    """No empty axes."""
    with theme.style("wide"):
        assert len(charts.learning_curves({"LoRA": curve(np.ones(3))}).axes) == 1
