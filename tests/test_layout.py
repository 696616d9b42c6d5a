"""The house rules that a machine can check: which way imports point, how long things are, what starts how light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
HEAVY = (
    "torch",
    "timm",
    "peft",
    "xarray",
    "pandas",
    "numpy",
    "matplotlib",
    "sklearn",
    "scipy",
    "pydantic",
    "yaml",
    "rich",
)

# The rooms of the house in the order of the flow: a module imports from its own line and from those above it.
ROOMS = (
    ("errors", "installed", "files", "geodesy", "told", "memory", "config", "recipes", "workers", "fan_out", "seeds"),
    ("data",),
    ("backbones",),
    ("pretexts",),
    ("metrics", "stats", "scores", "columns", "split"),
    ("task",),
    ("placement", "examples", "heads", "labels", "stitch", "plugins", "task_settings", "engine", "adapt", "model_card"),
    ("baselines", "numbers", "origin", "parts", "frozen"),
    ("checkpoint", "rates", "feed", "train", "runfolder"),
    (
        "leaks",
        "known_weather",
        "evaluate",
        "contributions",
        "fit",
        "saved",
        "methods",
        "timing",
        "finetune",
        "pretrain",
        "compute",
    ),
    ("finetune_run", "pretrain_run", "evaluate_run", "examine", "recorded_scores", "dry_run", "pretrain_dry_run"),
    ("conformance", "leaks_run", "new_task", "activations", "ascent", "feature_view", "comparison", "study"),
    ("report",),
    ("predict", "predict_rows", "predict_run", "doctor"),
    ("cli",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


@cache
def _sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that code imports when it runs; what is imported for annotations alone does not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from _imported(node)


def _room(path: Path) -> str:
    return path.relative_to(ROOT / "toolkit").with_suffix("").parts[0]


def test_every_module_has_its_place_in_the_flow() -> None:
    """A new file or folder of the package must be put into ROOMS, and nothing is listed that is not there."""
    rooms = {_room(path) for path in _sources("toolkit")} - {"__init__"}
    assert rooms == set(LEVEL)


def test_imports_point_up_the_list_of_rooms() -> None:
    """No module imports from a room that comes after its own."""
    wrong = []
    for path in _sources("toolkit"):
        for name in _imported(_tree(path)):
            package, _, rest = name.partition(".")
            room = rest.split(".")[0]
            if package == "toolkit" and room in LEVEL and LEVEL[room] > LEVEL.get(_room(path), 0):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_the_toolkit_imports_no_task() -> None:
    """Tasks are plug-ins: the package finds them by name and never imports them."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _sources("toolkit")
        for name in _imported(_tree(path))
        if name.split(".")[0] == "tasks"
    ]
    assert not wrong


def test_no_task_is_treated_by_its_name() -> None:
    """Nothing in the package is compared with the name of a task, be it by ==, by `in` or by `match`."""
    names = {path.name for path in (ROOT / "tasks").iterdir()} | {path.stem for path in (ROOT / "tasks").glob("*.py")}
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in _sources("toolkit")
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Compare | ast.MatchValue)
        and any(isinstance(part, ast.Constant) and part.value in names for part in ast.walk(node))
    ]
    assert not wrong


@pytest.mark.parametrize("folder", ["toolkit", "tasks", "tests", "benchmarks"])
def test_files_and_functions_are_short(folder: str) -> None:
    """No file and no function is longer than one can see through."""
    wrong = []
    for path in _sources(folder):
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE:
            wrong.append(f"{path.relative_to(ROOT)}: {lines} lines")
        functions = (node for node in ast.walk(_tree(path)) if isinstance(node, ast.FunctionDef))
        lengths = [(function.name, function.end_lineno - function.lineno + 1) for function in functions]
        wrong += [f"{path.relative_to(ROOT)}: {f} has {n} lines" for f, n in lengths if n > LONGEST_FUNCTION]
    assert not wrong


def test_the_command_line_starts_light() -> None:
    """Importing the command line imports none of the heavy libraries, which only a command needs."""
    code = f"import sys, toolkit.cli; print(*[name for name in {HEAVY} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.split() == []
