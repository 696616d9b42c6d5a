"""The palette and the style."""

import matplotlib as mpl
import pytest
from matplotlib.colors import to_rgb

from toolkit.report import theme


def luminance(colour: str) -> float:
    """Return the relative luminance of the WCAG 2 definition."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of the WCAG 2 definition, 1 to 21."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "surface"])
@pytest.mark.parametrize("role", ["ink", "muted", "model", "scratch", "baseline", "good", "bad"])
def test_text_can_be_read_on_either_ground(palette: dict[str, str], ground: str, role: str) -> None:
    """Every colour that text is set in has the 4.5 to 1 that WCAG asks for."""
    assert contrast(palette[role], palette[ground]) >= 4.5


def test_every_colour_has_a_dark_twin_and_none_stands_for_two_roles() -> None:
    """A swap by colour is possible because colours and roles are one to one."""
    assert theme.LIGHT.keys() == theme.DARK.keys()
    assert len(set(theme.LIGHT.values())) == len(theme.LIGHT)


def test_the_users_own_settings_come_back() -> None:
    """The style holds inside the block only, and ignores what was set outside."""
    with mpl.rc_context({"font.size": 31, "lines.linestyle": ":"}):
        with theme.style("wide"):
            assert mpl.rcParams["font.size"] == 9
            assert mpl.rcParams["lines.linestyle"] == "-"
        assert mpl.rcParams["font.size"] == 31


def test_panels_are_side_by_side_or_stacked() -> None:
    """A phone gets the same axes below each other."""
    shapes = {}
    for width in ("wide", "narrow"):
        with theme.style(width):
            figure, axes = theme.panels(2, height_in=2.0)
            shapes[width] = tuple(figure.get_size_inches())
            assert len(axes) == 2
    assert shapes == {"wide": (9.0, 2.0), "narrow": (3.7, 4.0)}
