import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr


def test_check_of_a_best_track_counts_storms_and_fixes(command, real_data: Path) -> None:
    """NHC's own file gives the counts of the storms and fixes it holds, as JSON and nothing else on stdout."""
    answer = command("data", "check", real_data / "hurdat2" / "sample_hurdat.txt", "--json")
    assert answer.exit_code == 0
    assert json.loads(answer.stdout) == {"storms": 37, "fixes": 1073, "left_out": 0, "findings": []}


def test_check_of_a_world_looks_at_fields_and_best_track(command, tiny_world: Path) -> None:
    """A sound world passes; the months between its seasons are told, but do not stop training."""
    answer = command("data", "check", tiny_world, "--json", "-q")
    content = json.loads(answer.stdout)
    assert answer.exit_code == 0
    assert content["best_track"]["storms"] == 24
    assert [(finding["variable"], finding["stops"]) for finding in content["findings"]] == [("time", False)]


def test_check_exits_with_1_where_training_would_stop(command, tmp_path: Path) -> None:
    """Undeclared NaN in a field file is named with variable and time, and the exit code is 1."""
    field = xr.DataArray(
        np.ones((3, 5, 8), np.float32),
        {
            "time": np.datetime64("2020-01-01", "ns") + np.arange(3) * np.timedelta64(6, "h"),
            "latitude": np.linspace(90, -90, 5),
            "longitude": np.arange(8) * 45.0,
        },
        attrs={"units": "s-1", "standard_name": "atmosphere_relative_vorticity"},
    )
    field[1, 2, 3] = np.nan
    xr.Dataset({"vo": field}).to_netcdf(tmp_path / "vo850.nc")
    answer = command("data", "check", tmp_path / "vo850.nc", "-q")
    assert answer.exit_code == 1
    assert "vorticity, from time 1: 1 NaN that is not declared" in answer.stdout


def test_check_of_a_malformed_best_track_names_the_line(command, tiny_world: Path, tmp_path: Path) -> None:
    """A line that cannot be read is an error with its number and its text."""
    lines = (tiny_world / "hurdat2.txt").read_text().splitlines()
    lines[2] = lines[2].replace("20010801", "2001O801")
    (tmp_path / "broken.txt").write_text("\n".join(lines))
    answer = command("data", "check", tmp_path / "broken.txt", "--json", "-q")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "line 3" in answer.stderr
    assert "2001O801" in answer.stderr


@pytest.mark.parametrize("content", [None, b"plain words, not a field"])
def test_check_of_what_cannot_be_read_is_an_error(command, tmp_path: Path, content: bytes | None) -> None:
    """A path that is not there and a file in no known format end in one error that names the path."""
    path = tmp_path / "thing.nc"
    if content:
        path.write_bytes(content)
    answer = command("data", "check", path, "-q")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert str(path) in answer.stderr


@pytest.mark.slow
def test_prepare_makes_a_store_that_passes_the_check(command, tiny_world: Path) -> None:
    """A prepared store has the world's times and the variables asked for, and nothing is wrong with it."""
    answer = command(
        "data", "prepare", tiny_world, "--variable", "vorticity", "--variable", "divergence", "--json", "-q"
    )
    content = json.loads(answer.stdout)
    assert content["shape"] == [80, 2, 65, 128]
    checked = json.loads(command("data", "check", content["store"], "--json", "-q").stdout)
    assert {finding["stops"] for finding in checked["findings"]} <= {False}


def test_a_world_is_not_written_over_something(command, tmp_path: Path) -> None:
    """A folder that holds something is refused before anything is simulated, and stays as it was."""
    (tmp_path / "mine.txt").write_text("mine")
    answer = command("data", "world", tmp_path, "-q")
    assert answer.exit_code == 1
    assert "not empty" in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_misspelt_world_size_names_the_near_miss(command, tmp_path: Path) -> None:
    """The sizes of worlds are names; a wrong one is told with the one that was meant."""
    answer = command("data", "world", tmp_path / "w", "--size", "smal")
    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: ")
    assert "Did you mean 'small'?" in answer.stderr


@pytest.mark.slow
def test_fluid_flow_is_written_and_prepared(command, tmp_path: Path) -> None:
    """One run of a day has five frames on the grid of the worlds, ready for pretraining on vorticity."""
    words = ("--runs", 1, "--days", 1, "--seed", 3, "--json", "-q")
    written = json.loads(command("data", "fluid", tmp_path / "fluid", *words).stdout)
    assert written == {"world": str(tmp_path / "fluid"), "runs": 1, "days": 1, "rotation": 0.0, "seed": 3}
    prepared = command("data", "prepare", tmp_path / "fluid", "--variable", "vorticity", "--json", "-q")
    assert json.loads(prepared.stdout)["shape"] == [5, 1, 129, 256]


def test_fluid_flow_is_not_written_over_something_nor_without_runs(command, tmp_path: Path) -> None:
    """A folder that holds something and a number of runs that is none are refused, each with its remedy."""
    (tmp_path / "mine.txt").write_text("mine")
    for folder, runs, said in ((tmp_path, 1, "not empty"), (tmp_path / "new", 0, "choose from 1 to 200")):
        answer = command("data", "fluid", folder, "--runs", runs, "-q")
        assert (answer.exit_code, answer.stdout) == (1, "")
        assert said in answer.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hurdat2-atlantc",), "Did you mean 'hurdat2-atlantic'?"),
        (("hurdat2-atlantic", "--offline"), "offline nothing is fetched"),
        (("era5", "--variable", "vorticity", "--start", "2020-08-01", "--offline"), "offline nothing is fetched"),
    ],
)
def test_what_cannot_be_fetched_is_told(command, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """An unknown source, and anything that is missing with --offline, end in an error without network access."""
    answer = command("data", "fetch", *words, "--out", tmp_path / "new", "-q")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert said in answer.stderr


def test_part_of_the_globe_and_of_the_hours_is_fetched(command, tmp_path: Path) -> None:
    """`--every` and `--region` choose times and places; longitudes west of Greenwich are negative."""
    time = np.datetime64("2020-01-01", "ns") + np.arange(24) * np.timedelta64(1, "h")
    axes = {"time": time, "latitude": np.linspace(90, -90, 13), "longitude": np.arange(24) * 15.0}
    fields = xr.Dataset({"u": (tuple(axes), np.zeros((24, 13, 24)))}, axes)
    fields.to_zarr(tmp_path / "archive.zarr", zarr_format=2)
    words = ("--variable", "u", "--start", "2020-01-01", "--every", 12, "--region", -30, 60, -90, 30)
    answer = command("data", "fetch", tmp_path / "archive.zarr", *words, "--out", tmp_path / "u.zarr", "-q")
    assert answer.exit_code == 0
    with xr.open_zarr(tmp_path / "u.zarr") as saved:
        assert dict(saved.sizes) == {"time": 2, "latitude": 7, "longitude": 9}


def test_a_file_that_is_there_is_not_fetched_again(command, tmp_path: Path) -> None:
    """With the file in place, `data fetch --offline` gives its path; a wrong hash is refused."""
    (tmp_path / "a.txt").write_text("content")
    words = ("data", "fetch", "https://example.invalid/a.txt", "--out", tmp_path, "--offline", "--json", "-q")
    assert json.loads(command(*words).stdout) == {"path": str(tmp_path / "a.txt")}
    assert "SHA-256" in command(*words, "--sha256", "0" * 64).stderr


def test_the_cache_is_told_of_and_cleared(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind with its entries and bytes, unfinished ones too; what is removed is gone, the rest stays."""
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    for name in ("features/a", "features/.b.unfinished", "stores/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "x.npy").write_bytes(bytes(40_000))
    told = json.loads(command("data", "cache", "--json").stdout)
    assert {kind: part["entries"] for kind, part in told["kept"].items()} == {"worlds": 0, "stores": 1, "features": 1}
    assert told["kept"]["features"]["bytes"] >= 80_000 > told["kept"]["stores"]["bytes"] >= 40_000
    answer = command("data", "cache", "--remove", "features", "--remove", "worlds")
    assert answer.exit_code == 0
    assert "Removed: features" in answer.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["stores"]
    refused = command("data", "cache", "--remove", "feature")
    assert (refused.exit_code, "Did you mean 'features'?" in refused.stderr) == (1, True)
