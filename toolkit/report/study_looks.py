"""How the lines of a study are told apart: by colour, and without it by dash and marker.

The hue says where the knowledge comes from and, of pretrained lines, which backbone; the marker says which method.
Pretrained lines are strong and solid, scratch is dashed, classical baselines are thin and dotted. A hollow marker says
that a method is completed by a classical one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.study.table import Line

Colour = tuple[str, str]
"""On a light and on a dark page."""
COMPLETED = " + "
PRETRAINED: Sequence[Sequence[Colour]] = (
    (("#0a62a3", "#64b5f0"), ("#083f6b", "#b9ddf8"), ("#3f88c2", "#4b94cf")),
    (("#0b7d72", "#5fd0c2"), ("#07514a", "#b5ece4"), ("#2f978b", "#3fa396")),
    (("#a3246b", "#f08abf"), ("#6a1446", "#f9c6e0"), ("#c4579a", "#c96a9f")),
)
SCRATCH: Sequence[Colour] = (("#ad5510", "#f0a15a"), ("#c4741f", "#d1873f"), ("#7a3a08", "#f7cfa6"))
CLASSICAL: Sequence[Colour] = (
    ("#6b5aa8", "#b3a4ee"), ("#566472", "#9cabb8"), ("#43337f", "#d6cdfb"), ("#8778bd", "#8d7ed0"),
    ("#2f3b47", "#ccd5dd"), ("#7a4f9e", "#c79be6"),
)  # fmt: skip
METHODS: Mapping[str, tuple[int, str]] = {"lora": (0, "o"), "full": (1, "s"), "probe": (2, "^")}
"""The shade and the marker of a way to adapt."""
MARKERS: Mapping[str, str] = {
    "o": "M-1,0a1,1 0 1,0 2,0a1,1 0 1,0 -2,0Z",
    "s": "M-.9,-.9H.9V.9H-.9Z",
    "^": "M0,-1.15L1.1,.8H-1.1Z",
    "D": "M0,-1.25L1.25,0L0,1.25L-1.25,0Z",
    "v": "M0,1.15L1.1,-.8H-1.1Z",
    "P": "M-.4,-1.2H.4V-.4H1.2V.4H.4V1.2H-.4V.4H-1.2V-.4H-.4Z",
    "p": "M0,-1.2L1.15,-.37L.71,.97H-.71L-1.15,-.37Z",
    "X": "M-.57,-1.13L0,-.57L.57,-1.13L1.13,-.57L.57,0L1.13,.57L.57,1.13L0,.57L-.57,1.13L-1.13,.57L-.57,0L-1.13,-.57Z",
    ">": "M1.15,0L-.8,1.1V-1.1Z",
    "h": "M0,-1.2L1.04,-.6V.6L0,1.2L-1.04,.6V-.6Z",
}
"""Matplotlib's names, and SVG paths about the origin with a radius of about 1."""
_OF_CLASSICAL = "vPphX>"
_SOLID: Sequence[tuple[float, ...]] = ((), (), (9, 2), (9, 2, 2, 2))
_DASHED: Sequence[tuple[float, ...]] = ((4, 2), (4, 1.5, 1, 1.5), (7, 1.5), (2.5, 1.5))
_DOTTED: Sequence[tuple[float, ...]] = ((1, 1.6), (1, 3))


@dataclass(frozen=True)
class Look:
    """A line's colours, its width in points, its dashes in widths, its marker, and whether that is hollow."""

    light: str
    dark: str
    width: float
    dash: tuple[float, ...]
    marker: str
    hollow: bool


def completion(line: Line) -> str:
    """Return what completes a learned line, "" for nothing; a baseline is a whole, whatever its name."""
    return "" if line.kind == "classical" else line.method.partition(COMPLETED)[2]


def looks(lines: Sequence[Line]) -> dict[Line, Look]:
    """Return how each of `lines` is drawn; no two look the same up to three backbones and three completions."""
    backbones = list(dict.fromkeys(line.backbone for line in lines if line.kind == "pretrained"))
    completions = list(dict.fromkeys(completion(line) for line in lines if completion(line)))
    classical = [line for line in lines if line.kind == "classical"]
    drawn = {}
    for line in lines:
        completed = completions.index(completion(line)) + 1 if completion(line) else 0
        if line.kind == "pretrained":
            shade, marker = METHODS.get(line.method.partition(COMPLETED)[0], (0, "D"))
            family = PRETRAINED[backbones.index(line.backbone) % len(PRETRAINED)]
            colour, width, dash = family[shade], 2.3, _SOLID[completed % len(_SOLID)]
        elif line.kind == "scratch":
            colour, width, marker = SCRATCH[completed % len(SCRATCH)], 1.9, "D"
            dash = _DASHED[completed % len(_DASHED)]
        else:
            k = classical.index(line)
            colour, width, marker = CLASSICAL[k % len(CLASSICAL)], 1.5, _OF_CLASSICAL[k % len(_OF_CLASSICAL)]
            dash = _DOTTED[k // len(CLASSICAL) % len(_DOTTED)]
        drawn[line] = Look(*colour, width, dash, marker, completed > 0)
    return drawn
