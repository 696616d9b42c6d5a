"""What comes from elsewhere, in a package that is built outside the tree and installed beside the toolkit.

It brings a task, and the pretext and the kind of backbone of the tutorial.
"""

import json
import os
import re
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

TOOLKIT = ("-m", "toolkit")
PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "rain-at-stations"
version = "0.3"
dependencies = ["earth-toolkit"]

[project.entry-points."toolkit.tasks"]
rain = "rain_at_stations:TASK"

[project.entry-points."toolkit.pretexts"]
deepening = "deepening:deepening"

[project.entry-points."toolkit.backbones"]
convnet = "convnet:KIND"

[tool.setuptools]
py-modules = ["rain_at_stations", "deepening", "convnet"]
"""
TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial-own-pretext.md"
FILE = re.compile(r'^```python title="(.+?)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SHORT = ("--limit-batches", "2", "--batch-size", "4", "--no-compare", "--threads", "1", "--quiet")


def _said(python: Path, folder: Path, *words: object) -> str:
    """Run Python in a folder, with nothing of the environment of the tests but its cache; return what it prints."""
    environment = {name: os.environ[name] for name in ("PATH", "TOOLKIT_CACHE")}
    environment |= {"HOME": str(folder), "OMP_NUM_THREADS": "1", "TOOLKIT_THREADS": "1"}
    done = subprocess.run([python, *map(str, words)], capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def rainy(pip: Callable[..., None], python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of the environment, into which a package with a task, a pretext and a kind was installed, too."""
    project = tmp_path_factory.mktemp("project")
    (project / "pyproject.toml").write_text(PROJECT)
    _said(python, project, *TOOLKIT, "tasks", "new", "rain", "--out", "rain_at_stations.py")
    for file, code in FILE.findall(TUTORIAL.read_text()):
        (project / file).write_text(code)
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", project / "dist", project)
    packages = sysconfig.get_path("purelib", "venv", {"base": str(python.parents[1])})
    pip("install", "--no-deps", "--no-index", "--target", packages, next((project / "dist").glob("*.whl")))
    return python


@pytest.mark.slow
def test_an_installed_task_is_listed_with_its_package(rainy: Path, tmp_path: Path) -> None:
    """In another folder the list has the task beside the built-in ones, with the package it comes from."""
    listed = json.loads(_said(rainy, tmp_path, *TOOLKIT, "tasks", "list", "--json"))
    assert listed["broken"] == []
    about = {task["name"]: (task["package"], task["version"]) for task in listed["tasks"]}
    assert about["rain"] == ("rain-at-stations", "0.3")
    assert about["hurricane"][0] == "earth-toolkit"


@pytest.mark.slow
def test_an_installed_task_keeps_the_rules(rainy: Path, shipped_world: Path, tmp_path: Path) -> None:
    """Its check passes in another folder, by its name."""
    words = ("tasks", "check", "rain", "--world", shipped_world, "--json", "--quiet")
    content = json.loads(_said(rainy, tmp_path, *TOOLKIT, *words))
    assert content["good"]
    assert content["labels"] == "made up by the task's sample"


@pytest.mark.slow
def test_an_installed_task_is_finetuned(rainy: Path, shipped_world: Path, tmp_path: Path) -> None:
    """The shipped backbone is adapted to its labels in another folder; scores, baselines and report are written."""
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "fields.zarr").symlink_to(shipped_world / "fields.zarr")
    _said(rainy, tmp_path, "-c", "import pathlib, rain_at_stations as r; r.sample(pathlib.Path('world'))")
    _said(rainy, tmp_path, *TOOLKIT, "finetune", "rain", "--world", "world", "--out", "run", *SHORT)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["task"] == "rain"
    assert results["baselines"]
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.slow
def test_an_installed_pretext_trains_an_installed_backbone(rainy: Path, tiny_world: Path, tmp_path: Path) -> None:
    """Both are found by name in another folder and take their steps, with an option; the card says so."""
    assert "convnet    Convolutional network" in _said(rainy, tmp_path, *TOOLKIT, "backbones")
    words = ("--pretext", "deepening=2", "options={deepening: {hours: 12}}", "--backbone", "convnet", "--max-steps", 2)
    small = ("dim=8", "depth=1", "--batch-size", 2, "--quiet")
    _said(rainy, tmp_path, *TOOLKIT, "pretrain", "--world", tiny_world, *words, *small, "--out", "run")
    steps = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [step["loss"] == step["deepening"] for step in steps] == [True, True]
    card = json.loads((tmp_path / "run" / "backbone" / "config.json").read_text())
    assert card["architecture"] == {"kind": "convnet", "depth": 1}
    assert (card["pretexts"], card["options"]) == ({"deepening": 2.0}, {"deepening": {"hours": 12}})
