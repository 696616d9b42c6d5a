from pathlib import Path

import pytest

from toolkit.errors import UserError
from toolkit.task_settings import task_and_settings

RAIN = """
from dataclasses import replace
from pathlib import Path
from tasks.hurricane.task import TASK as HURRICANE

def TASK(days: int = 1, data: Path | None = None):
    if days > 9:
        raise ValueError("nobody knows")
    defaults = {"epochs": 4.0 + days, "lr": 0.5, "batch_size": 8}
    return replace(HURRICANE, name="rain", summary=f"{days} {data}", defaults=defaults)
"""


@pytest.fixture
def rain(tmp_path: Path) -> str:
    """The path of a task file with an option, and defaults that depend on it."""
    (tmp_path / "rain.py").write_text(RAIN)
    return str(tmp_path / "rain.py")


def test_a_task_is_made_under_its_options_for_its_labels(rain: str, tmp_path: Path) -> None:
    """Options and labels' path reach the function, and both are in the settings of the run."""
    labels = tmp_path / "labels.csv"
    labels.touch()
    task, settings = task_and_settings(rain, None, ["days=3"], {"data": labels})
    assert task.summary == f"3 {labels}"
    assert settings.options == {"days": 3}
    assert settings.data == labels
    assert settings.task == rain


def test_a_task_s_defaults_give_way_to_what_is_given(rain: str, tmp_path: Path) -> None:
    """The defaults that a task has under its options hold where neither file nor command line says otherwise."""
    (tmp_path / "a.yaml").write_text("days: 2\nlr: 0.25\n")
    _, settings = task_and_settings(rain, tmp_path / "a.yaml", ["batch_size=3"], {"epochs": None})
    assert (settings.options, settings.epochs, settings.lr, settings.batch_size) == ({"days": 2}, 6.0, 0.25, 3)
    _, settings = task_and_settings(rain, tmp_path / "a.yaml", ["days=4"], {"epochs": 1.5})
    assert (settings.options, settings.epochs) == ({"days": 4}, 1.5)


def test_a_file_for_another_task_is_told(rain: str, tmp_path: Path) -> None:
    """Settings of a file that names a task are for that one, wherever its own file lies."""
    file = tmp_path / "toolkit.yaml"
    file.write_text("task: extremes\noptions: {lead: 0}\n")
    with pytest.raises(UserError, match=r"toolkit\.yaml is for the task extremes, not hurricane\."):
        task_and_settings("hurricane", file)
    file.write_text("task: /elsewhere/rain.py\nlr: 0.25\n")
    assert task_and_settings(rain, file)[1].lr == 0.25


def test_a_task_without_options_has_none() -> None:
    """Of a task that is made already the settings are all there is, and an option is no setting."""
    task, settings = task_and_settings("hurricane")
    assert task.name == settings.task == "hurricane"
    assert settings.options == {}
    with pytest.raises(UserError, match="No setting 'days'"):
        task_and_settings("hurricane", None, ["days=1"])


def test_all_mistakes_are_told_before_the_task_is_made(rain: str) -> None:
    """Wrong options and settings are one error; what the task itself refuses is told with its name."""
    with pytest.raises(UserError) as refused:
        task_and_settings(rain, None, ["days=many", "dyas=1", "lr=0"])
    said = str(refused.value)
    assert "'days' is 'many'" in said
    assert "No setting 'dyas'. Did you mean 'days'?" in said
    assert "'lr' is 0" in said
    with pytest.raises(UserError, match=r"rain\.py' .* cannot be made: ValueError: nobody knows"):
        task_and_settings(rain, None, ["days=10"])
