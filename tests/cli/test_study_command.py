import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tasks.ozone.aqbench import PREDICTORS, TARGETS
from toolkit.files import sha256
from toolkit.study import stages

TINY = ("limit_batches=3", "batch_size=4", "validations=1", "--seeds", "2", "--tries", "1", "-q")
PLACES = Path(__file__).parents[1] / "plug_ins" / "places.py"


@pytest.fixture(scope="module")
def rain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty places and their rain."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"place": [f"p{k:02d}" for k in range(40)], "altitude_m": rng.uniform(0, 2000, 40)})
    table["slope"], table["distance_km"], table["kind"] = rng.random(40), rng.uniform(0, 300, 40), "coast"
    table["rain_mm"] = 20 + 0.03 * table["altitude_m"] + rng.normal(0, 2, 40)
    path = tmp_path_factory.mktemp("rain") / "rain.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def rainy(command, rain: Path, tmp_path_factory: pytest.TempPathFactory):
    """The answer of a study of them, and its folder."""
    folder = tmp_path_factory.mktemp("studies") / "rain"
    return command("study", PLACES, "--data", rain, "--labels", "8, all", "--out", folder, *TINY), folder


@pytest.mark.slow
def test_a_study_is_made_by_one_command(command, tiny_world: Path, random_backbone: Path, tmp_path: Path) -> None:
    """The dry run says what there is to do and writes nothing; the run writes tables and pages, and prints them."""
    folder = tmp_path / "out"
    named = ("--world", tiny_world, "--backbones", random_backbone, "--methods", "probe, scratch", "--labels", " 4,all")
    words = ("study", "hurricane", *named, "--out", folder, *TINY)
    answer = command(*words, "--dry-run", "--json")
    assert answer.exit_code == 0, answer.stderr
    planned = json.loads(answer.stdout)
    assert (planned["budgets"], planned["seeds"]) == ([4, 12], 2)
    kinds = {kind["kind"]: kind for kind in planned["kinds"]}
    assert {kind: row["to_do"] for kind, row in kinds.items() if kind.startswith("scratch")} == {
        "scratch, 12 labels": 2,
        "scratch, 4 labels": 2,
    }
    features = kinds.pop("features, probe, random")  # another test may have computed some in the same cache
    assert features["to_do"] + features["done"] > 2
    assert all(row["done"] == 0 for row in kinds.values())
    assert planned["seconds"] > 0
    assert planned["seconds"] == pytest.approx(sum(row["seconds"] or 0 for row in [*kinds.values(), features]))
    assert not folder.exists()
    answer = command(*words)
    assert answer.exit_code == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert lines[0] == "position_error_24h, km (lower is better), mean of 2 seeds"
    assert lines[1].split() == ["storms", "with", "labels", "4", "12"]
    assert lines[2].startswith("probe, random ")
    assert any(line.startswith("probe, random against scratch ") for line in lines)
    assert lines[-1] == f"Report: {folder / 'report.html'}"
    assert {"report.html", "curve.png", "study.csv", "labels_saved.json", "subsets.json"} <= {
        path.name for path in folder.iterdir()
    }
    done = command(*words, "--dry-run").stdout.splitlines()
    assert done[0].split() == ["cells", "to", "do", "done", "about"]
    assert any(line.split() == ["scratch,", "4", "labels", "0", "2", "0.0", "s"] for line in done)
    assert done[-1] == "about 0.0 s with --jobs 1"


@pytest.mark.slow
def test_a_task_on_a_table_alone_is_studied(rainy) -> None:
    """From scratch and by its baselines, without a world, a backbone or features."""
    answer, folder = rainy
    assert answer.exit_code == 0, answer.stderr
    cells = pd.read_csv(folder / "study.csv")
    assert set(cells["method"]) == {"scratch", "mean"}
    assert set(cells["labels"]) == {8, 24}
    assert cells["backbone"].isna().all()
    assert "labels saved" not in answer.stdout


@pytest.mark.slow
def test_json_is_all_of_the_table(rainy, command, rain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the folder and the command, and nothing else on stdout."""
    monkeypatch.setattr(sys, "argv", ["toolkit", "study", "places.py", "--resume"])
    folder = shutil.copytree(rainy[1], tmp_path / "rain")
    words = ("study", PLACES, "--data", rain, "--labels", "8,all", "--out", folder, "--resume", *TINY)
    content = json.loads(command(*words, "--json").stdout)
    assert (content["task"], content["primary"], content["groups"]) == ("places", "rmse", "places")
    assert content["folder"] == str(folder)
    assert content["about"]["command"] == "toolkit study places.py"
    assert {curve["line"]["method"] for curve in content["metrics"]["rmse"]["curves"]} == {"scratch", "mean"}
    assert content["failed"] == {}


@pytest.mark.slow
def test_an_edited_task_does_not_go_on(rainy, command, rain: Path, tmp_path: Path) -> None:
    """The study knows its task's file by its hash, and refuses to add cells that another file would make."""
    folder = shutil.copytree(rainy[1], tmp_path / "rain")
    written = folder / "config.yaml"
    config = yaml.safe_load(written.read_text())
    assert config["task_sha256"] == sha256(Path(PLACES))
    written.write_text(yaml.safe_dump(config | {"task_sha256": "of another file"}))
    answer = command("study", PLACES, "--data", rain, "--labels", "8,all", "--out", folder, "--resume", *TINY)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "task_sha256: of another file -> " in answer.stderr


@pytest.mark.slow
def test_aq_bench_is_studied_by_scratch_and_classical(command, tmp_path: Path) -> None:
    """A task that looks at no fields, whose network is trained again with the validation stations."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": np.arange(60), "lon": rng.uniform(-180, 180, 60), "lat": rng.uniform(-60, 60, 60)})
    words = {
        name: rng.choice(["rural", "urban"], 60) for name in ("htap_region", "climatic_zone", "type", "type_of_area")
    }
    for name in (*PREDICTORS, *TARGETS):
        table[name] = words.get(name, rng.uniform(1, 50, 60).round(2))
    table["country"], table["dataset"] = "Germany", ["train"] * 36 + ["val"] * 12 + ["test"] * 12
    table.to_csv(file := tmp_path / "AQbench_dataset.csv", index=False)
    given = ("--data", file, "--methods", "scratch,classical", "--labels", "12,all", "--out", tmp_path / "out")
    answer = command("study", "ozone", *given, *TINY[:-5], "--seeds", "1", "--tries", "2", "-q")
    assert answer.exit_code == 0, answer.stderr
    cells = pd.read_csv(tmp_path / "out" / "study.csv")
    assert set(cells["method"]) > {"scratch"}
    assert set(cells["labels"]) == {12, 36}


@pytest.mark.slow
def test_a_cell_that_fails_is_told_of_and_exits_with_one(
    rainy, command, rain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of all others is printed, and the report written, be there a finished cell or none."""

    def failing(*_: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(stages, "baseline_cell", failing)
    words = ("study", PLACES, "--data", rain, "--labels", "8,all", *TINY, "--out")
    folder = shutil.copytree(rainy[1], tmp_path / "rain")
    shutil.rmtree(folder / "cells" / "mean-8-0")
    answer = command(*words, folder, "--resume")
    assert answer.exit_code == 1
    assert answer.stderr.strip() == "Failed: mean, 8 labels, seed 0: RuntimeError: out of luck"
    assert answer.stdout.startswith("rmse, mm (lower is better), mean of 2 seeds\n")
    answer = command(*words, tmp_path / "none", "--methods", "classical", "--json")
    assert answer.exit_code == 1
    assert len(json.loads(answer.stdout)["failed"]) == 4
    assert (tmp_path / "none" / "report.html").is_file()


def test_cells_of_unknown_time_are_counted_alone(command, rain: Path, tmp_path: Path) -> None:
    """Where no time is known, none is said: of baselines nothing is timed before they are fitted."""
    words = ("--methods", "classical", "--labels", "8", "--out", tmp_path / "out", *TINY, "--dry-run")
    assert command("study", PLACES, "--data", rain, *words).stdout.splitlines()[-1] == (
        "2 cells whose time is not known"
    )


def test_ctrl_c_says_how_to_go_on(command, rain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line with --resume; what is finished stays."""

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "baseline_cell", stopped)
    monkeypatch.setattr("sys.argv", ["toolkit", "study", "places.py", "--overwrite"])
    words = ("--methods", "classical", "--labels", "8", "--out", tmp_path / "out")
    answer = command("study", PLACES, "--data", rain, *words, *TINY)
    assert answer.exit_code == 130
    assert "Stopped. Go on with: toolkit study places.py --resume" in answer.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--methods", "scrach"), "No method 'scrach'. Did you mean 'scratch'?"),
        (("--labels", "8,some"), "--labels has 'some'"),
        (("--backend", "lokey"), "No backend 'lokey'. Did you mean 'loky'?"),
        (("seed=3",), "'seed' is set by `toolkit study` itself"),
        (("--resume", "--overwrite"), "give one of them"),
    ],
)
def test_what_cannot_be_is_one_error(command, rain: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """It is said before a folder is made."""
    answer = command("study", PLACES, "--data", rain, "--out", tmp_path / "out", *words, "-q")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert said in answer.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_refused(command, rain: Path, tmp_path: Path) -> None:
    """Before anything is prepared; what is there stays."""
    (tmp_path / "notes.txt").write_text("mine")
    answer = command("study", PLACES, "--data", rain, "--out", tmp_path, "-q")
    assert answer.exit_code == 1
    assert "is not empty" in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
