"""A matplotlib figure as part of a page (SVG whose colours follow the page) and as a file of its own (PNG)."""

import io
import re
from pathlib import Path
from typing import Any

import matplotlib.figure

from toolkit.files import whole_file
from toolkit.report.theme import LIGHT, SURFACE

_ROLES = {colour: f"var(--{role})" for role, colour in LIGHT.items()} | {"#000000": "var(--ink)"}
_COLOUR = re.compile("|".join(_ROLES))
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_ROOT = re.compile(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>')
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_NAMED = re.compile(r'\bid="|url\(#|href="#')
_TAG = re.compile(r"<[^>]*>")
_NEEDLESS_DIGITS = re.compile(r"(\.\d\d)\d+")  # a hundredth of a point is finer than any screen
_LAYOUT_SPACE = re.compile(r">\s+<(?!/?tspan)")
_FAMILY = re.compile(r" ?font-family: [^;\"]*;?")
_GLOBAL_STYLE = re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)


def inline_svg(figure: matplotlib.figure.Figure, prefix: str, described_by: str, kind: str) -> str:
    """Return the figure as an <svg> element of class `kind`, told to screen readers by the element `described_by`.

    `prefix` keeps its identifiers apart from those of other figures. It holds no address and no colour of its own
    where the palette has one.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    match = _ROOT.search(text)
    if match is None:
        raise ValueError("matplotlib wrote an SVG without a view box")
    body = text[match.end() :].strip().replace("xlink:href", "href")
    for needless in (_METADATA, _COMMENT, _GLOBAL_STYLE, _FAMILY):
        body = needless.sub("", body)
    body = _NAMED.sub(lambda found: found[0] + prefix, body)
    body = _COLOUR.sub(lambda found: _ROLES[found[0]], body)
    body = _TAG.sub(lambda tag: _NEEDLESS_DIGITS.sub(r"\1", tag[0]), _LAYOUT_SPACE.sub("><", body))
    return f'<svg class="{kind}" viewBox="{match[1]}" role="img" aria-labelledby="{described_by}">{body}'


def write_png(figure: matplotlib.figure.Figure, path: Path, dots_per_inch: int = 200, trimmed: bool = True) -> None:
    """Write the figure on a light ground, the same bytes for the same figure; `trimmed` to what is drawn."""
    edge: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.15} if trimmed else {}
    with whole_file(path) as temporary:
        figure.savefig(
            temporary, format="png", dpi=dots_per_inch, facecolor=SURFACE, metadata={"Software": None}, **edge
        )
