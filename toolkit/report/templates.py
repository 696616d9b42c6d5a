"""Where the pages' templates, styles and scripts are, how they are filled in, and the widths figures are drawn at."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from toolkit.report.numbers import unbroken
from toolkit.report.theme import Width

HERE = Path(__file__).parent
WIDTHS: tuple[Width, ...] = ("wide", "narrow")


def environment() -> Environment:
    """Return what fills in a template: all text is escaped, and a name that is not given is an error."""
    filled = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filled.filters["unbroken"] = unbroken
    return filled
