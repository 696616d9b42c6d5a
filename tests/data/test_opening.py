"""Files with strings, which the HDF5 library lets a process open but once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from toolkit.data import opening
from toolkit.data.opening import in_chunks, opened


def with_strings(path: Path) -> xr.Dataset:
    """Write and return a dataset as ClimateNet's and the new CDS's are: a string beside the fields."""
    values = np.random.default_rng(0).normal(size=(6, 9, 16)).astype(np.float32)
    coordinates = {"time": np.arange(6), "expver": ("time", list("abcdef")), "x": np.arange(16)}
    dataset = xr.Dataset({"u": (("time", "y", "x"), values, {"units": "m/s"}), "z": ((), 3.0)}, coordinates)
    dataset.to_netcdf(path, encoding={"u": {"chunksizes": (2, 9, 16)}})
    return dataset


def test_a_file_with_strings_can_be_opened_again_and_again(tmp_path: Path) -> None:
    """While some of what was opened is kept, some dropped and some read in threads, all is as it was written."""
    written = with_strings(tmp_path / "strings.nc")
    kept = [opened(str(tmp_path / "strings.nc"))[0] for _ in range(9)][::3]
    with ThreadPoolExecutor(4) as threads:
        for read in threads.map(lambda raw: in_chunks(raw).compute(), kept * 3):
            xr.testing.assert_identical(read, written)


def test_a_file_with_strings_is_as_lazy_as_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whole maps and stored chunks; nothing of the fields is read at opening, and the file is left closed."""
    monkeypatch.setattr(opening, "CHUNK_BYTES", 9 * 16 * 4 * 2)
    with_strings(tmp_path / "strings.nc")
    raw = opened(str(tmp_path / "strings.nc"))[0]
    assert in_chunks(raw)["u"].chunks == ((2, 2, 2), (9,), (16,))
    (tmp_path / "strings.nc").rename(tmp_path / "elsewhere.nc")
    with pytest.raises(FileNotFoundError):
        raw["u"].compute()
