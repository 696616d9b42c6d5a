"""The wheel: built from the tree, installed elsewhere, it has all that the commands need."""

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLKIT = ("-m", "toolkit")
SHIPPED = ("README.md", "recipe.yaml", "config.json", "model.safetensors")


def _said(python: Path, folder: Path, *words: str) -> str:
    """Run Python in a folder, with nothing of the environment of the tests; return what it prints."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    command = [python, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder, env=environment).stdout


def _shipped() -> set[str]:
    return {path.parent.name for path in (ROOT / "pretrained").glob("*/config.json")}


@pytest.mark.slow
def test_the_wheel_holds_everything_that_is_not_code(wheel: Path) -> None:
    """Weights, cards, the page's template, licence and type marker are in it; nothing else of the tree."""
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = [path.parent for path in (ROOT / "pretrained").glob("*/config.json")]
    assert shipped
    for folder in shipped:
        assert {f"pretrained/{folder.name}/{name}" for name in SHIPPED} <= names
    for path in (ROOT / "toolkit").rglob("*"):
        if path.suffix in (".py", ".html", ".css", ".js", ".txt", ".typed") or path.name == "py.typed":
            assert str(path.relative_to(ROOT)) in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"toolkit", "tasks", "pretrained"}


@pytest.mark.slow
def test_the_installed_wheel_runs_in_another_folder(python: Path, tmp_path: Path) -> None:
    """Away from the tree it lists the shipped task and backbones, and checks the hash of their weights."""
    assert _said(python, tmp_path, "-c", "import toolkit; print(toolkit.__file__)").startswith(str(python.parents[1]))
    assert _said(python, tmp_path, *TOOLKIT, "--version").startswith("toolkit ")
    listed = json.loads(_said(python, tmp_path, *TOOLKIT, "tasks", "list", "--json"))
    assert listed["broken"] == []
    assert {task["name"] for task in listed["tasks"]} == {"extremes", "hurricane", "ozone"}
    assert {card["name"] for card in json.loads(_said(python, tmp_path, *TOOLKIT, "backbones", "--json"))} == _shipped()


@pytest.mark.slow
def test_the_installed_wheel_finetunes_in_another_folder(python: Path, shipped_world: Path, tmp_path: Path) -> None:
    """Away from the tree the shipped backbone is adapted to a world's labels; scores and report are written."""
    few = ("--labels", "4", "--limit-batches", "2", "--batch-size", "4", "--no-compare", "--no-baselines")
    words = ("finetune", "hurricane", "--world", str(shipped_world), "--out", "run", *few, "--threads", "1", "--quiet")
    _said(python, tmp_path, *TOOLKIT, *words)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["backbone"] in _shipped()
    assert results["labels"] == 4
    assert results["backbone"] in (tmp_path / "run" / "report.html").read_text("utf-8")
