import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.backbones import card
from toolkit.errors import UserError
from toolkit.pretexts.known import pretext_names


def test_help_names_every_command(command) -> None:
    """The first page of help lists all commands, each with a sentence."""
    answer = command("--help")
    assert answer.exit_code == 0
    for name in (
        "pretrain",
        "finetune",
        "compare",
        "examine",
        "features",
        "evaluate",
        "predict",
        "report",
        "data",
        "tasks",
        "backbones",
        "config",
        "doctor",
    ):
        assert f"\n  {name} " in answer.stdout


def test_help_states_the_defaults_of_settings(command) -> None:
    """They are those that a run without the option has."""
    from toolkit.config import FinetuneSettings

    usual, said = FinetuneSettings(task=""), " ".join(command("finetune", "--help").stdout.split())
    assert f"full or scratch; {usual.method} by default" in said
    assert f"or its folder; {usual.backbone} by default" in said
    assert "Train from scratch too; the default" in said
    assert "Fit the task's baselines too; the default" in said
    assert usual.compare
    assert usual.baselines


def test_version_is_that_of_the_package(command) -> None:
    """`--version` prints the installed version and nothing else."""
    from importlib.metadata import version

    assert command("--version").stdout == f"toolkit {version('earth-toolkit')}\n"


@pytest.mark.parametrize(
    "words", [("finetun",), ("data", "chek", "x"), ("finetune", "hurricane", "--seed", "one"), ("evaluate",)]
)
def test_a_wrong_command_line_exits_with_2(command, words: tuple[str, ...]) -> None:
    """What cannot be parsed is told on stderr together with where to find help, with exit code 2."""
    answer = command(*words)
    assert answer.exit_code == 2
    assert "--help" in answer.stderr
    assert not answer.stdout


def test_a_user_error_is_one_message_without_traceback(command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A UserError anywhere below a command ends in its text on stderr, nothing on stdout, and exit code 1."""

    def refuse() -> None:
        raise UserError("The cup is empty. Fill it.")

    monkeypatch.setattr("toolkit.plugins.found_tasks", refuse)
    answer = command("tasks", "list")
    assert (answer.exit_code, answer.stdout, answer.stderr) == (1, "", "Error: The cup is empty. Fill it.\n")


def test_ctrl_c_exits_with_130_and_says_how_to_go_on(command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An interrupted run tells the command line that resumes it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("toolkit.finetune_run.run_finetune", interrupt)
    monkeypatch.setattr(sys, "argv", ["toolkit", "finetune", "hurricane", "--overwrite", "--out", "my runs"])
    answer = command("finetune", "hurricane", "--out", tmp_path / "run", "-q")
    assert answer.exit_code == 130
    assert "Go on with: toolkit finetune hurricane --out 'my runs' --resume" in answer.stderr


@pytest.mark.slow
def test_ctrl_c_reaches_a_real_process() -> None:
    """SIGINT while a command works ends the process with 130, a line of text and no traceback."""
    script = (
        # A job in the background of a shell ignores SIGINT, and so would what it starts.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import time, toolkit.plugins as p; p.found_tasks = lambda: print('working', flush=True) or time.sleep(60);"
        "import sys; sys.argv = ['toolkit', 'tasks', 'list']; from toolkit.cli import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "\nStopped. Run the same command again.\n"


@pytest.mark.slow
def test_the_end_of_a_job_is_an_end_as_by_ctrl_c() -> None:
    """SIGTERM, which schedulers send, removes what is half written and exits with 143."""
    script = (
        "import sys, time, toolkit.plugins as p; from pathlib import Path; from toolkit.files import whole_folder\n"
        "def work():\n    with whole_folder(Path('out')):\n        print('working', flush=True); time.sleep(60)\n"
        "p.found_tasks = work; sys.argv = ['toolkit', 'tasks', 'list']; from toolkit.cli import main; main()"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-c", script], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.terminate()
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (143, "\nStopped. Run the same command again.\n")
        assert not any(Path(folder).iterdir())


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_what_cannot_be_written_is_told(command, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A disk that is full or not one's own is no defect of the program; what is, stays a traceback."""

    def fails() -> None:
        raise OSError(code, os.strerror(code), "/there/run")

    monkeypatch.setattr("toolkit.plugins.found_tasks", fails)
    answer = command("tasks", "list")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith(f"Error: /there/run: {os.strerror(code)}. Name another place, by --out")
    monkeypatch.setattr("toolkit.plugins.found_tasks", lambda: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    assert isinstance(command("tasks", "list").exception, OSError)


def test_backbones_are_listed_with_what_a_task_must_fit(command, monkeypatch, random_backbone: Path) -> None:
    """The list names what identifies a backbone and what a task must fit, then the kinds; as JSON it is the card."""
    monkeypatch.setattr(card, "shipped", lambda: {"random": random_backbone})
    known = card.read_card(random_backbone)
    listed = json.loads(command("backbones", "--json").stdout)
    assert [entry["weights_sha256"] for entry in listed] == [known.weights_sha256]
    lines = command("backbones").stdout.splitlines()
    said = dict(line.strip().split("  ", 1) for line in lines if line.startswith("  "))
    assert lines[0] == "random"
    assert said["parameters"] == f"{known.parameters:,}"
    assert said["SHA-256"].strip() == known.weights_sha256[:12]
    assert said["grid"].strip().startswith("2.8125 degrees")
    assert said["variables"].strip() == "vorticity, divergence at -6, 0 h"
    assert "masked 1" in said["pretexts"]
    assert said["scores"].strip() == said["trained on"].strip() == "-"
    assert "displacement_24h" in said["hands over"]
    assert {"vit", "resnet", "timm:NAME"} <= set(said)


def test_worlds_and_held_out_scores_of_a_backbone_are_listed(command) -> None:
    """The shipped backbone is told with the worlds it was trained and scored on, and its losses there."""
    said = command("backbones").stdout
    assert "large101 (simulated, 2892 times), large102" in said
    assert "small103 (simulated, 484 times)" in said
    assert "held-out masked 0.6189" in said
    assert "training masked" not in said


def test_tasks_are_listed_and_broken_ones_are_told(command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hurricane task is there; one that does not load is a warning on stderr and stops nothing."""
    from toolkit import plugins

    whole = plugins.found_tasks()
    broken = replace(whole, broken=("The task 'rain' does not load: ImportError.",))
    monkeypatch.setattr(plugins, "found_tasks", lambda: broken)
    answer = command("tasks", "list")
    assert answer.exit_code == 0
    assert "hurricane  Locate tropical cyclones" in answer.stdout
    assert answer.stderr == "Warning: The task 'rain' does not load: ImportError.\n"
    listed = json.loads(command("tasks", "list", "--json").stdout)
    assert "hurricane" in {task["name"] for task in listed["tasks"]}
    assert listed["broken"] == ["The task 'rain' does not load: ImportError."]


def test_the_doctor_finds_a_cache_that_cannot_be_written(command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is named, and how to set another."""
    monkeypatch.setattr("toolkit.doctor.os.access", lambda *_: False)
    answer = command("doctor")
    assert answer.exit_code == 1
    assert "WRONG  cache" in answer.stdout
    assert "cannot be written: set TOOLKIT_CACHE to a folder of yours." in answer.stderr


def test_the_doctor_finds_edited_weights(command, monkeypatch, tmp_path: Path, random_backbone: Path) -> None:
    """A shipped backbone whose weights were changed is named, and the exit code is 1."""
    import shutil

    edited = shutil.copytree(random_backbone, tmp_path / "edited")
    monkeypatch.setattr("toolkit.doctor.shipped", lambda: {"edited": edited})
    whole = command("doctor", "--json")
    with (edited / "model.safetensors").open("ab") as stream:
        stream.write(b"x")
    damaged = command("doctor")
    checks = {check["name"]: check for check in json.loads(whole.stdout)}
    assert checks["backbone edited"]["good"]
    assert checks["pretexts"]["found"] == ", ".join(pretext_names())
    assert damaged.exit_code == 1
    assert "WRONG  backbone edited" in damaged.stdout
    assert "was changed" in damaged.stderr
