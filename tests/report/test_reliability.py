"""Reliability diagrams and skill by lead time."""

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve

from toolkit.report import theme
from toolkit.report.reliability import draw_by_lead, draw_reliability, reliability, short

Width = theme.Width


def tables(highest: float = 1.0, count: int = 4000) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Honest probabilities up to `highest`, half a hundred cells in each window; one truth in ten is not known."""
    rng = np.random.default_rng(0)
    keys = {"example": np.arange(count) // 50, "cell": np.arange(count) % 50}
    chance = rng.beta(0.5, 2, count) * highest
    true = np.where(rng.random(count) < 0.1, np.nan, rng.random(count) < chance)
    return pd.DataFrame(keys | {"heat": chance}), pd.DataFrame(keys | {"heat": true})


def by_lead(value: float, interval: bool = True) -> pd.DataFrame:
    """A score that falls with the lead time."""
    lead = np.array([0, 24, 72, 120])
    values = value * np.exp(-lead / 100)
    width = 0.05 if interval else np.nan
    return pd.DataFrame({"lead_hours": lead, "value": values, "low": values - width, "high": values + width})


def test_sklearn_agrees() -> None:
    """Means and frequencies are those of scikit-learn's calibration curve; every known cell is counted once."""
    predictions, truth = tables()
    table = reliability(predictions.sample(frac=1, random_state=0), truth, "heat")
    known = truth["heat"].notna()
    observed, stated = calibration_curve(truth["heat"][known] == 1, predictions["heat"][known], n_bins=10)
    there = table["count"] > 0
    np.testing.assert_allclose(table["observed"][there], observed)
    np.testing.assert_allclose(table["stated"][there], stated)
    assert table["count"].sum() == known.sum()


@pytest.mark.parametrize(("highest", "top"), [(1.0, 1.0), (0.4, 0.5), (0.05, 0.1)])
def test_bins_end_where_the_probabilities_do(highest: float, top: float) -> None:
    """Probabilities of rare events fill the diagram as well as those of common ones."""
    table = reliability(*tables(highest), "heat")
    assert table["edge"].iloc[-1] == top
    assert (table["count"] > 0).sum() >= 5
    assert ((table["stated"] <= table["edge"]) | table["stated"].isna()).all()


@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_the_diagram_shows_a_point_and_a_bar_for_each_bin(width: Width) -> None:
    """One point a bin that has cases, hollow where they are few, and the counts below."""
    predictions, truth = tables()
    table = reliability(predictions, truth, "heat")
    with theme.style(width):
        _, (axes,) = theme.panels(1)
        draw_reliability(axes, predictions, truth, "heat")
        points = [line for line in axes.lines if line.get_marker() == "o"]
        assert len(points) == (table["count"] > 0).sum()
        hollow = [line for line in points if line.get_markerfacecolor() == theme.SURFACE]
        assert len(hollow) == table["count"].between(1, 19).sum()
        assert len(axes.patches) == 10
        said = [text.get_text() for text in axes.texts]
        assert "overall frequency" in said
        assert {short(count) for count in table["count"] if count} <= set(said)
        axes.figure.draw_without_rendering()  # type: ignore[union-attr]


def test_a_kind_of_which_nothing_is_known_has_an_empty_diagram() -> None:
    """No point, no frequency, and no error."""
    predictions, truth = tables()
    with theme.style("wide"):
        _, (axes,) = theme.panels(1)
        draw_reliability(axes, predictions, truth.assign(heat=np.nan), "heat")
    assert not [line for line in axes.lines if line.get_marker() == "o"]
    assert not axes.texts


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (9951, "10k"),
        (34_499, "34k"),
        (999_600, "1.0M"),
        (2_400_000_000, "2.4G"),
    ],
)
def test_counts_are_short(count: int, said: str) -> None:
    """Four characters hold any count."""
    assert short(count) == said


@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_each_method_has_its_line_colour_and_marker_by_lead_time(width: Width) -> None:
    """Intervals are drawn where there are any; the reference is a line of its own."""
    scores = {"LoRA": by_lead(0.7), "$cratch": by_lead(0.5), "persistence": by_lead(0.4, interval=False)}
    with theme.style(width):
        _, (axes,) = theme.panels(1)
        draw_by_lead(axes, scores, "Brier skill (higher is better)", 0.0, "climatology")
        axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    named = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    assert [line.get_label() for line in named] == ["LoRA", r"\$cratch", "persistence"]
    assert len({line.get_color() for line in named}) == len({line.get_marker() for line in named}) == 3
    assert len(axes.lines) == 1 + 3 + 2 * 4
    np.testing.assert_allclose(named[1].get_xdata(), [0, 24, 72, 120])
    assert [text.get_text() for text in axes.texts] == ["climatology"]


def test_undefined_scores_leave_a_gap_at_their_lead_time() -> None:
    """A score that is NaN is not drawn, and one method alone needs no legend."""
    table = by_lead(0.7)
    table.loc[1, "value"] = np.nan
    with theme.style("wide"):
        _, (axes,) = theme.panels(1)
        draw_by_lead(axes, {"LoRA": table}, "skill", None)
    assert len(axes.lines[-1].get_xdata()) == 3
    assert axes.get_legend() is None
    assert list(axes.get_xticks()) == [0, 24, 72, 120]
