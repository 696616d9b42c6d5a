"""What is said of an exception in somebody else's code."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.conformance import problems
from toolkit.conformance.problems import Problem, Stopped, at
from toolkit.errors import UserError


def _problem(function, place: str = "encode") -> Problem:
    with pytest.raises(Stopped) as stopped, at(place):
        function()
    return stopped.value.problem


def test_a_message_to_the_user_stays_as_it_is() -> None:
    """A `UserError` names its remedy itself."""

    def refuse() -> None:
        raise UserError("No column 'rain'. Did you mean 'rain_mm'?")

    assert _problem(refuse) == Problem("encode", "No column 'rain'. Did you mean 'rain_mm'?")


def test_the_line_is_that_of_the_plug_in() -> None:
    """Where a library raises, the last line of one's own code is named; standard library and toolkit are none."""

    def lookup() -> None:
        pd.DataFrame({"rain_mm": [1.0]})["rain"]

    problem = _problem(lookup)
    assert problem.wrong == "it raises KeyError: 'rain'."
    assert problem.remedy == f"Mend `lookup` in test_problems.py, line {lookup.__code__.co_firstlineno + 1}."


@pytest.mark.parametrize(("package", "is_library"), [("rain_at_stations", False), ("pandas", True)])
def test_an_installed_plug_in_is_no_library(tmp_path: Path, package: str, is_library: bool) -> None:
    """A file among the installed packages is named, unless it is of a package that plug-ins are built on."""
    file = tmp_path / "site-packages" / package / "task.py"
    file.parent.mkdir(parents=True)
    file.write_text("def encode():\n    raise ValueError\n")
    space: dict = {}
    exec(compile(file.read_text(), str(file), "exec"), space)
    said = _problem(space["encode"]).remedy
    assert (said == "Mend `encode` in task.py, line 2.") != is_library


def test_where_no_line_is_the_plug_in_s_what_it_is_given_is_asked_for() -> None:
    """A function of the toolkit itself, called with what it cannot take, has no line to mend."""
    call = compile("with at('encode'):\n    {}['rain']", problems.__file__, "exec")
    with pytest.raises(Stopped) as stopped:
        exec(call, {"at": at})
    assert stopped.value.problem.remedy == "Mend the function, or what it is given."


def test_the_first_problem_is_kept() -> None:
    """A place within a place names the inner one."""

    def inner() -> None:
        with at("head"):
            np.zeros(2)[3]

    assert _problem(inner, "methods").place == "head"
    assert "index 3 is out of bounds" in _problem(inner, "methods").wrong
