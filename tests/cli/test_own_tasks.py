"""Tasks of one's own, each one file: on a table alone, and on fields beside a table; from labels to predictions."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from toolkit.geodesy import wrapped_longitude

PLACES, READINGS = (Path(__file__).parents[1] / "plug_ins" / name for name in ("places.py", "readings.py"))
QUICK = ("--threads", "1", "-q")


def rain(seed: int, places: int = 60) -> pd.DataFrame:
    """Places with three numbers and a word, some unknown, and the rain that they make."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {"place": [f"{seed}{k:03d}" for k in range(places)], "altitude_m": rng.uniform(0, 2000, places)}
    )
    table["slope"], table["distance_km"] = rng.random(places), rng.uniform(0, 300, places)
    table["kind"] = rng.choice(["coast", "valley"], places)
    table["rain_mm"] = 20 + 0.03 * table["altitude_m"] + 30 * (table["kind"] == "coast") + rng.normal(0, 2, places)
    table.loc[::9, "altitude_m"] = np.nan
    table.loc[::11, "rain_mm"] = np.nan
    return table.round(2)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of such places."""
    path = tmp_path_factory.mktemp("rain") / "mine.csv"
    rain(1).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def places_run(command, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the task on a table alone, with an option."""
    folder = tmp_path_factory.mktemp("runs") / "places"
    answer = command("finetune", PLACES, "hidden=6", "--data", table, "--out", folder, *QUICK)
    assert answer.exit_code == 0, answer.stderr
    return folder


def results(folder: Path) -> dict:
    """The results of a run."""
    return json.loads((folder / "results.json").read_text())


def scores(command, folder: Path, *words: object) -> dict:
    """What `toolkit evaluate` says of a run."""
    answer = command("evaluate", folder, *words, "--json", "-q")
    assert answer.exit_code == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.slow
def test_a_table_alone_is_learned_from(places_run: Path) -> None:
    """Without fields and backbone a head learns from columns, better than the mean; the report is written."""
    found = results(places_run)
    assert found["backbone"] is None
    assert found["method"] == "scratch"
    assert found["labels"] == 60 - 60 // 4 - 60 * 3 // 20
    assert found["metrics"]["rmse"]["value"] < 0.6 * found["baselines"]["mean"]["rmse"]
    assert found["model"]["parameters"] == found["model"]["trainable"] > 0
    assert "contributions" not in found or not found["contributions"]
    page = (places_run / "report.html").read_text("utf-8")
    assert "A network was trained from random weights on 36 labelled places." in page
    assert {path.name for path in places_run.iterdir()} >= {"head.safetensors", "model.json", "predictions.csv"}
    assert not (places_run / "adapter").exists()
    truth = pd.read_csv(places_run / "truth.csv", dtype={"group": str})
    assert truth["group"].nunique() == len(truth) == 15


@pytest.mark.slow
def test_a_run_records_options_and_labels(places_run: Path, table: Path) -> None:
    """config.yaml holds the task file's whole path, its options, the labels' hash and no world; the split its rule."""
    config = yaml.safe_load((places_run / "config.yaml").read_text())
    assert config["task"] == str(PLACES)
    assert config["options"] == {"hidden": 6, "unit": "mm"}
    assert config["world"] is None
    assert config["data"]["path"] == str(table)
    assert len(config["data"]["sha256"]) == 64
    split = json.loads((places_run / "split.json").read_text())
    assert split["apart"] == {"groups": True, "gap_days": None, "blocks_degrees": None}
    assert {name: part["rows"] for name, part in split["parts"].items()} == {"train": 36, "validation": 9, "test": 15}


@pytest.mark.slow
def test_a_saved_run_scores_and_reports_the_same(command, places_run: Path, monkeypatch, tmp_path: Path) -> None:
    """From any folder the model is loaded under its own options, with its own labels or with others."""
    monkeypatch.chdir(tmp_path)
    again = scores(command, places_run)
    assert again["metrics"] == results(places_run)["metrics"]
    assert again["world"] is None
    assert (again["groups"], again["windows"]) == (15, 15)
    rain(2, places=80).to_csv("other.csv", index=False)
    other = scores(command, places_run, "--data", "other.csv")
    assert other["groups"] == 20
    assert other["data"]["path"] == str(tmp_path / "other.csv")
    assert other["metrics"]["rmse"]["value"] != again["metrics"]["rmse"]["value"]
    assert "15 groups, 15 windows of " in command("evaluate", places_run, "-q").stdout
    page = (places_run / "report.html").read_bytes()
    assert command("report", places_run).exit_code == 0
    assert (places_run / "report.html").read_bytes() == page


@pytest.mark.slow
def test_rows_without_a_value_are_predicted(command, places_run: Path, tmp_path: Path) -> None:
    """`toolkit predict --data` states the rain of places where nobody measured it."""
    rain(3).drop(columns="rain_mm").to_csv(tmp_path / "new.csv", index=False)
    out = tmp_path / "out"
    answer = command("predict", places_run, "--data", tmp_path / "new.csv", "--out", out, "--json", "-q")
    assert answer.exit_code == 0, answer.stderr
    assert json.loads(answer.stdout)["rows"] == 60
    stated = pd.read_csv(out / "predictions.csv", dtype={"group": str})
    truth = rain(3).set_index("place")["rain_mm"]
    assert np.corrcoef(stated.set_index("group")["rain_mm"][truth.dropna().index], truth.dropna())[0, 1] > 0.8
    said = command("predict", places_run, "--data", tmp_path / "new.csv", "--out", out, "--overwrite", "-q").stdout
    assert said == f"60 rows at 0 times\nFolder: {out}\n"


@pytest.mark.slow
def test_an_input_that_is_predicted_is_a_leak(command, places_run: Path, tmp_path: Path) -> None:
    """Of a run whose task has its target among the inputs `toolkit tasks leaks` says so, and exits with 1."""
    run, leaky = shutil.copytree(places_run, tmp_path / "run"), tmp_path / "places.py"
    assert "Nothing leaks" in command("tasks", "leaks", run).stdout
    leaky.write_text(PLACES.read_text().replace('"kind")', '"kind", "rain_mm")'))
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace(str(PLACES), str(leaky)))
    answer = command("tasks", "leaks", run)
    assert answer.exit_code == 1
    assert answer.stdout.endswith("'rain_mm' is an input and is predicted: leave it out of inputs.columns.\n")


@pytest.mark.slow
def test_a_run_resumes_under_its_own_options_alone(command, places_run: Path, table: Path, tmp_path: Path) -> None:
    """Resumed with the same options a finished run states the same; with others it is refused by name."""
    folder = shutil.copytree(places_run, tmp_path / "run")
    same = command("finetune", PLACES, "hidden=6", "--data", table, "--out", folder, "--resume", "--json", *QUICK)
    assert same.exit_code == 0, same.stderr
    assert json.loads(same.stdout)["metrics"] == results(places_run)["metrics"]
    other = command("finetune", PLACES, "hidden=7", "--data", table, "--out", folder, "--resume", *QUICK)
    assert other.exit_code == 1
    assert "options.hidden: 6 -> 7\n" in other.stderr


@pytest.mark.slow
def test_a_run_is_repeated_from_its_configuration(command, places_run: Path, tmp_path: Path) -> None:
    """The resolved configuration, given back with the task, makes the same run."""
    words = ("finetune", PLACES, "-c", places_run / "config.yaml", "--out", tmp_path / "again", "--json", "-q")
    answer = command(*words)
    assert answer.exit_code == 0, answer.stderr
    assert json.loads(answer.stdout)["metrics"] == results(places_run)["metrics"]


@pytest.mark.slow
def test_the_labels_of_a_world_need_no_other_file(command, tiny_world: Path, tmp_path: Path) -> None:
    """A table that lies in a world folder is read from there, and found there again."""
    world = shutil.copytree(tiny_world, tmp_path / "world")
    rain(1).to_csv(world / "rain.csv", index=False)
    run = tmp_path / "run"
    answer = command("finetune", PLACES, "--world", world, "--out", run, "--labels", "8", "--no-baselines", *QUICK)
    assert answer.exit_code == 0, answer.stderr
    assert results(run)["labels"] == 8
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["world"]["path"] == str(world)
    assert config["data"] is None
    assert scores(command, run)["metrics"] == results(run)["metrics"]


def test_a_task_fits_the_labels_it_is_given(command, table: Path, tmp_path: Path) -> None:
    """A task may look at --data before it is made: without the column slope it does without it."""
    pd.read_csv(table).drop(columns="slope").to_csv(tmp_path / "flat.csv", index=False)
    parameters = []
    for data in (table, tmp_path / "flat.csv"):
        answer = command("finetune", PLACES, "--data", data, "--dry-run", "--json", *QUICK)
        assert answer.exit_code == 0, answer.stderr
        parameters.append(json.loads(answer.stdout)["parameters"])
    assert parameters[0] > parameters[1]
    assert json.loads(answer.stdout)["groups"] == {"train": 36, "validation": 9, "test": 15}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hidden=wide", "lr=-1", "hiden=3"), "'hidden' is 'wide'"),
        (("hidden=wide", "lr=-1", "hiden=3"), "'lr' is -1"),
        (("hidden=wide", "lr=-1", "hiden=3"), "No setting 'hiden'. Did you mean 'hidden'?"),
        (("--method", "lora"), "looks at no fields, so there is no backbone for lora: --method scratch"),
        (("--data", "gone.csv"), "There is no file or folder of labels gone.csv"),
    ],
)
def test_what_cannot_be_used_is_one_error(
    command, table: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    """Wrong options and settings, a method and labels that there are not end in a sentence, before a folder is made."""
    answer = command("finetune", PLACES, "--data", table, *words, "--out", tmp_path / "run", *QUICK)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("Error: ")
    assert said in answer.stderr
    assert not (tmp_path / "run").exists()


# Fields and a table


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Readings at 20 stations every 12 hours of the tiny world's seasons, the last one known and the one to come."""
    rng = np.random.default_rng(4)
    days = [pd.date_range(f"{year}-08-01", periods=9, freq="12h") for year in range(2001, 2005)]
    stations = pd.DataFrame({"station": [f"s{k}" for k in range(20)], "site": rng.choice(["rural", "urban"], 20)})
    stations["latitude"] = rng.uniform(-50, 50, 20).round(2)
    stations["longitude"] = wrapped_longitude(rng.uniform(0, 360, 20)).round(2)
    table = stations.merge(pd.DataFrame({"time": np.concatenate(days)}), how="cross")
    table["last"] = rng.normal(0, 2, len(table)).round(2)
    table["later"] = (0.8 * table["last"] + rng.normal(0, 0.5, len(table))).round(2)
    table.loc[::13, "last"] = np.nan
    late = table.iloc[:5].assign(time=pd.Timestamp("2001-08-02T03:00"))
    path = tmp_path_factory.mktemp("readings") / "readings.csv"
    pd.concat([table, late, table.iloc[:2]]).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def readings_run(
    command, readings: Path, tiny_world: Path, random_backbone: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The run folder of the task on fields and a table."""
    folder = tmp_path_factory.mktemp("runs") / "readings"
    words = ("--world", tiny_world, "--data", readings, "--backbone", random_backbone, "--out", folder)
    answer = command("finetune", READINGS, *words, "--limit-batches", "12", "lr=0.01", *QUICK)
    assert answer.exit_code == 0, answer.stderr
    return folder


@pytest.mark.slow
def test_fields_and_columns_are_learned_from_together(readings_run: Path, tiny_world: Path, readings: Path) -> None:
    """LoRA on the fields beside the columns, against scratch and the baseline; what is left out is in the notes."""
    found = results(readings_run)
    assert found["method"] == "lora"
    assert found["labels"] == 20
    assert set(found["baselines"]) == {"persistence"}
    assert found["comparison"]["metrics"]["rmse"]["value"] > 0
    assert set(found["notes"]) == {
        "2 labelled rows are left out: there twice",
        "5 labelled rows are left out: no field at their time",
    }
    config = yaml.safe_load((readings_run / "config.yaml").read_text())
    assert (config["world"]["path"], config["data"]["path"]) == (str(tiny_world), str(readings))
    split = json.loads((readings_run / "split.json").read_text())
    assert split["apart"] == {"groups": False, "gap_days": 5.0, "blocks_degrees": None}
    assert {name: part["rows"] for name, part in split["parts"].items()} == {
        "train": 360,
        "validation": 180,
        "test": 180,
    }
    assert "The parts share 20 stations, at other times." in (readings_run / "report.html").read_text("utf-8")
    stated = pd.read_csv(readings_run / "predictions.csv")
    assert list(stated) == ["example", "time", "group", "later"]


@pytest.mark.slow
def test_rows_beside_fields_are_scored_and_predicted(
    command, readings_run: Path, tiny_world: Path, readings: Path, tmp_path: Path
) -> None:
    """The saved model scores as it did, and states the coming reading at every row that has a field."""
    again = scores(command, readings_run)
    assert again["metrics"] == results(readings_run)["metrics"]
    assert (again["world"]["path"], again["data"]["path"]) == (str(tiny_world), str(readings))
    pd.read_csv(readings).drop(columns="later").to_csv(tmp_path / "now.csv", index=False)
    words = ("--fields", tiny_world / "fields.zarr", "--data", tmp_path / "now.csv", "--out", tmp_path / "out")
    answer = command("predict", readings_run, *words, "-q")
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout.splitlines() == [
        "Note: 2 rows are left out: there twice",
        "Note: 5 rows are left out: no field at their time",
        "720 rows at 36 times",
        f"Folder: {tmp_path / 'out'}",
    ]
    stated = pd.read_csv(tmp_path / "out" / "predictions.csv", parse_dates=["time"])
    assert list(stated) == ["time", "group", "latitude", "longitude", "later"]
    own = pd.read_csv(readings_run / "predictions.csv", parse_dates=["time"])
    both = own.merge(stated, on=["time", "group"], suffixes=("", "_alone"))
    assert len(both) == len(own) == 180
    np.testing.assert_allclose(both["later_alone"], both["later"], atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [((), "name a table of rows with --data"), (("--data", "rows.csv"), "name them with --fields")],
)
def test_a_prediction_needs_fields_and_rows(
    command, readings_run: Path, tmp_path: Path, words: tuple, said: str
) -> None:
    """What lacks for a prediction is named, and nothing is written."""
    answer = command("predict", readings_run, *words, "--out", tmp_path / "out", "-q")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert said in answer.stderr
    assert not (tmp_path / "out").exists()
