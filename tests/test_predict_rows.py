"""A model at the rows of a table: each row has its prediction, or is counted among those that cannot have one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from toolkit.adapt import Lora
from toolkit.backbones.weights import load_backbone
from toolkit.columns import fit_columns
from toolkit.errors import UserError
from toolkit.evaluate import outputs
from toolkit.examples import Examples, cut_examples
from toolkit.labels import checked_labels
from toolkit.origin import Origin, fields_of
from toolkit.parts import Parts, assemble
from toolkit.plugins import task_named
from toolkit.predict import PredictOptions, PredictResult
from toolkit.predict_rows import CREATED, predict_rows
from toolkit.predict_run import predict_run
from toolkit.saved import Saved, save_adapted
from toolkit.task import Inputs, Task
from toolkit.told import Told

PLUG_INS = Path(__file__).parent / "plug_ins"
NOTHING = PredictOptions()


def untrained(task: Task, table: pd.DataFrame, backbone: Path | None = None) -> Parts:
    """A model whose head was drawn at random, for the columns of a table."""
    loaded = load_backbone(backbone) if backbone else None
    method, card = ("probe", loaded.card) if loaded else ("scratch", None)
    parts = assemble(task, card, loaded, method, Lora(), 0, fit_columns(table, task.inputs.columns))
    torch.nn.init.normal_(parts.model.head.out, generator=torch.Generator().manual_seed(0))
    return parts


@pytest.fixture(scope="module")
def places() -> Task:
    """The task on a table alone."""
    return task_named(str(PLUG_INS / "places.py"))


@pytest.fixture(scope="module")
def place_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Places with three numbers and a word, some of them unknown, and what falls there."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"place": [f"{k:03d}" for k in range(40)], "altitude_m": rng.normal(500, 200, 40).round(1)})
    table["slope"], table["distance_km"] = rng.random(40).round(3), rng.normal(100, 30, 40).round(1)
    table["kind"] = rng.choice(["coast", "valley"], 40)
    table.loc[3, "altitude_m"] = table.loc[5, "kind"] = np.nan
    table["rain_mm"] = (50 + 0.02 * table["altitude_m"].fillna(500) + 10 * (table["kind"] == "coast")).round(2)
    path = tmp_path_factory.mktemp("places") / "rain.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def place_run(places: Task, place_table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of an untrained model of that task."""
    run = tmp_path_factory.mktemp("place-run")
    parts = untrained(places, checked_labels(places, place_table))
    save_adapted(run, Saved("places", "scratch", None), parts)
    return run


def at_places(task: Task, run: Path, data: Path, out: Path, options: PredictOptions = NOTHING) -> PredictResult:
    """Predict at the places of a table."""
    return predict_rows(task, run, Origin(None, data), out, Told(), options)


def written(path: Path) -> pd.DataFrame:
    """The predictions of a folder."""
    return pd.read_csv(path / "predictions.csv", dtype={"group": str})


def test_each_row_has_its_prediction(places: Task, place_run: Path, place_table: Path, tmp_path: Path) -> None:
    """The rows come in order under their names, each with what the model makes of its columns."""
    said = at_places(places, place_run, place_table, tmp_path / "out")
    found, table = written(tmp_path / "out"), checked_labels(places, place_table)
    assert found["group"].tolist() == [f"{k:03d}" for k in range(40)]
    assert list(found) == ["group", "rain_mm"]
    assert (said.rows, said.times, said.notes, said.thresholds) == (40, 0, (), {})
    parts = untrained(places, table)
    examples = cut_examples(places, fields_of(places, Origin(None), None), table, np.ones(40, bool), 0)
    np.testing.assert_allclose(
        found["rain_mm"], places.decode(outputs(parts, examples), examples)["rain_mm"], atol=1e-3
    )
    assert found["rain_mm"].nunique() > 30
    assert {path.name for path in (tmp_path / "out").iterdir()} == CREATED
    notes = (tmp_path / "out" / "notes.txt").read_text().splitlines()
    assert notes == [f"rows: {place_table}", "fields: none", f"model: {place_run}"]


def test_what_is_predicted_need_not_be_known(places: Task, place_run: Path, place_table: Path, tmp_path: Path) -> None:
    """Rows without the value, and a table without its column, have the same predictions."""
    table = pd.read_csv(place_table, dtype={"place": str})
    at_places(places, place_run, place_table, tmp_path / "known")
    for name, unknown in (("empty", table.assign(rain_mm=np.nan)), ("without", table.drop(columns="rain_mm"))):
        unknown.to_csv(tmp_path / f"{name}.csv", index=False)
        at_places(places, place_run, tmp_path / f"{name}.csv", tmp_path / name)
        pd.testing.assert_frame_equal(written(tmp_path / name), written(tmp_path / "known"))


def test_a_prediction_depends_on_its_own_row(places: Task, place_run: Path, place_table: Path, tmp_path: Path) -> None:
    """In another order and company a place has the same prediction: statistics are those of the training rows."""
    table = pd.read_csv(place_table, dtype={"place": str})
    table.iloc[[7, 2, 30]].to_csv(tmp_path / "few.csv", index=False)
    at_places(places, place_run, place_table, tmp_path / "all")
    at_places(places, place_run, tmp_path / "few.csv", tmp_path / "few")
    expected = written(tmp_path / "all").iloc[[7, 2, 30]].reset_index(drop=True)
    pd.testing.assert_frame_equal(written(tmp_path / "few"), expected)


def test_rows_that_are_there_twice_are_told(places: Task, place_run: Path, place_table: Path, tmp_path: Path) -> None:
    """A double row is predicted once, and said to be left out."""
    table = pd.read_csv(place_table, dtype={"place": str})
    pd.concat([table, table.iloc[:2]]).to_csv(tmp_path / "double.csv", index=False)
    said = at_places(places, place_run, tmp_path / "double.csv", tmp_path / "out")
    assert said.rows == 40
    assert said.notes == ("2 rows are left out: there twice",)
    assert (tmp_path / "out" / "notes.txt").read_text().endswith("\n2 rows are left out: there twice\n")


def test_the_task_says_how_its_rows_are_written(
    places: Task, place_run: Path, place_table: Path, tmp_path: Path
) -> None:
    """What is kept and how it is named is the task's; where it has no thresholds, none can be given."""
    chosen = replace(
        places,
        keep=lambda table, _: table[table["rain_mm"] > table["rain_mm"].median()],
        export=lambda table: table.rename(columns={"group": "place"}),
    )
    with pytest.raises(UserError, match="has no threshold"):
        at_places(chosen, place_run, place_table, tmp_path / "out", PredictOptions({"": 0.5}))
    said = at_places(chosen, place_run, place_table, tmp_path / "out")
    found = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert said.rows == len(found) == 20
    assert list(found) == ["place", "rain_mm"]


def test_small_numbers_keep_their_digits(places: Task, place_run: Path, place_table: Path, tmp_path: Path) -> None:
    """Shares of a billionth are written as they are."""

    def tiny(output: np.ndarray, examples: Examples) -> pd.DataFrame:
        table = places.decode(output, examples)
        return table.assign(rain_mm=1e-9 * table["rain_mm"])

    at_places(places, place_run, place_table, tmp_path / "usual")
    at_places(replace(places, decode=tiny), place_run, place_table, tmp_path / "tiny")
    usual, small = (written(tmp_path / name)["rain_mm"] for name in ("usual", "tiny"))
    np.testing.assert_allclose(1e9 * small, usual, rtol=1e-5)


def test_a_name_that_is_stated_replaces_the_row_s_own(
    places: Task, place_run: Path, place_table: Path, tmp_path: Path
) -> None:
    """Where a task states a name of its own, no column is written twice."""
    stating = replace(places, decode=lambda output, examples: places.decode(output, examples).assign(group="x"))
    at_places(stating, place_run, place_table, tmp_path / "out")
    found = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert list(found) == ["rain_mm", "group"]
    assert set(found["group"]) == {"x"}


def test_a_full_folder_is_refused_and_a_former_result_replaced(
    places: Task, place_run: Path, place_table: Path, tmp_path: Path
) -> None:
    """Nothing is overwritten unasked, with --overwrite nothing but a former result, and none by a failure."""
    out = tmp_path / "out"
    at_places(places, place_run, place_table, out)
    before = written(out)
    with pytest.raises(UserError, match=r"out is not empty\. Add --overwrite"):
        at_places(places, place_run, place_table, out)
    bad = tmp_path / "bad.csv"
    pd.read_csv(place_table).drop(columns="kind").to_csv(bad, index=False)
    with pytest.raises(UserError, match="No column of the labels of places 'kind'"):
        at_places(places, place_run, bad, out, PredictOptions(overwrite=True))
    pd.testing.assert_frame_equal(written(out), before)
    at_places(places, place_run, place_table, out, PredictOptions(overwrite=True))
    (out / "mine.txt").write_text("keep me")
    with pytest.raises(UserError, match=r"more than a former result: mine\.txt"):
        at_places(places, place_run, place_table, out, PredictOptions(overwrite=True))


# With fields


@pytest.fixture(scope="module")
def readings() -> Task:
    """The task on fields and a table."""
    return task_named(str(PLUG_INS / "readings.py"))


@pytest.fixture(scope="module")
def reading_table() -> pd.DataFrame:
    """Rows at four stations of the tiny world, every 12 hours of its first season."""
    time = pd.date_range("2001-08-01", periods=10, freq="12h")
    stations = pd.DataFrame({"station": list("abcd"), "latitude": [15.0, -20.0, 40.0, 5.0], "site": list("ssrr")})
    stations["longitude"] = [10.0, 100.0, 200.0, 359.0]
    table = stations.merge(pd.DataFrame({"time": time}), how="cross")
    return table.assign(last=np.arange(40.0) % 7, later=0.0)


@pytest.fixture(scope="module")
def reading_run(
    readings: Task, reading_table: pd.DataFrame, random_backbone: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The run folder of an untrained model of that task on the random backbone."""
    run = tmp_path_factory.mktemp("reading-run")
    card = load_backbone(random_backbone).card
    parts = untrained(readings, reading_table, random_backbone)
    save_adapted(run, Saved("readings", "probe", card, {}, str(random_backbone)), parts)
    return run


def at_readings(task: Task, run: Path, world: Path, table: pd.DataFrame, folder: Path) -> PredictResult:
    """Write a table and predict at its rows."""
    table.to_csv(folder / "rows.csv", index=False)
    return predict_rows(task, run, Origin(world, folder / "rows.csv"), folder / "out", Told(), NOTHING)


def test_rows_with_fields_have_their_time_and_place(
    readings: Task, reading_run: Path, tiny_world: Path, reading_table: pd.DataFrame, tmp_path: Path
) -> None:
    """Time comes first, then station and place, then what is stated of the weather there and then."""
    said = at_readings(readings, reading_run, tiny_world, reading_table, tmp_path)
    found = pd.read_csv(tmp_path / "out" / "predictions.csv", parse_dates=["time"])
    assert list(found) == ["time", "group", "latitude", "longitude", "later"]
    assert (said.rows, said.times, said.notes) == (40, 10, ())
    assert found["time"].tolist() == reading_table["time"].tolist()
    np.testing.assert_allclose(found["longitude"], reading_table["longitude"])
    same = found.assign(last=reading_table["last"]).groupby(["group", "last"])["later"]
    assert (same.nunique() == same.size()).all()
    assert f"fields: {tiny_world}" in (tmp_path / "out" / "notes.txt").read_text()


def test_rows_that_no_field_shows_are_counted(
    readings: Task, reading_run: Path, tiny_world: Path, reading_table: pd.DataFrame, tmp_path: Path
) -> None:
    """Rows at times without fields have no prediction; the others have theirs all the same."""
    late = reading_table["time"] + pd.Timedelta(hours=3)
    mixed = reading_table.assign(time=reading_table["time"].where(reading_table.index >= 6, late))
    said = at_readings(readings, reading_run, tiny_world, mixed, tmp_path)
    assert said.rows == 34
    assert said.notes == ("6 rows are left out: no field at their time",)
    found = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert found["group"].value_counts().to_dict() == {"a": 4, "b": 10, "c": 10, "d": 10}
    (tmp_path / "late").mkdir()
    with pytest.raises(UserError, match=r"None of the 40 rows of .* is at a time of the fields"):
        at_readings(readings, reading_run, tiny_world, reading_table.assign(time=late), tmp_path / "late")
    assert [path.name for path in (tmp_path / "late").iterdir()] == ["rows.csv"]


# What a task needs


@pytest.mark.parametrize(
    ("columns", "variables", "fields", "data", "said"),
    [
        (
            ("last",),
            ("vorticity",),
            "x.nc",
            None,
            r"mine sees columns beside the fields: name a table of rows with --data",
        ),
        (("last",), (), None, None, r"mine sees columns .*: name a table of rows with --data"),
        ((), ("vorticity",), None, None, r"mine looks at fields: name them with --fields"),
        ((), ("vorticity",), None, Path("x.csv"), r"mine looks at fields: name them with --fields"),
        (("last",), ("vorticity",), None, Path("x.csv"), r"mine looks at fields: name them with --fields"),
        ((), ("vorticity",), "x.nc", Path("x.csv"), r"mine looks at fields alone, everywhere: leave --data out"),
    ],
)
def test_what_a_task_needs_for_a_prediction_is_told(
    small_task: Task,
    tmp_path: Path,
    columns: tuple[str, ...],
    variables: tuple[str, ...],
    fields: str | None,
    data: Path | None,
    said: str,
) -> None:
    """Fields, a table of rows, or both: what lacks is named with its flag."""
    task = replace(small_task, name="mine", inputs=Inputs(variables, (0,), (16, 16), columns=columns))
    with pytest.raises(UserError, match=said):
        predict_run(task, tmp_path, fields, data, tmp_path / "out", Told(), NOTHING)
