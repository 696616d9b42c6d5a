from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.errors import UserError
from toolkit.plugins import found_tasks, task_named, task_names

Installed = Callable[[str, str, str], None]

TASK_FILE = """
from dataclasses import replace
from tasks.hurricane.task import TASK as HURRICANE
TASK = replace(HURRICANE, name="{name}")
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Install a package with one module and one entry point, for this test."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(package: str, task: str, content: str) -> None:
        (tmp_path / f"{package}.py").write_text(content)
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
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
    assert found.origins["rain"] == "rain_package:TASK"
    assert set(found.tasks) >= {"rain", "hurricane"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import no_such_module", "does not load: ModuleNotFoundError: No module named 'no_such_module'"),
        ("TASK = 3", "TASK should be a toolkit.task.Task, it is a int"),
        (TASK_FILE.format(name="snow"), "calls itself 'snow'"),
    ],
)
def test_a_broken_plug_in_is_told_and_stops_nothing_else(installed: Installed, content: str, said: str) -> None:
    """One that cannot be imported, is no task or has another name is a sentence; the others are there."""
    installed(f"broken_{abs(hash(content))}", "rain", content)
    found = found_tasks()
    assert set(found.tasks) >= {"hurricane"}
    assert "rain" not in found.tasks
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


def test_a_file_defines_a_task(tmp_path: Path) -> None:
    """The path of a Python file stands for the TASK in it, whatever its name."""
    (tmp_path / "my task.py").write_text(TASK_FILE.format(name="mine"))
    assert task_named(str(tmp_path / "my task.py")).name == "mine"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no task file"),
        ("import", "does not load: SyntaxError"),
        ("x = 1", "TASK should be a toolkit.task.Task"),
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
