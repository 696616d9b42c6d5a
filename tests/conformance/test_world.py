"""Where fields and labels of a check come from."""

from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.config import FinetuneSettings
from toolkit.conformance import world as of_checks
from toolkit.conformance.world import checked_origin
from toolkit.data.prepare import prepared
from toolkit.origin import Origin
from toolkit.task import Inputs, Task
from toolkit.told import Told

VARIABLES = ("vorticity", "divergence")


def _settings(**given: Path) -> FinetuneSettings:
    return FinetuneSettings(task="sound", **given)


def _writing(task: Task) -> Task:
    """The task, which makes labels up: a table of its own, and another in place of the world's."""

    def sample(world: Path) -> None:
        (world / "rain.csv").write_text("made up")
        (world / "hurdat2.txt").write_text("made up")

    return replace(task, sample=sample)


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_labels_are_those_of_the_world_where_none_are_made_up(sound: Task, tiny_world: Path, tmp_path: Path) -> None:
    """A task without a sample is checked on the world as it is, and any task on the labels that --data names."""
    with checked_origin(sound, _settings(world=tiny_world), Told()) as origin:
        assert origin == Origin(tiny_world)
    with checked_origin(_writing(sound), _settings(world=tiny_world, data=tmp_path), Told()) as origin:
        assert origin == Origin(tiny_world, tmp_path)


@pytest.mark.slow
def test_made_up_labels_leave_the_world_as_it_is(sound: Task, tiny_world: Path) -> None:
    """The sample writes into a folder that has the world's fields, the same store, and is gone afterwards."""
    before, task = _content(tiny_world), _writing(sound)
    with checked_origin(task, _settings(world=tiny_world), Told()) as origin:
        shown = origin.labels
        assert (shown / "hurdat2.txt").read_bytes() == (tiny_world / "hurdat2.txt").read_bytes()
        task.sample(shown)
        assert prepared(origin.world, VARIABLES).path == prepared(tiny_world, VARIABLES).path
    assert not shown.exists()
    assert _content(tiny_world) == before


@pytest.mark.parametrize("name", ["era5.nc", "other.grib", "wind.zarr", "files"])
def test_fields_of_any_kind_are_shown(sound: Task, tmp_path: Path, name: str) -> None:
    """A file, a Zarr and a folder of files become a folder of labels in which the same fields are found."""
    world = tmp_path / name
    if name == "files":
        world.mkdir()
        (world / "2001.nc").write_text("fields")
        (world / "stations.csv").write_text("a table")
    elif name == "wind.zarr":
        world.mkdir()
        (world / "zarr.json").write_text("fields")
    else:
        world.write_text("fields")
    with checked_origin(_writing(sound), _settings(world=world), Told()) as origin:
        of_checks.field_file(origin.world)
        (shown,) = [path for path in origin.world.iterdir() if path.is_symlink()]
        assert shown.resolve() == (world / "2001.nc" if name == "files" else world).resolve()
        assert (origin.world / "stations.csv").is_file() == (name == "files")


def test_the_tiny_world_is_made_where_none_is_named(
    sound: Task, tiny_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size is asked for; a task without fields needs none for its sample."""
    asked: list[str] = []
    monkeypatch.setattr(of_checks, "embedded_world", lambda _told, size: asked.append(size) or tiny_world)
    with checked_origin(sound, _settings(), Told()) as origin:
        assert origin == Origin(tiny_world)
    blind = replace(_writing(sound), inputs=Inputs(columns=("before",)))
    with checked_origin(blind, _settings(), Told()) as origin:
        assert origin.world is None
        assert list(origin.labels.iterdir()) == []
    assert asked == ["tiny"]
