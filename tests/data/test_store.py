import json
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import dask.array
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.data import store as store_module
from toolkit.data.store import NO_FIELDS, as_dataset, open_store, time_blocks, verify
from toolkit.data.store_write import write_store
from toolkit.errors import UserError

WIND = ("vorticity", "divergence")


def fields(times: int = 8, step_hours: int = 24 * 120, rows: int = 9, columns: int = 16) -> xr.Dataset:
    """A canonical global dataset of random vorticity and divergence, four months between times: 2000 to 2002."""
    rng = np.random.default_rng(0)
    dimensions = ("time", "latitude", "longitude")
    values = rng.standard_normal((2, times, rows, columns)).astype(np.float32) * 2e-5
    return xr.Dataset(
        {
            name: (dimensions, values[i] + np.float32(1e-6), {"units": "s-1"})
            for i, name in enumerate(("vorticity", "divergence"))
        },
        coords={
            "time": np.datetime64("2000-01-01", "ns") + np.arange(times) * np.timedelta64(step_hours, "h"),
            "latitude": np.linspace(90, -90, rows),
            "longitude": np.arange(columns) * 360 / columns,
        },
    )


def with_values(values: np.ndarray, units: str = "s-1") -> xr.Dataset:
    """A canonical dataset whose only variable is `vorticity` with these values (t, h, w)."""
    base = fields(times=values.shape[0], rows=values.shape[1], columns=values.shape[2])
    return base[["vorticity"]].assign(vorticity=(base["vorticity"].dims, values, {"units": units}))


def test_a_store_gives_back_what_was_written(tmp_path: Path) -> None:
    """Coordinates and units come back exactly, values within half a unit of float16's last place."""
    source = fields()
    written = write_store(source, tmp_path / "store", WIND)
    opened = open_store(tmp_path / "store")
    assert opened.names == WIND
    assert {channel.units for channel in opened.channels} == {"s-1"}
    assert opened.missing_data is False
    assert opened.sha256 == written.sha256
    np.testing.assert_array_equal(opened.time, source["time"].to_numpy())
    np.testing.assert_array_equal(opened.latitude, source["latitude"])
    np.testing.assert_array_equal(opened.longitude, source["longitude"])
    for c, name in enumerate(WIND):
        got = np.stack([opened.frame(i)[c] for i in range(8)])
        np.testing.assert_allclose(got, source[name], rtol=2**-11, atol=0)
    verify(opened)


@settings(max_examples=30)
@given(exponent=st.integers(-20, 20), centre=st.sampled_from([0.0, 0.3, 30.0, 1000.0]), seed=st.integers(0, 99))
def test_float16_error_is_bounded(
    tmp_path_factory: pytest.TempPathFactory, exponent: int, centre: float, seed: int
) -> None:
    """A field of any size keeps 11 bits of its distance from the offset, down to an absolute error."""
    rng = np.random.default_rng(seed)
    values = ((rng.standard_normal((3, 4, 6)) + centre) * 10.0**exponent).astype(np.float32)
    store = write_store(with_values(values), tmp_path_factory.mktemp("s") / "store", ("vorticity",))
    scale, offset = store.channels[0].scale, store.channels[0].offset
    assert np.log2(scale) == round(np.log2(scale))
    got = np.stack([store.frame(i)[0] for i in range(3)]).astype(np.float64)
    float32_rounding = np.abs(values).max() * 2.0**-23
    bound = np.abs(values.astype(np.float64) - offset) * 2**-11 + scale * 2**-25 + float32_rounding
    assert (np.abs(got - values) <= bound).all()
    assert np.abs(got - values).max() < np.std(values.astype(np.float64)) * 2**-8


def test_zero_stays_zero(tmp_path: Path) -> None:
    """A field that is often 0, such as rain, has exact zeros."""
    rain = np.maximum(np.random.default_rng(0).standard_normal((4, 4, 6)), 0).astype(np.float32)
    store = write_store(with_values(rain, "mm"), tmp_path / "store", ("vorticity",))
    np.testing.assert_array_equal(np.stack([store.frame(i)[0] for i in range(4)]) == 0, rain == 0)


@pytest.mark.parametrize(
    ("first", "later"),
    [(1e-12, 1e-3), (1e-7, 1e-3), (0.0, 1e-5), (np.nan, 1e5), (1e-3, 1e-12), (0.0, np.nan), (101325.0, 90000.0)],
)
def test_one_pass_fits_a_field_that_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: float, later: float
) -> None:
    """Blocks of any size one after the other are held as well as if the largest had come first."""
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 1)
    sizes = np.array([first, first, later, later, 1.0])
    values = (sizes[:, None, None] * (1 + np.arange(24).reshape(4, 6) / 30)).astype(np.float32)
    source = with_values(values)
    source.attrs["missing_data"] = True
    store = write_store(source, tmp_path / "store", ("vorticity",))
    got = np.stack([store.frame(i)[0] for i in range(5)])
    bound = np.abs(values - store.channels[0].offset) * 2**-11 + store.channels[0].scale * 2**-23
    np.testing.assert_array_equal(np.isnan(got), np.isnan(values))
    assert (np.abs(got - values)[~np.isnan(values)] <= bound[~np.isnan(values)]).all()


def test_statistics_are_of_all_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean and deviation equal NumPy's over all finite values, however the times are cut into blocks."""
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 1500)
    source = fields()
    source.attrs["missing_data"] = True
    source["vorticity"][1, :3] = np.nan
    source["divergence"][4:] *= 50
    store = write_store(source, tmp_path / "store", WIND)
    for channel in store.channels:
        values = source[channel.name].to_numpy().astype(np.float64)
        np.testing.assert_allclose(channel.mean, np.nanmean(values), rtol=1e-9)
        np.testing.assert_allclose(channel.standard_deviation, np.nanstd(values), rtol=1e-9)
    assert store.normalisation.mean == tuple(channel.mean for channel in store.channels)


def test_declared_missing_data_stays_missing(tmp_path: Path) -> None:
    """Where NaN is declared it comes back as NaN, and the store says so."""
    source = fields()
    source.attrs["missing_data"] = True
    source["vorticity"][3, 2:4, 5] = np.nan
    store = write_store(source, tmp_path / "store", WIND)
    assert store.missing_data
    np.testing.assert_array_equal(np.isnan(store.frame(3)[0]), np.isnan(source["vorticity"][3]))


@pytest.mark.parametrize(("bad", "declared", "word"), [(np.nan, False, "NaN"), (np.inf, True, "infinite")])
def test_a_value_that_may_not_be_there_is_refused(tmp_path: Path, bad: float, declared: bool, word: str) -> None:
    """Undeclared NaN and any infinity name variable, time and count, and leave nothing behind."""
    source = fields()
    source.attrs["missing_data"] = declared
    source["divergence"][2, 0, :4] = bad
    with pytest.raises(UserError, match=rf"'divergence' has 4 {word} values at 2000-08-28T00:00:00"):
        write_store(source, tmp_path / "store", WIND)
    assert list(tmp_path.iterdir()) == []


def _drop_units(source: xr.Dataset) -> xr.Dataset:
    source["vorticity"].attrs.clear()
    return source


@pytest.mark.parametrize(
    ("change", "variables", "message"),
    [
        (lambda d: d, ("vortcity",), "No variable 'vortcity'. Did you mean 'vorticity'"),
        (
            lambda d: d.transpose("time", "longitude", "latitude"),
            WIND,
            "has dimensions .*'longitude', 'lat",
        ),
        (_drop_units, WIND, "'vorticity' has no units"),
        (lambda d: d.isel(time=[0, 1, 1, 2]), WIND, "2000-04-30T00:00:00 follows 2000-04-30T00:00:00"),
        (lambda d: d.isel(longitude=[0, 1, 3]), WIND, "longitude does not ascend in even steps"),
        (lambda d: d.isel(latitude=slice(None, None, -1)), WIND, "latitude does not descend in even steps"),
        (lambda d: d.assign(divergence=xr.zeros_like(d["divergence"])), WIND, "'divergence' has standard dev"),
    ],
)
def test_what_a_store_cannot_hold_is_refused(
    tmp_path: Path,
    change: Callable[[xr.Dataset], xr.Dataset],
    variables: tuple[str, ...],
    message: str,
) -> None:
    """Each fault is one clear error, and no file appears."""
    with pytest.raises(UserError, match=message):
        write_store(change(fields()), tmp_path / "store", variables)
    assert list(tmp_path.iterdir()) == []


def test_maps_may_be_constant(tmp_path: Path) -> None:
    """A label that is nowhere, everywhere or unknown throughout is stored as it is, where a field would be refused."""
    for name, value in (("nowhere", 0.0), ("everywhere", 1.0), ("unknown", np.nan)):
        source = with_values(np.full((3, 4, 6), value, np.float32), "1").assign_attrs(missing_data=True)
        store = write_store(source, tmp_path / name, ("vorticity",), may_be_constant=True)
        np.testing.assert_array_equal(store.frame(1)[0], np.full((4, 6), value, np.float32))
        with pytest.raises(UserError):
            write_store(source, tmp_path / "field", ("vorticity",))
    assert NO_FIELDS.values.size == len(NO_FIELDS.time) == len(NO_FIELDS.names) == 0


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """Writing over something is refused and changes nothing; an empty folder may be filled."""
    (tmp_path / "store").mkdir()
    first = write_store(fields(), tmp_path / "store", WIND)
    with pytest.raises(UserError, match="is already there"):
        write_store(fields(3), tmp_path / "store", WIND)
    assert open_store(tmp_path / "store").sha256 == first.sha256


def _cut(folder: Path) -> None:
    values = folder / "values.npy"
    values.write_bytes(values.read_bytes()[:-2])


def _edit(folder: Path) -> None:
    text = (folder / "store.json").read_text()
    (folder / "store.json").write_text(text.replace("vorticity", "divergence"))


def _other_values(folder: Path) -> None:
    np.save(folder / "values.npy", np.zeros((1, 2, 3, 4), np.float16))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, "damaged: values.npy cannot be read"),
        (_edit, "damaged: store.json was edited"),
        (_other_values, "damaged: values.npy holds float16"),
        (lambda folder: (folder / "values.npy").unlink(), "damaged: values.npy cannot be read"),
        (lambda folder: (folder / "store.json").write_text('{"time": ['), "damaged: store.json cannot be read"),
        (lambda folder: (folder / "store.json").write_text("{}"), "is not a store of format 2"),
        (lambda folder: (folder / "store.json").unlink(), "No training store at"),
    ],
)
def test_a_damaged_store_is_not_opened(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    """A store that is missing, cut short or edited is refused with the remedy."""
    write_store(fields(), tmp_path / "store", WIND)
    damage(tmp_path / "store")
    with pytest.raises(UserError, match=message + r".*toolkit data prepare"):
        open_store(tmp_path / "store")


def test_verify_finds_one_changed_bit(tmp_path: Path) -> None:
    """A value changed in place keeps the size, and only the full check sees it."""
    store = write_store(fields(), tmp_path / "store", WIND)
    values = np.load(tmp_path / "store" / "values.npy", mmap_mode="r+")
    values.view(np.uint16)[3, 1, 2, 2] ^= 1
    values.flush()
    with pytest.raises(UserError, match="the values differ"):
        verify(open_store(tmp_path / "store"))
    assert store.sha256 == open_store(tmp_path / "store").sha256


def test_the_hash_follows_values_and_metadata(tmp_path: Path) -> None:
    """Equal content has equal hashes; other values or other times have others."""
    other = fields()
    other["vorticity"][0, 0, 0] += 1e-5
    stores = [
        write_store(fields(), tmp_path / "a", WIND),
        write_store(fields(), tmp_path / "b", WIND),
        write_store(other, tmp_path / "c", WIND),
        write_store(fields(step_hours=6), tmp_path / "d", WIND),
    ]
    assert stores[0].sha256 == stores[1].sha256
    assert len({store.sha256 for store in stores}) == 3


def test_spacing_and_wrap_follow_from_the_coordinates(tmp_path: Path) -> None:
    """A global grid wraps, a region does not; spacings are in degrees."""
    world = write_store(fields(), tmp_path / "world", WIND)
    region = write_store(fields().isel(longitude=slice(2, 9)), tmp_path / "region", WIND)
    assert (world.latitude_spacing, world.longitude_spacing, world.wraps) == (22.5, 22.5, True)
    assert (region.longitude_spacing, region.wraps) == (22.5, False)


def test_a_store_is_its_own_source(tmp_path: Path) -> None:
    """The dataset of a store, written again, gives the same bytes and metadata."""
    source = fields()
    source["vorticity"] += 3
    source["divergence"][2, 1, 1] = np.nan
    source.attrs |= {"missing_data": True}
    store = write_store(source, tmp_path / "first", WIND)
    again = write_store(as_dataset(store), tmp_path / "again", WIND)
    np.testing.assert_array_equal(again.values.view(np.uint16), store.values.view(np.uint16))
    assert again.missing_data is True


def test_another_process_gets_the_path_not_the_values(tmp_path: Path) -> None:
    """A pickled store is small and opens the same files."""
    store = write_store(fields(rows=50, columns=90), tmp_path / "store", WIND)
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).values, store.values)


def test_blocks_are_whole_chunks_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks cover the time axis once, none cuts a chunk, none is smaller than one."""
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 3000)
    plain, chunked = fields(20), fields(20).chunk(time=3)
    assert [block.start for block in time_blocks(plain)] == list(range(0, 20, 2))
    assert [block.start for block in time_blocks(chunked)] == list(range(0, 20, 3))
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 9000)
    assert [block.start for block in time_blocks(chunked)] == list(range(0, 20, 6))


@pytest.mark.slow
def test_writing_takes_the_memory_of_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source eight times larger is written in the same memory: a few blocks of float32."""
    block = 2**20
    monkeypatch.setattr(store_module, "BLOCK_BYTES", block)
    peaks = []
    for times in (32, 256):
        source = fields(times, 6, rows=64, columns=128)
        rng = dask.array.random.default_rng(0)
        values = rng.standard_normal((times, 64, 128), chunks=(4, 64, 128), dtype=np.float32)
        source = source.assign({name: source[name].copy(data=values * np.float32(1e-5)) for name in WIND})
        tracemalloc.start()
        write_store(source, tmp_path / str(times), WIND)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 8 * block


@pytest.mark.parametrize(("file", "units", "error"), [("vo850", "s-1", 5e-7), ("msl", "Pa", 4.0)])
def test_real_fields_keep_their_detail(tmp_path: Path, real_data: Path, file: str, units: str, error: float) -> None:
    """ERA5 vorticity of up to 9e-4 s-1 comes back within 5e-7, pressure of 1e5 Pa within 4 Pa."""
    with xr.open_dataset(real_data / "fields" / f"era5_{file}_2025120100_0.25x0.25.nc") as real:
        values = next(iter(real.data_vars.values())).expand_dims(time=[np.datetime64("2025-12-01", "ns")]).load()
    source = values.assign_attrs(units=units).to_dataset(name="field")
    store = write_store(source, tmp_path / "store", ("field",))
    assert store.wraps
    np.testing.assert_allclose(store.frame(0)[0], values[0], rtol=0, atol=error)


def test_metadata_is_plain_json(tmp_path: Path) -> None:
    """store.json reads as JSON with times a person can read."""
    write_store(fields(), tmp_path / "store", WIND)
    metadata = json.loads((tmp_path / "store" / "store.json").read_text())
    assert metadata["time"][1] == "2000-04-30T00:00:00"
