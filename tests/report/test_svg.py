"""Figures as part of a page and as files."""

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from toolkit.report import theme
from toolkit.report.svg import inline_svg, write_png


def drawn() -> Figure:
    """Return a figure with lines, markers, clipping, text and a name that means something to XML."""
    with theme.style("wide"):
        figure, (axes,) = theme.panels(1)
        axes.plot([0.0, 1.0, 2.0], [1.23456, 2.0, 3.0], "o-", color=theme.MODEL, label="<b>&\"'")
        axes.text(1, 2, "0.123456 #0a62a")
        axes.legend()
    return figure


@pytest.fixture
def drawing() -> Figure:
    """The figure."""
    return drawn()


def svg_of(figure: Figure, prefix: str = "p-") -> str:
    """Return the SVG as the page has it."""
    with theme.style("wide"):
        return inline_svg(figure, prefix, "title caption", "wide")


def test_the_svg_asks_nothing_of_the_network(drawing: Figure) -> None:
    """No namespace, document type or licence with an address is left."""
    assert "http" not in svg_of(drawing)
    assert "<!" not in svg_of(drawing)


def test_the_svg_follows_the_palette_of_the_page(drawing: Figure) -> None:
    """Every colour of the palette has become a variable."""
    text = svg_of(drawing)
    assert "stroke: var(--model)" in text
    assert "fill: var(--ink)" in text
    assert not [colour for colour in theme.LIGHT.values() if colour in text]


def test_identifiers_are_apart_from_those_of_other_figures(drawing: Figure) -> None:
    """All identifiers have the prefix, and whatever is referred to is there."""
    text = svg_of(drawing, "mine-")
    named, used = set(re.findall(r'id="([^"]*)"', text)), set(re.findall(r'(?:href="|url\()#([^")]*)', text))
    assert all(name.startswith("mine-") for name in named)
    assert used
    assert used <= named


def test_text_stays_text_and_is_escaped(drawing: Figure) -> None:
    """Words can be searched for, in the page's typeface; digits in them are not cut."""
    text = svg_of(drawing)
    assert "&lt;b&gt;&amp;" in text
    assert "0.123456 #0a62a" in text
    assert "font-family" not in text


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    """Neither random identifiers nor dates are in the SVG or in the PNG."""
    assert svg_of(drawn()) == svg_of(drawn())
    for name in ("a.png", "b.png"):
        with theme.style("wide"):
            write_png(drawn(), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_svg_is_named_for_screen_readers(drawing: Figure) -> None:
    """It is one image, told by its title and caption."""
    assert svg_of(drawing).startswith('<svg class="wide" viewBox="0 0 648 230.4" role="img" aria-labelledby="title cap')
