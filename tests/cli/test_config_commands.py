import json
from pathlib import Path

import pytest
import yaml


@pytest.mark.parametrize("name", ["finetune", "pretrain"])
def test_a_written_file_is_valid_and_says_nothing_new(command, tmp_path: Path, name: str) -> None:
    """`config init` writes what `config validate` accepts, with every setting at its default."""
    file = tmp_path / "settings.yaml"
    assert command("config", "init", "--out", file, "--command", name).exit_code == 0
    assert command("config", "validate", file, "--command", name).exit_code == 0
    shown = json.loads(command("config", "show", "-c", file, "--command", name, "--json").stdout)
    assert shown == yaml.safe_load(file.read_text())


def test_a_written_file_is_that_of_its_task(command, tmp_path: Path) -> None:
    """It has the task's own defaults and options, so that a run by it is a run without it."""
    file = tmp_path / "settings.yaml"
    assert "toolkit finetune hurricane -c" in command("config", "init", "--out", tmp_path / "first.yaml").stdout
    said = command("config", "init", "--task", "ozone", "--out", file)
    assert said.stdout == f"Wrote {file}. Use it with: toolkit finetune ozone -c {file}\n"
    plain, filed = (
        json.loads(command("config", "show", *words, "--json").stdout) for words in (("task=ozone",), ("-c", file))
    )
    assert filed == plain
    refused = command("config", "init", "--task", "ozone", "--command", "pretrain", "--out", tmp_path / "b")
    assert (refused.exit_code, "leave --task out" in refused.stderr) == (1, True)


def test_a_file_that_is_there_is_not_overwritten(command, tmp_path: Path) -> None:
    """`config init` refuses to replace a file unless it is told to."""
    file = tmp_path / "settings.yaml"
    file.write_text("mine")
    refused = command("config", "init", "--out", file)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    assert file.read_text() == "mine"
    assert command("config", "init", "--out", file, "--overwrite").exit_code == 0


def test_everything_wrong_is_told_at_once(command, tmp_path: Path) -> None:
    """All wrong settings of a file are in one message, with the near miss of a misspelt one."""
    file = tmp_path / "settings.yaml"
    file.write_text("task: hurricane\nsed: 1\nlr: -1\nmethod: lra\nbatch_size: many\n")
    answer = command("config", "validate", file)
    assert answer.exit_code == 1
    assert answer.stderr.splitlines() == [
        "Error: 'batch_size' is 'many': input should be a valid integer, unable to parse string as an integer.",
        "'lr' is -1: input should be greater than 0.",
        "'method' is 'lra': input should be 'probe', 'lora', 'full' or 'scratch'.",
        "No setting 'sed'. Did you mean 'seed'?",
    ]


def test_a_command_without_settings_is_refused(command) -> None:
    """Asking for the settings of another command names the near miss."""
    answer = command("config", "show", "--command", "finetun")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "Did you mean 'finetune'?" in answer.stderr


def test_a_recipe_is_shown_by_its_name(command) -> None:
    """`config show` resolves a recipe of `toolkit pretrain` as the command itself does, and gives the near miss."""
    asked = ("config", "show", "--command", "pretrain", "worlds=[era5]", "-c")
    shown = json.loads(command(*asked, "dino", "--json").stdout)
    assert shown["pretext"] == {"dino": 1.0}
    assert shown["worlds"] == ["era5"]
    refused = command(*asked, "dinno")
    assert refused.exit_code == 1
    assert "Did you mean 'dino'" in refused.stderr


@pytest.mark.parametrize(
    "text", ["task: extremes\nlead: [1, 2]\n", "task: ozone\ndefinition: epa\nepochs: 1\n", "lr: 0.01\n"]
)
def test_what_finetune_takes_is_valid(command, tmp_path: Path, text: str) -> None:
    """A task's options may stand among the settings; a task may be left to the command line."""
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    assert command("config", "validate", file).exit_code == 0
    shown = json.loads(command("config", "show", "-c", file, "--json").stdout)
    given = yaml.safe_load(text)
    own = {key: given.pop(key) for key in ("lead", "definition") if key in given}
    assert {key: shown["options"][key] for key in own} == own
    assert {key: shown[key] for key in given} == given
