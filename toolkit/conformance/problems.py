"""A problem of a plug-in: where it is, what is wrong, and what to do."""

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from toolkit.errors import UserError

TOOLKIT, STANDARD = Path(__file__).parents[1], Path(sysconfig.get_path("stdlib"))
INSTALLED = ("site-packages", "dist-packages")
LIBRARIES = ("torch", "numpy", "pandas", "xarray", "scipy", "sklearn", "joblib", "dask", "zarr", "timm", "peft")
"""Installed packages that plug-ins are built on; any other one may be a plug-in."""


@dataclass(frozen=True)
class Problem:
    """`place`: the function, column, metric or method it is about; what is `wrong` and its `remedy`, a sentence each.

    `remedy` is empty where the sentence on what is wrong already says it.
    """

    place: str
    wrong: str
    remedy: str = ""


class Stopped(Exception):  # noqa: N818 - it is no error of this program
    """A rule that cannot go on, because of one problem."""

    def __init__(self, problem: Problem) -> None:
        """Keep the problem."""
        super().__init__(problem.wrong)
        self.problem = problem


@contextmanager
def at(place: str) -> Iterator[None]:
    """Make of whatever is raised in the block a `Stopped` with the problem: this place, the exception, its line."""
    try:
        yield
    except Stopped:
        raise
    except UserError as error:
        raise Stopped(Problem(place, str(error))) from error
    except Exception as error:  # a plug-in is somebody else's code
        raise Stopped(Problem(place, _said(error), _where(error))) from error


def _said(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}".strip().rstrip(".:")
    return f"it raises {text}."


def _where(error: Exception) -> str:
    """Return which line to mend: the last one of the plug-in's own code that the exception passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_library(Path(frame.filename))]
    if not own:
        return "Mend the function, or what it is given."
    return f"Mend `{own[-1].name}` in {Path(own[-1].filename).name}, line {own[-1].lineno}."


def _is_library(path: Path) -> bool:
    if path.is_relative_to(TOOLKIT) or not path.exists():
        return True
    packages = [after for folder, after in pairwise(path.parts) if folder in INSTALLED]
    return packages[-1] in LIBRARIES if packages else path.is_relative_to(STANDARD)
