import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from toolkit.errors import UserError
from toolkit.plugins import found_tasks, plugin_named, task_named, task_names

Installed = Callable[..., None]

TASK_FILE = """
from dataclasses import replace
from tasks.hurricane.task import TASK as HURRICANE
TASK = replace(HURRICANE, name="{name}")
"""

FUNCTION_FILE = """
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from tasks.hurricane.task import TASK as HURRICANE

def TASK(
    lead: int = 1,
    kinds: tuple[str, ...] = ("a", "b"),
    day: Literal["eu", "epa"] = "eu",
    plain=3,
    data: Path | None = None,
):
    return replace(HURRICANE, name="rain", summary=repr((lead, kinds, day, plain, data and data.name)))
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Install a package with one module and one entry point, for this test."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(package: str, task: str, content: str, needs: str = "") -> None:
        (tmp_path / f"{package}.py").write_text(content)
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n{needs}")
        (about / "entry_points.txt").write_text(f"[toolkit.tasks]\n{task} = {package}:TASK\n")

    return install


def test_the_shipped_task_is_found_by_name() -> None:
    """The hurricane task is known by its entry point, and is the object that its module defines."""
    from tasks.hurricane.task import TASK

    assert "hurricane" in task_names()
    assert task_named("hurricane") is TASK


def test_an_installed_package_adds_its_task(installed: Installed) -> None:
    """A package with an entry point in the group is found by its name and in the list, with where it comes from."""
    installed("rain_package", "rain", TASK_FILE.format(name="rain"))
    assert task_named("rain").name == "rain"
    found = found_tasks()
    plugin = found.plugins["rain"]
    assert (plugin.package, plugin.version, plugin.place) == ("rain_package", "1.0", "rain_package:TASK")
    assert plugin.options == {}
    assert set(found.tasks) >= {"rain", "hurricane"}
    assert found.plugins.keys() == found.tasks.keys()
    assert found.plugins["hurricane"].package == "earth-toolkit"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import no_such_module", "does not load: ModuleNotFoundError: No module named 'no_such_module'"),
        ("TASK = 3", "TASK should be a toolkit.task.Task or a function that returns one, it is a int"),
        (TASK_FILE.format(name="snow"), "calls itself 'snow'"),
        ("def TASK(lead=1): return lead", "or a function that returns one, it gives a int"),
        ("def TASK(lead=1): return 1 / 0", "cannot be made: ZeroDivisionError: division by zero"),
        ("def TASK(lead): return lead", "The option 'lead' of broken_package:TASK has no default. Give it one"),
        ("def TASK(lead: 'Days' = 1): return lead", "The options of broken_package:TASK cannot be read: NameError"),
    ],
)
def test_a_broken_plug_in_is_told_and_stops_nothing_else(installed: Installed, content: str, said: str) -> None:
    """One that cannot be imported, is no task or has another name is a sentence; the others are there."""
    sys.modules.pop("broken_package", None)
    installed("broken_package", "rain", content)
    found = found_tasks()
    assert set(found.tasks) >= {"hurricane"}
    assert "rain" not in {**found.tasks, **found.plugins}
    assert len(found.broken) == 1
    assert said in found.broken[0]
    with pytest.raises(UserError) as refused:
        task_named("rain")
    assert str(refused.value) == found.broken[0]


def test_two_packages_with_one_name_are_named(installed: Installed) -> None:
    """A name that two packages claim is an error that names both, rather than a choice by order."""
    installed("first_package", "rain", TASK_FILE.format(name="rain"))
    installed("second_package", "rain", TASK_FILE.format(name="rain"))
    with pytest.raises(UserError, match=r"first_package \(first_package:TASK\) and second_package"):
        task_named("rain")
    assert "hurricane" in found_tasks().tasks


def test_an_unknown_name_gives_the_near_miss() -> None:
    """A misspelt name is told with the one that was meant."""
    with pytest.raises(UserError, match=r"No task 'hurrican'\. Did you mean 'hurricane'\?"):
        task_named("hurrican")


def test_a_file_defines_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of a Python file stands for the TASK in it, whatever its name; a run records the whole path."""
    (tmp_path / "my task.py").write_text(TASK_FILE.format(name="mine"))
    assert task_named(str(tmp_path / "my task.py")).name == "mine"
    monkeypatch.chdir(tmp_path)
    plugin = plugin_named("my task.py")
    assert plugin.recorded == str(tmp_path / "my task.py")
    assert plugin.package == "file"
    assert plugin_named("hurricane").recorded == "hurricane"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no task file"),
        ("import", "does not load: SyntaxError"),
        ("x = 1", "TASK should be a toolkit.task.Task or a function that returns one, it is a NoneType"),
        ("def TASK(lead): ...", "The option 'lead' of .* has no default"),
    ],
)
def test_a_file_that_defines_none_is_told(tmp_path: Path, content: str | None, said: str) -> None:
    """A file that is missing, does not run or has no TASK is an error that names the file."""
    path = tmp_path / "task.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=said) as refused:
        task_named(str(path))
    assert str(path) in str(refused.value)


@pytest.fixture
def rain(tmp_path: Path) -> str:
    """The path of a file whose TASK is a function with options; its summary says what it was called with."""
    (tmp_path / "rain.py").write_text(FUNCTION_FILE)
    return str(tmp_path / "rain.py")


def test_a_function_s_parameters_are_the_task_s_options(rain: str) -> None:
    """Each keyword parameter is an option with its type and default; `data` is none, it is given the path of --data."""
    assert plugin_named(rain).options == {
        "lead": (int, 1),
        "kinds": (tuple[str, ...], ("a", "b")),
        "day": (Literal["eu", "epa"], "eu"),
        "plain": (Any, 3),
    }


@pytest.mark.parametrize(
    ("options", "data", "called_with"),
    [
        (None, None, (1, ("a", "b"), "eu", 3, None)),
        ({"lead": 4, "day": "epa"}, None, (4, ("a", "b"), "epa", 3, None)),
        ({"kinds": ["c"]}, Path(__file__), (1, ("c",), "eu", 3, Path(__file__).name)),
    ],
)
def test_a_task_is_made_under_its_options(
    rain: str, options: dict[str, object] | None, data: Path | None, called_with: tuple[object, ...]
) -> None:
    """The function is called with the options given, as their types want them, and the labels' path."""
    assert task_named(rain, options, data).summary == repr(called_with)


def test_labels_that_are_not_there_are_told(rain: str) -> None:
    """A function that looks at its labels is not called with a path where there is nothing."""
    with pytest.raises(UserError, match=r"There is no file or folder of labels gone\.csv"):
        task_named(rain, None, Path("gone.csv"))
    assert task_named("hurricane", None, Path("gone.csv")).name == "hurricane"


@pytest.mark.parametrize(
    ("options", "said"), [({"leed": 1}, "leed"), ({"lead": "soon"}, "valid integer"), ({"day": "us"}, "'eu' or 'epa'")]
)
def test_recorded_options_that_do_not_fit_are_told(rain: str, options: dict[str, object], said: str) -> None:
    """Options of a run that the task, since changed, has no more are an error that names the task."""
    with pytest.raises(UserError, match=rf"rain\.py' .* cannot be made: ValidationError(.|\n)*{said}"):
        task_named(rain, options)


def test_a_task_without_options_takes_none() -> None:
    """A task that is no function refuses options by name."""
    with pytest.raises(UserError, match="The task 'hurricane' has no options; given: lead"):
        task_named("hurricane", {"lead": 1})


EXTRA = "Provides-Extra: radar\nRequires-Dist: radar-tools>=2; extra == 'radar'\nRequires-Dist: plain_tools\n"


@pytest.mark.parametrize(
    "content", ["import radar_tools.beams", "def TASK():\n    import radar_tools", "from radar_tools import beams"]
)
def test_a_missing_extra_is_named(installed: Installed, content: str) -> None:
    """A module that comes with an extra of the plug-in's package is told with the command that brings it."""
    sys.modules.pop("needy_package", None)
    installed("needy_package", "rain", content, EXTRA)
    with pytest.raises(UserError, match=r"No module named 'radar_tools'\. It comes with an extra: ") as refused:
        task_named("rain")
    assert str(refused.value).endswith("pip install 'needy_package[radar]'.")
    assert found_tasks().broken == (str(refused.value),)


@pytest.mark.parametrize("module", ["plain_tools", "no_such_module"])
def test_a_missing_module_of_no_extra_is_told_as_it_is(installed: Installed, module: str) -> None:
    """No extra is named for what none would bring."""
    sys.modules.pop("needy_package", None)
    installed("needy_package", "rain", f"import {module}", EXTRA)
    with pytest.raises(UserError, match=rf"No module named '{module}'\.$"):
        task_named("rain")
