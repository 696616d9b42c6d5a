"""The picture of a study, the looks of its lines, and where their names stand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from scipy.optimize import LinearConstraint, minimize

from toolkit.report import theme
from toolkit.report.study_curve import caption, figure, spread, write_curve
from toolkit.report.study_looks import MARKERS, looks
from toolkit.report.study_words import lead_saving
from toolkit.study.table import Line, StudyTable


def contrast(first: str, second: str) -> float:
    """Return the ratio of luminances as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return float(np.dot(parts, (0.2126, 0.7152, 0.0722)))

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def many_lines() -> list[Line]:
    """Three backbones adapted in three ways, with and without completions, scratch, and six baselines."""
    completed = ("", " + steering flow", " + persistence")
    pretrained = [
        Line(f"{how}{added}", backbone, "pretrained")
        for backbone in ("a", "b", "c")
        for how in ("probe", "lora", "full")
        for added in completed
    ]
    scratch = [Line(f"scratch{added}", "", "scratch") for added in completed]
    return [*pretrained, *scratch, *(Line(f"baseline {k} + persistence", "", "classical") for k in range(6))]


def test_lines_can_be_told_apart_without_colour() -> None:
    """Dashes and markers differ within a backbone; what is pretrained is solid or nearly, scratch and baselines not."""
    look = looks(many_lines())
    assert len(set(look.values())) == len(look)
    shapes = {(one.dash, one.marker, one.hollow, one.width) for line, one in look.items() if line.backbone in ("", "a")}
    assert len(shapes) == sum(line.backbone in ("", "a") for line in look)
    widths = {
        kind: {one.width for line, one in look.items() if line.kind == kind} for kind in ("pretrained", "scratch")
    }
    assert min(widths["pretrained"]) > max(widths["scratch"])
    assert all(one.dash for line, one in look.items() if line.kind != "pretrained")
    assert {one.marker for one in look.values()} <= MARKERS.keys()


def test_colours_stand_out_from_both_pages() -> None:
    """Every line has a contrast of at least 3 to 1 with what it is drawn on."""
    for one in looks(many_lines()).values():
        assert contrast(one.light, theme.LIGHT["surface"]) >= 3
        assert contrast(one.dark, theme.DARK["surface"]) >= 3


@pytest.mark.parametrize("heights", [[0.5], [0.5, 0.5, 0.5], [0.9, 0.1, 0.12, 0.11], [0.98, 0.99, 1.0], [0.0, 0.01]])
def test_names_are_spread_as_little_as_needed(heights: list[float]) -> None:
    """They keep their order, a gap and the frame, and no other such places are nearer to where they should be."""
    moved = np.array(spread(heights, 0.05))
    order = np.argsort(heights, kind="stable")
    limits = [LinearConstraint(np.diff(np.eye(len(heights))[order], axis=0), 0.05)] if len(heights) > 1 else []
    best = minimize(
        lambda places: np.square(places - heights).sum(), np.linspace(0, 1, len(heights))[np.argsort(order)],
        bounds=[(0, 1)] * len(heights), constraints=limits, method="SLSQP", tol=1e-12,
    )  # fmt: skip
    assert moved == pytest.approx(best.x, abs=1e-4)


def test_names_that_do_not_fit_are_refused() -> None:
    """Eleven names need ten gaps."""
    assert spread([0.5] * 11, 0.1) == pytest.approx(np.linspace(0, 1, 11))
    with pytest.raises(ValueError, match="11 names do not fit"):
        spread([0.5] * 11, 0.11)


@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_the_picture_says_what_was_saved(study: StudyTable, width: theme.Width) -> None:
    """A tick per budget, a curve per line, the saving in words, and a name for every line, beside or below."""
    with theme.style(width):
        drawn = figure(study)
    (axes,) = drawn.axes
    assert axes.get_xticks().tolist() == [4, 8, 16, 32, 64, 125]
    assert sum(line.get_marker() in MARKERS for line in axes.lines) == 8
    named = [text.get_text() for text in (axes.texts if width == "wide" else drawn.legends[0].get_texts())]
    assert {"LoRA, general-vit", "From scratch + steering flow", "Vorticity maximum + persistence"} <= set(named)
    saving = lead_saving(study.metrics[study.primary])
    assert saving is not None
    assert any(f"{saving.saved:.0f}" in text.get_text() and "fewer" in text.get_text() for text in axes.texts)
    assert "below stands what lies between" in caption(study)


@pytest.mark.parametrize(("unit", "scale", "said"), [("km", "log", "log scale"), ("1", "linear", "")])
def test_a_logarithmic_axis_says_so_and_is_not_of_shares(study: StudyTable, unit: str, scale: str, said: str) -> None:
    """Values that span much are drawn on one, but for scores between 0 and 1."""
    metric = study.metrics[study.primary]
    first, *rest = metric.curves
    poor = replace(first, points=tuple(replace(p, value=p.value / 50, low=None, high=None) for p in first.points))
    wide = replace(metric, unit=unit, curves=(poor, *rest))
    with theme.style("wide"):
        (axes,) = figure(replace(study, metrics={study.primary: wide})).axes
    assert (axes.get_yscale(), axes.get_ylabel()) == (scale, said)


def test_where_nothing_is_saved_there_is_no_guide(study: StudyTable) -> None:
    """Without savings, and with a line whose scores are all undefined, the rest is drawn."""
    metric = study.metrics[study.primary]
    first, *rest = metric.curves
    unknown = replace(first, points=tuple(replace(p, value=None, low=None, high=None) for p in first.points))
    bare = replace(study, metrics={study.primary: replace(metric, curves=(unknown, *rest), savings=())})
    with theme.style("wide"):
        (axes,) = figure(bare).axes
    assert sum(line.get_marker() in MARKERS for line in axes.lines) == 7
    assert not any("fewer" in text.get_text() for text in axes.texts)
    assert "guide" not in caption(bare)


@pytest.mark.slow
def test_the_picture_is_written_the_same_each_time(study: StudyTable, tmp_path: Path) -> None:
    """The same study gives the same bytes."""
    first, second = (write_curve(tmp_path / name, study).read_bytes() for name in "ab")
    assert first == second
