import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.conformance.rules import RULES
from toolkit.errors import UserError


@pytest.fixture
def rain(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task as `toolkit tasks new` writes it, in a folder that the test is in."""
    monkeypatch.chdir(tmp_path)
    answer = command("tasks", "new", "rain")
    assert answer.exit_code == 0, answer.stderr
    return Path("rain.py")


def rain_labels(rain: Path) -> Callable[[Path], pd.DataFrame]:
    """The function that reads the labels of a task file."""
    space: dict = {"__name__": "rain"}
    exec(rain.read_text(), space)
    return space["labels"]


def test_a_task_is_listed_with_what_it_needs_and_where_it_comes_from(command) -> None:
    """The list names task, summary, labels and package; as JSON also version, variables and options."""
    line = next(line for line in command("tasks", "list").stdout.splitlines() if line.startswith("hurricane "))
    assert "best tracks in hurdat2.txt" in line
    assert "earth-toolkit" in line
    listed = {task["name"]: task for task in json.loads(command("tasks", "list", "--json").stdout)["tasks"]}
    assert listed["hurricane"]["variables"] == ["vorticity", "divergence"]
    assert listed["hurricane"]["version"]
    assert listed["hurricane"]["options"] == {}


def test_a_new_task_is_short_and_has_a_test(rain: Path) -> None:
    """Two files are written, with the name in place; the task has at most 100 lines."""
    assert sorted(path.name for path in Path().iterdir()) == ["rain.py", "test_rain.py"]
    assert len(rain.read_text().splitlines()) <= 100
    assert "NAME" not in rain.read_text() + Path("test_rain.py").read_text()
    assert 'with_name("rain.py")' in Path("test_rain.py").read_text()


def test_a_new_task_goes_where_it_is_told(command, tmp_path: Path) -> None:
    """`--out` names the file; the test lies beside it and knows its name."""
    answer = command("tasks", "new", "rain", "--out", tmp_path / "package" / "wet.py", "--json")
    assert json.loads(answer.stdout) == {
        "task": str(tmp_path / "package" / "wet.py"),
        "test": str(tmp_path / "package" / "test_wet.py"),
    }
    assert 'with_name("wet.py")' in (tmp_path / "package" / "test_wet.py").read_text()
    assert 'name="rain"' in (tmp_path / "package" / "wet.py").read_text()


@pytest.mark.usefixtures("rain")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("Rain",), "'Rain' cannot be the name of a task. Use small letters"),
        (("class",), "'class' cannot be the name of a task"),
        (("hurricane",), "There is a task 'hurricane' already"),
        (("snow", "--out", "snow.txt"), "snow.txt is not a Python file"),
        (("rain",), "rain.py is there already and is not overwritten"),
        (("snow", "--out", "other/rain.py"), "other/test_rain.py is there already"),
    ],
)
def test_a_task_that_cannot_be_written_is_told(command, words: tuple[str, ...], said: str) -> None:
    """A name that is none or is taken, and a file that is there, are refused; nothing is changed."""
    Path("other").mkdir()
    Path("other/test_rain.py").write_text("mine")
    before = {path: path.read_bytes() for path in Path().rglob("*.py")}
    answer = command("tasks", "new", *words)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert said in answer.stderr
    assert {path: path.read_bytes() for path in Path().rglob("*.py")} == before


@pytest.mark.slow
def test_a_new_task_keeps_all_rules(command, rain: Path, tiny_world: Path, random_backbone: Path) -> None:
    """The check of the task as it was written ends well, on labels that it makes up."""
    answer = command("tasks", "check", rain, f"backbone={random_backbone}", "--world", tiny_world, "-q")
    assert answer.exit_code == 0, answer.stdout + answer.stderr
    lines = answer.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["ok"] * len(RULES)
    assert lines[-1] == f"fields: {tiny_world}; labels: made up by the task's sample"


@pytest.mark.slow
def test_the_test_of_a_new_task_passes(
    rain: Path, tiny_world: Path, random_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test that is written beside the task passes, and fails where the task is broken."""
    monkeypatch.setenv("TOOLKIT_WORLD", str(tiny_world))
    monkeypatch.setenv("TOOLKIT_BACKBONE", str(random_backbone))
    space: dict = {"__file__": str(Path("test_rain.py").resolve())}
    exec(Path("test_rain.py").read_text(), space)
    space["test_the_task_keeps_the_rules"]()
    rain.write_text(rain.read_text().replace('groups="stations"', 'groups=""'))
    with pytest.raises(AssertionError, match="description: groups: it is empty"):
        space["test_the_task_keeps_the_rules"]()


@pytest.mark.slow
def test_a_new_task_is_finetuned(command, rain: Path, tiny_world: Path, random_backbone: Path) -> None:
    """The task as it was written ends in a report, and nothing leaks."""
    Path("world").mkdir()
    Path("world/fields.zarr").symlink_to(tiny_world / "fields.zarr")
    space: dict = {"__name__": "rain"}
    exec(rain.read_text(), space)
    space["sample"](Path("world"))
    words = ("--limit-batches", "4", "--batch-size", "8", "--threads", "1", "--out", "run", "-q")
    answer = command("finetune", rain, "--world", "world", "--backbone", random_backbone, *words)
    assert answer.exit_code == 0, answer.stderr
    assert Path("run/report.html").is_file()
    assert "Nothing leaks" in command("tasks", "leaks", "run").stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("value", "vallue"), r"No column of rain\.csv 'value'. Did you mean 'vallue'"),
        (("2001-08-02,", "time,"), r"rain\.csv, line 3: 'time' in the column 'time' is not a time"),
        (("0.5", "trace"), r"rain\.csv, line 2: 'trace' in the column 'value' is not a number"),
        (("2001-08-02,1,2,a,", "2001-08-01,1,2,a,"), r"rain\.csv, lines 2 and 3 contradict each other about a at 2001"),
    ],
)
def test_a_new_task_names_what_is_wrong_in_its_table(rain: Path, change: tuple[str, str], said: str) -> None:
    """A column that is misspelt, a header that comes again, a word and a contradiction are told by their line."""
    labels = rain_labels(rain)
    text = "time,latitude,longitude,station,value\n2001-08-01,1,2,a,0.5\n2001-08-02,1,2,a,7\n2001-08-03,1,2,a,\n"
    Path("rain.csv").write_text(text.replace(*change))
    with pytest.raises(UserError, match=said):
        labels(Path())
    (elsewhere := Path("elsewhere")).mkdir()
    with pytest.raises(UserError, match=r"There is no elsewhere/rain\.csv: name the table of labels with --data"):
        labels(elsewhere)


def test_a_new_task_knows_the_day_before_once(rain: Path) -> None:
    """A row that is in the table twice is twice in the labels, of which one is then left out, and no more often."""
    rows = "2001-08-01,1,2,a,0.5\n2001-08-02,1,2,a,\n2001-08-01,1,2,b,7\n"
    Path("rain.csv").write_text("time,latitude,longitude,station,value\n" + rows + rows)
    table = rain_labels(rain)(Path("rain.csv"))
    assert len(table) == 6
    assert table["day_before"].tolist()[:3] == pytest.approx([np.nan, 0.5, np.nan], nan_ok=True)
    assert table.duplicated().sum() == 3


@pytest.mark.slow
def test_a_broken_task_ends_with_its_problems(command, rain: Path, tiny_world: Path, random_backbone: Path) -> None:
    """Exit code 1; each problem has its rule, place and remedy, in words and as JSON."""
    rain.write_text(rain.read_text().replace('groups="stations"', 'groups=""'))
    words = ("tasks", "check", rain, f"backbone={random_backbone}", "--world", tiny_world, "-q")
    answer = command(*words)
    assert answer.exit_code == 1
    assert ["FAILED", "description"] in [line.split()[:2] for line in answer.stdout.splitlines()]
    assert "description: groups: it is empty. Say what a group is called" in answer.stdout
    content = json.loads(command(*words, "--json").stdout)
    assert content["good"] is False
    assert [rule["rule"] for rule in content["rules"] if rule["problems"]] == ["description"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hurrican",), "No task 'hurrican'. Did you mean 'hurricane'?"),
        (("nowhere.py",), "There is no task file nowhere.py"),
        (("hurricane", "colour=3"), "No setting 'colour'"),
    ],
)
def test_what_cannot_be_checked_is_told(command, words: tuple[str, ...], said: str) -> None:
    """An unknown task, a missing file and an unknown option end before anything is checked."""
    answer = command("tasks", "check", *words)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert said in answer.stderr


def test_an_option_without_a_default_is_told(command, rain: Path) -> None:
    """A task whose options cannot be left out is refused by name, as it is by every command."""
    rain.write_text(f"{rain.read_text()}\n\nRAIN = TASK\n\n\ndef TASK(lead):\n    return RAIN\n")
    answer = command("tasks", "check", rain)
    assert answer.exit_code == 1
    assert "The option 'lead' of rain.py has no default" in answer.stderr


@pytest.mark.slow
def test_a_finished_run_leaks_nothing(command, finished: Path) -> None:
    """What the run says holds between its parts is proved from its labels."""
    answer = command("tasks", "leaks", finished)
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout.splitlines()[-1] == "Nothing leaks: two parts share no row, no group, no time within 5.0 days."
    content = json.loads(command("tasks", "leaks", finished, "--json").stdout)
    assert content["leaks"] == []
    assert set(content["rows"]) == {"train", "validation", "test"}


@pytest.mark.slow
def test_a_run_that_leaks_is_told(command, finished: Path, tmp_path: Path) -> None:
    """A storm that is in two parts by what the run wrote down is named, and the exit code is 1."""
    from toolkit.runfolder import split_hash

    run = shutil.copytree(finished, tmp_path / "run")
    split = json.loads((run / "split.json").read_text())
    split["parts"]["test"]["groups"] += (shared := split["parts"]["train"]["groups"][:1])
    split["parts"]["test"]["spans"] += split["parts"]["train"]["spans"]
    (run / "split.json").write_text(json.dumps(split))
    assert "was changed" in command("tasks", "leaks", run).stderr
    (run / "split.json").write_text(json.dumps(split | {"sha256": split_hash(split)}))
    answer = command("tasks", "leaks", run)
    assert answer.exit_code == 1
    assert f"train and test share 1 groups: {shared[0]}." in answer.stdout
    assert "are 0.00 days apart at the nearest, not 5." in answer.stdout


def test_what_is_no_run_cannot_be_proved(command, tmp_path: Path) -> None:
    """A folder without a run is told."""
    answer = command("tasks", "leaks", tmp_path)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "config.yaml is missing" in answer.stderr
