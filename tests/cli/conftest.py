"""Running the command line in this process, and one finished run to look at."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from toolkit.cli import app

Command = Callable[..., Any]
FINETUNE = ("finetune", "hurricane", "--limit-batches", "4", "--batch-size", "4", "--threads", "1", "-q", "-v")


@pytest.fixture(scope="session")
def command() -> Command:
    """Run `toolkit` with the given words; the answer has exit_code, stdout and stderr."""
    runner = CliRunner()
    return lambda *words: runner.invoke(app, [str(word) for word in words])


@pytest.fixture(scope="session")
def finetune(command: Command, tiny_world: Path, random_backbone: Path) -> Command:
    """Run `toolkit finetune hurricane` for four steps on the tiny world, with further words."""
    return lambda *words: command(*FINETUNE, "--world", tiny_world, "--backbone", random_backbone, *words)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, finetune: Command) -> Path:
    """The folder of such a run, without baselines, as the command leaves it."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    answer = finetune("--no-baselines", "--out", folder)
    assert answer.exit_code == 0, answer.stderr
    return folder
