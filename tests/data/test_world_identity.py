import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import xarray as xr

from toolkit.data.prepare import field_file
from toolkit.data.store import Store
from toolkit.data.world_identity import data_identity, field_attributes, made_by, world_identity


def test_identity_is_that_of_the_content(tiny_world: Path, smooth_store: Store, tmp_path: Path) -> None:
    """A copy elsewhere has the same hash and another path; a changed label changes the hash."""
    copy = shutil.copytree(tiny_world, tmp_path / "copy")
    here, there = world_identity(tiny_world, smooth_store), world_identity(copy, smooth_store)
    assert here["sha256"] == there["sha256"]
    assert here["simulated"] is True
    assert there["path"] == str(copy)
    labels = copy / "hurdat2.txt"
    labels.write_text(labels.read_text().replace(" HU,", " TS,", 1))
    assert world_identity(copy, smooth_store)["sha256"] != here["sha256"]
    other = replace(smooth_store, sha256="0" * 64)
    assert world_identity(tiny_world, other)["sha256"] != here["sha256"]


def test_labels_beside_several_field_files_count(tmp_path: Path, smooth_store: Store) -> None:
    """Of a folder of fields the labels are part of the identity, the fields' own hash stands for them."""
    for name in ("2004.nc", "2005.nc", "hurdat2.txt"):
        (tmp_path / name).write_text(name)
    before = world_identity(tmp_path, smooth_store)["sha256"]
    (tmp_path / "2004.nc").write_text("rewritten")
    assert world_identity(tmp_path, smooth_store)["sha256"] == before
    (tmp_path / "hurdat2.txt").write_text("revised")
    assert world_identity(tmp_path, smooth_store)["sha256"] != before


@pytest.mark.parametrize("version", [2, 3])
def test_a_zarr_is_known_by_what_is_in_it(tiny_world: Path, tmp_path: Path, version: Literal[2, 3]) -> None:
    """Fields in a folder of any name say how they were made, in both versions of Zarr."""
    with xr.open_zarr(tiny_world / "fields.zarr", consolidated=False) as fields:
        fields.isel(time=slice(0, 1)).drop_encoding().to_zarr(
            tmp_path / "mine", zarr_format=version, consolidated=False
        )
        assert field_file(tmp_path / "mine") == tmp_path / "mine"
        assert made_by(tmp_path / "mine") == made_by(tiny_world) != {}


def test_grib_of_any_name_says_nothing_of_itself(tmp_path: Path) -> None:
    """A file is GRIB by its content: its name does not have it opened as something else."""
    (tmp_path / "fields.nc").write_bytes(b"GRIB\x00\x00\x00\x02")
    assert field_attributes(tmp_path) == {}


@pytest.mark.parametrize("name", ["fields.nc", "fields.zarr"])
def test_a_world_that_does_not_call_itself_simulated_is_real(
    tiny_world: Path, smooth_store: Store, tmp_path: Path, name: str
) -> None:
    """What the fields say of themselves decides, in either format."""
    with xr.open_zarr(tiny_world / "fields.zarr", consolidated=False) as fields:
        plain = fields.isel(time=slice(0, 2)).assign_attrs(source="ECMWF").drop_encoding()
        if name.endswith(".nc"):
            plain.to_netcdf(tmp_path / name)
        else:
            plain.to_zarr(tmp_path / name, consolidated=False)
    assert field_attributes(tmp_path)["source"] == "ECMWF"
    assert world_identity(tmp_path, smooth_store)["simulated"] is False


def test_labels_are_known_by_their_content(tmp_path: Path) -> None:
    """A file of labels, or a folder with all its files at any depth, has a hash that any change in it changes."""
    file = tmp_path / "labels.csv"
    file.write_text("a,b\n1,2\n")
    of_file = data_identity(file)
    assert of_file["path"] == str(file)
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(file, folder / "deep" / "labels.csv")
    hashes = [data_identity(folder)["sha256"]]
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert data_identity(copy) == {"path": str(copy), "sha256": hashes[0]}
    (copy / "deep" / "labels.csv").rename(copy / "labels.csv")
    hashes.append(data_identity(copy)["sha256"])
    (copy / "labels.csv").write_text("a,b\n1,3\n")
    hashes.append(data_identity(copy)["sha256"])
    (copy / "more.csv").write_text("")
    hashes.append(data_identity(copy)["sha256"])
    assert len(set(hashes)) == len(hashes)
    file.write_text("a,b\n1,3\n")
    assert data_identity(file)["sha256"] != of_file["sha256"]
