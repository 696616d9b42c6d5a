"""From a world and labels to the material of a run: what is looked at, what is left out, and why."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from toolkit.data.regrid import regular_grid
from toolkit.data.store import NO_FIELDS, Store
from toolkit.errors import UserError
from toolkit.labels import LEFT_OUT
from toolkit.origin import Material, Origin, fields_of, gathered_material, identity, timely_labels
from toolkit.split import ByGroup, ByYear
from toolkit.task import Inputs, Maps, Task


@pytest.fixture(scope="module")
def fixes(small_task: Task, tiny_world: Path) -> pd.DataFrame:
    """The labels of the tiny world."""
    return small_task.labels(tiny_world)


@pytest.fixture(scope="module")
def store(small_task: Task, tiny_world: Path) -> Store:
    """The fields of the tiny world."""
    return fields_of(small_task, Origin(tiny_world), None)


def gathered(task: Task, world: Path, labels: pd.DataFrame) -> Material:
    """The material of a world with other labels."""
    return gathered_material(replace(task, labels=lambda _: labels), Origin(world), None)


def test_every_row_of_a_world_is_in_a_part(small_task: Task, tiny_world: Path, fixes: pd.DataFrame) -> None:
    """Where all rows have fields and years lie far apart nothing is left out; parts are found by name and group."""
    material = gathered_material(small_task, Origin(tiny_world), None)
    pd.testing.assert_frame_equal(material.labels, fixes)
    assert material.left_out == {}
    assert material.label_maps is NO_FIELDS
    assert set(material.store.names) == {*small_task.inputs.variables, *small_task.inputs.also}
    years = {
        name: set(material.labels["time"][material.rows(name)].dt.year) for name in ("train", "validation", "test")
    }
    assert years == {"train": {2001, 2002}, "validation": {2003}, "test": {2004}}
    groups = material.groups("test")
    assert groups == sorted(set(fixes["group"][fixes["time"].dt.year == 2004]))
    some = material.rows("test", tuple(groups[:2]))
    assert set(material.labels["group"][some]) == set(groups[:2])
    assert not (some & ~material.rows("test")).any()


def test_rows_without_a_field_are_counted(small_task: Task, tiny_world: Path, fixes: pd.DataFrame) -> None:
    """Rows at times that the fields do not have are left out and told, beside what the task left out itself."""
    off = fixes.iloc[[5, 70, 200]].assign(time=fixes["time"] + pd.Timedelta(hours=3))
    labels = pd.concat([fixes, off, fixes.iloc[:1]], ignore_index=True)
    labels.attrs[LEFT_OUT] = {"no wind": 7}
    material = gathered(small_task, tiny_world, labels)
    assert material.left_out == {"no wind": 7, "there twice": 1, "no field at their time": 3}
    pd.testing.assert_frame_equal(material.labels, fixes)
    assert len(material.part) == len(fixes)


def test_years_without_fields_are_no_years(small_task: Task, tiny_world: Path, fixes: pd.DataFrame) -> None:
    """Labels of years that the fields do not have do not shift the split."""
    old = fixes.assign(time=fixes["time"] - pd.DateOffset(years=20), group="old " + fixes["group"])
    both = gathered(small_task, tiny_world, pd.concat([fixes, old], ignore_index=True))
    alone = gathered(small_task, tiny_world, fixes)
    assert both.part.tolist() == alone.part.tolist()
    assert both.left_out == {"no field at their time": len(old)}


def test_rows_too_near_to_another_part_are_counted(small_task: Task, tiny_world: Path, fixes: pd.DataFrame) -> None:
    """A group that its rule puts into no part is told by its rows."""
    near = replace(small_task, split=ByYear(gap_days=400.0))
    material = gathered(near, tiny_world, fixes)
    lost = int((fixes["time"].dt.year == 2003).sum())
    assert material.left_out == {"too near in time to another part": lost}
    assert material.groups("validation") == []
    assert len(material.groups("train")) == 12


def test_labels_of_other_years_than_the_fields_are_an_error(
    small_task: Task, tiny_world: Path, fixes: pd.DataFrame
) -> None:
    """Where no row has a field the error names the number of rows and the span of the fields."""
    said = rf"None of the {len(fixes)} rows of .*tiny is at a time of the fields of .*tiny, 2001-08-01.* to 2004-08-05"
    with pytest.raises(UserError, match=said):
        gathered(small_task, tiny_world, fixes.assign(time=fixes["time"] - pd.DateOffset(years=20)))


def test_an_error_of_a_task_is_told(small_task: Task, tiny_world: Path, tmp_path: Path) -> None:
    """What a task raises over its labels names it and the path, and --data where that was left out."""
    file, remedy = tmp_path / "mine.csv", r"Where the labels have a file of their own, name it with --data\.$"
    file.write_text("a,b")
    columns = replace(small_task, inputs=Inputs(columns=("height",)))

    def told(labels: Callable[[Path], pd.DataFrame], origin: Origin, said: str) -> None:
        with pytest.raises(UserError, match=said):
            timely_labels(replace(columns, labels=labels), origin, NO_FIELDS)

    def misspelt(path: Path) -> pd.DataFrame:
        return pd.read_csv(file if path.is_dir() else path)["value"]

    told(misspelt, Origin(None, file), r"task hurricane cannot read its labels from .*mine\.csv: KeyError: 'value'\.$")
    told(misspelt, Origin(tiny_world), rf"labels from .*tiny: KeyError: 'value'\. {remedy}")
    told(pd.read_csv, Origin(file), rf"No column of the labels .* {remedy}")
    told(pd.read_csv, Origin(None, file), "Known: a, b.$")


def test_labels_may_have_a_file_of_their_own(small_task: Task, tiny_world: Path, tmp_path: Path) -> None:
    """What --data names stands in for the labels of the world, whose fields are still looked at."""
    file = tmp_path / "mine.txt"
    file.write_bytes((tiny_world / "hurdat2.txt").read_bytes())
    assert Origin(tiny_world, file).labels == file
    assert Origin(tiny_world).labels == tiny_world
    own, other = (gathered_material(small_task, Origin(tiny_world, data), None) for data in (None, file))
    pd.testing.assert_frame_equal(own.labels, other.labels)
    assert own.store.sha256 == other.store.sha256


def test_maps_are_brought_to_the_grid_of_the_fields(small_task: Task, tiny_world: Path, store: Store) -> None:
    """Label maps of any grid and time are read from the labels' place and lie on the grid of the fields."""
    latitude, longitude = regular_grid(5.0)
    time = np.array(["2001-08-02", "2004-08-03"], "M8[ns]")
    shares = np.zeros((2, 37, 72), np.float32)
    shares[1, :18] = 1
    opened: list[Path] = []

    def read(path: Path) -> xr.Dataset:
        opened.append(path)
        dimensions = ("time", "latitude", "longitude")
        coordinates = {"time": time, "latitude": latitude, "longitude": longitude}
        return xr.Dataset({"north": (dimensions, shares, {"units": "1"})}, coordinates)

    task = replace(small_task, maps=Maps(("north",), (0, 24), read))
    maps = gathered_material(task, Origin(tiny_world), None).label_maps
    assert opened == [tiny_world]
    assert maps.names == ("north",)
    np.testing.assert_array_equal(maps.time, time.astype("M8[s]"))
    np.testing.assert_array_equal(maps.latitude, store.latitude)
    np.testing.assert_array_equal(maps.longitude, store.longitude)
    assert not maps.frame(0).any()
    np.testing.assert_allclose(maps.frame(1)[0, store.latitude > 5], 1)
    assert not maps.frame(1)[0, store.latitude < -5].any()


def test_a_task_without_fields_needs_no_world(small_task: Task, tmp_path: Path) -> None:
    """Every row of a table is used, whatever its time, and nothing is prepared."""
    table = pd.DataFrame({"group": [f"s{k}" for k in range(9)], "height": range(9)})
    file = tmp_path / "stations.csv"
    table.to_csv(file, index=False)
    columns = Inputs(columns=("height",))
    task = replace(small_task, inputs=columns, labels=pd.read_csv, split=ByGroup())
    material = gathered_material(task, Origin(None, file), None)
    assert material.store is material.label_maps is NO_FIELDS
    pd.testing.assert_frame_equal(material.labels, table, check_dtype=False)

    assert sum(material.rows(part).sum() for part in ("train", "validation", "test")) == 9
    assert identity(task, Origin(None, file), NO_FIELDS)["world"] is None


def test_what_was_looked_at_is_recorded(small_task: Task, tiny_world: Path, store: Store, tmp_path: Path) -> None:
    """A run records the world whose fields or labels it read, and the labels' file, by path and content."""
    file = tmp_path / "mine.txt"
    file.write_text("a")
    both = identity(small_task, Origin(tiny_world, file), store)
    assert both["world"]["path"] == str(tiny_world)
    assert both["world"]["simulated"] is True
    assert both["data"] == {"path": str(file), "sha256": both["data"]["sha256"]}
    file.write_text("b")
    assert identity(small_task, Origin(tiny_world, file), store)["data"]["sha256"] != both["data"]["sha256"]
    assert identity(small_task, Origin(tiny_world), store) == {"world": both["world"], "data": None}
    columns = replace(small_task, inputs=Inputs(columns=("height",)))
    assert identity(columns, Origin(tiny_world, file), NO_FIELDS)["world"] is None
    tables = identity(columns, Origin(tiny_world), NO_FIELDS)
    assert tables["world"]["path"] == str(tiny_world)
    assert tables["world"]["sha256"] != both["world"]["sha256"]


def test_what_is_missing_is_named(small_task: Task, tiny_world: Path, tmp_path: Path) -> None:
    """A task with fields needs a world, every task needs labels, and both must be there."""
    with pytest.raises(UserError, match=r"The task hurricane looks at fields: name a world folder \(--world\)"):
        fields_of(small_task, Origin(None, tiny_world / "hurdat2.txt"), None)
    with pytest.raises(UserError, match=r"There are no labels: name a world folder \(--world\) or .* \(--data\)"):
        _ = Origin(None).labels
    with pytest.raises(UserError, match=r"There is no file or folder of labels .*gone\.csv"):
        _ = Origin(None, tmp_path / "gone.csv").labels
    columns = replace(small_task, inputs=Inputs(columns=("height",)))
    with pytest.raises(UserError, match=r"There is no file or folder of labels .*gone\.csv"):
        identity(columns, Origin(None, tmp_path / "gone.csv"), NO_FIELDS)
