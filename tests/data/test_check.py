from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from toolkit.data import store as store_module
from toolkit.data.check import Finding, check_fields, check_store
from toolkit.data.normalise import Normalisation
from toolkit.data.store_write import write_store

STATISTICS = Normalisation(("vorticity", "divergence"), ("s-1", "s-1"), (0.0, 0.0), (2e-5, 1e-5))


def fields() -> xr.Dataset:
    """A sound canonical dataset, six-hourly, of two variables."""
    rng = np.random.default_rng(0)
    dimensions = ("time", "latitude", "longitude")
    values = {
        name: (dimensions, (rng.standard_normal((12, 7, 12)) * size).astype(np.float32), {"units": "s-1"})
        for name, size in (("vorticity", 2e-5), ("divergence", 1e-5))
    }
    return xr.Dataset(
        values,
        coords={
            "time": np.datetime64("2020-01-01", "ns") + np.arange(12) * np.timedelta64(6, "h"),
            "latitude": np.linspace(90, -90, 7),
            "longitude": np.arange(12) * 30.0,
        },
    )


def _set(name: str, where: tuple, value: float) -> Callable[[xr.Dataset], xr.Dataset]:
    def change(source: xr.Dataset) -> xr.Dataset:
        source[name][where] = value
        return source

    return change


def _units(units: str) -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda source: source.assign(vorticity=source["vorticity"].assign_attrs(units=units))


def _times_a_thousand(source: xr.Dataset) -> xr.Dataset:
    return source.assign(divergence=(source["divergence"] * 1000).assign_attrs(units="s-1"))


def test_sound_fields_have_no_findings() -> None:
    """Nothing is reported where nothing is wrong, with and without statistics."""
    assert check_fields(fields(), "era5.zarr") == []
    assert check_fields(fields(), "era5.zarr", STATISTICS) == []


def _again_after(days: int) -> Callable[[xr.Dataset], xr.Dataset]:
    """Return the function that puts four times some days apart from the same four."""

    def change(ds: xr.Dataset) -> xr.Dataset:
        four = ds.isel(time=slice(0, 4))
        return xr.concat([four, four.assign_coords(time=four["time"] + np.timedelta64(days, "D"))], "time")

    return change


@pytest.mark.parametrize(
    ("change", "variable", "index", "count", "problem"),
    [
        (_set("vorticity", (slice(3, 5), 2, slice(0, 4)), np.nan), "vorticity", 3, 8, "8 NaN that is not declared"),
        (_set("divergence", (11, 0, 0), -np.inf), "divergence", 11, 1, "1 infinite values"),
        (
            _set("vorticity", (7, slice(0, 2), 1), 9.9e-3),
            "vorticity",
            7,
            2,
            "2 values more than 60 standard deviations",
        ),
        (_units("h-1"), "vorticity", None, 1, "units 'h-1' instead of 's-1'"),
        (_units(""), "vorticity", None, 1, "no units"),
        (lambda d: d.isel(time=[0, 1, 2, 5, 6, 8]), "time", 3, 3, "3 times left out of 6-hourly data"),
        (_again_after(90), "time", 4, 1, "1 pauses of more than 10 days"),
        (lambda d: d.isel(time=[0, 1, 1, 2, 2, 3]), "time", 2, 2, "2 times that are there twice"),
        (lambda d: d.isel(time=[0, 1, 3, 2, 4, 5, 6, 7]), "time", 3, 1, "1 times earlier than the one before"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 2**20])
def test_each_fault_is_found_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[xr.Dataset], xr.Dataset],
    variable: str,
    index: int | None,
    count: int,
    problem: str,
    block_bytes: int,
) -> None:
    """A fault gives a finding with file, variable, first time and count, however the fields are cut into blocks."""
    monkeypatch.setattr(store_module, "BLOCK_BYTES", block_bytes)
    found = next(f for f in check_fields(change(fields()), "era5.zarr", STATISTICS) if f.problem.startswith(problem))
    assert (found.file, found.variable, found.index, found.count) == ("era5.zarr", variable, index, count)
    assert found.remedy


def test_values_in_other_units_than_stated_are_found() -> None:
    """A spread far from the statistics is reported once for the variable, whatever its units say."""
    found = [f for f in check_fields(_times_a_thousand(fields()), "f", STATISTICS) if f.index is None]
    assert [f.variable for f in found] == ["divergence"]
    assert "instead of 0, 1e-05" in found[0].problem
    assert "Check that the values are in 's-1'" in found[0].remedy


def test_declared_missing_data_is_no_fault() -> None:
    """NaN is not reported where the source says that data may be missing; infinity still is."""
    source = fields()
    source.attrs["missing_data"] = True
    source["vorticity"][0] = np.nan
    source["vorticity"][1, 0, 0] = np.inf
    assert [f.problem for f in check_fields(source, "f", STATISTICS)] == ["1 infinite values"]


def test_a_finding_reads_as_a_sentence() -> None:
    """The text names file, variable, place, fault and remedy."""
    finding = Finding("a.zarr", "vorticity", 3, 8, "8 NaN", "Repair the source.")
    assert str(finding) == "a.zarr: vorticity, from time 3: 8 NaN. Repair the source."
    assert str(replace(finding, index=None)) == "a.zarr: vorticity: 8 NaN. Repair the source."


def test_a_store_is_checked_with_its_own_statistics(tmp_path: Path) -> None:
    """A sound store has no finding; one whose values were changed shows the hash and the value."""
    store = write_store(fields(), tmp_path / "store", STATISTICS.names)
    assert check_store(store) == []
    values = np.load(tmp_path / "store" / "values.npy", mmap_mode="r+")
    values[4, 1, 2, 3] = 60000
    values.flush()
    found = {f.problem: (f.variable, f.index) for f in check_store(store)}
    assert found["content hash differs"] == ("values.npy", None)
    assert found["1 values more than 60 standard deviations from the mean"] == ("divergence", 4)
