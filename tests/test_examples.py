from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from toolkit.data.store import NO_FIELDS, Store
from toolkit.data.store_write import write_store
from toolkit.errors import UserError
from toolkit.examples import Examples, cut_examples, joined
from toolkit.task import Inputs, Placement, Task

FEW = ("AL002020", "AL032020", "AL072020")


@pytest.fixture(scope="module")
def cut(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> Examples:
    """The windows of three storms of twelve."""
    return cut_examples(small_task, smooth_store, storm_labels, few(storm_labels), seed=0)


def few(labels: pd.DataFrame) -> np.ndarray:
    """Which rows are of the three storms."""
    return labels["group"].isin(FEW).to_numpy()


def places(examples: Examples, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every pair of a window and a row of its time: the window, and the row's pixels (y, x) in it."""
    pairs = examples.table.reset_index().merge(rows, on="time")
    y, x = examples.pixels(pairs["example"], pairs["latitude"].to_numpy(), pairs["longitude"].to_numpy())
    return pairs["example"].to_numpy(), y, x


def shown(examples: Examples, rows: pd.DataFrame) -> set[int]:
    """The windows that show one of the rows at least a pixel inside."""
    example, y, x = places(examples, rows)
    h, w = examples.windows.size
    return set(example[(y >= 1) & (y <= h - 2) & (x >= 1) & (x <= w - 2)].tolist())


def test_a_window_holds_its_row_inside_the_margin(cut: Examples, small_task: Task, storm_labels: pd.DataFrame) -> None:
    """Every labelled row has one window, whose edges are at least the margin away from it."""
    own = storm_labels[storm_labels["group"].isin(FEW)]
    windows = cut.table[cut.table["group"].isin(FEW)].reset_index()
    lost = cut.left_out.get("beside an unlabelled object", 0)
    assert len(windows) == len(own) - lost
    assert lost < len(own) / 4
    rows = windows.merge(own, on=["time", "group"])
    y, x = cut.pixels(rows["example"], rows["latitude"].to_numpy(), rows["longitude"].to_numpy())
    (h, w), margin = small_task.inputs.window, small_task.placement.margin
    from_edge = np.min([y + 0.5, h - 0.5 - y, x + 0.5, w - 0.5 - x], axis=0)
    assert (from_edge >= margin - 1e-6).all()
    assert from_edge.min() < margin + 1
    assert np.ptp(y) > h / 3
    assert np.ptp(x) > w / 3


@pytest.mark.parametrize(("most", "copies"), [(0.0, 1), (2.5, 2), (100.0, 8)])
def test_few_rows_are_cut_again_at_other_places(
    small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame, most: float, copies: int
) -> None:
    """For training, rows are cut as often as keeps within the task's number of windows, eight times at most."""
    own = storm_labels[storm_labels["group"].isin(FEW)]
    natural = round((1 + small_task.placement.background) * len(own))
    task = replace(small_task, placement=replace(small_task.placement, most_recut=round(most * natural)))
    examples = cut_examples(task, smooth_store, storm_labels, few(storm_labels), seed=0, recut=True)
    anchored = examples.table[examples.table["group"].isin(FEW)]
    assert 0.75 * copies * len(own) < len(anchored) <= copies * len(own)
    assert len(examples) <= copies * (natural + 1)
    rows = anchored.reset_index().merge(own, on=["time", "group"])
    y, x = examples.pixels(rows["example"], rows["latitude"].to_numpy(), rows["longitude"].to_numpy())
    assert pd.Series(zip(y, x, strict=True)).nunique() > 0.8 * len(rows)
    assert not examples.truth.duplicated().any()
    once = cut_examples(task, smooth_store, storm_labels, few(storm_labels), seed=0)
    assert len(once) <= natural


def test_no_window_shows_what_is_not_labelled(
    cut: Examples, small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame
) -> None:
    """No window shows a row of another group, as windows do that are cut without knowing of the others."""
    own, others = (storm_labels[storm_labels["group"].isin(FEW) == mine] for mine in (True, False))
    assert not shown(cut, others)
    assert shown(cut_examples(small_task, smooth_store, own, few(own), seed=0), others)


def test_a_row_beside_an_unlabelled_object_is_left_out(
    small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame
) -> None:
    """Where another group's row is as near as can be, no window is cut, and the row is counted."""
    own = storm_labels[storm_labels["group"].isin(FEW)]
    double = own.iloc[:2].assign(group="ZZ992020")
    both = pd.concat([own, double], ignore_index=True)
    examples = cut_examples(small_task, smooth_store, both, few(both), seed=0)
    assert examples.left_out == {"beside an unlabelled object": 2}
    assert examples.table["group"].isin(FEW).sum() == len(own) - 2


def test_where_no_window_can_be_cut_it_is_said(
    small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame
) -> None:
    """Rows that all lie beside unlabelled ones leave nothing to learn from."""
    own = storm_labels[storm_labels["group"].isin(FEW)]
    both = pd.concat([own, own.assign(group="ZZ992020")], ignore_index=True)
    with pytest.raises(UserError, match="would show an object that is not labelled"):
        cut_examples(small_task, smooth_store, both, few(both), seed=0)


def test_background_windows_show_no_row(cut: Examples, small_task: Task, storm_labels: pd.DataFrame) -> None:
    """Background windows are as many as asked for, hold no labelled row, and belong to their day."""
    background = cut.table[cut.table["group"].str.startswith("background ")]
    assert len(background) == round(small_task.placement.background * (len(cut) - len(background)))
    assert not shown(cut, storm_labels) & set(background.index)
    assert not set(cut.truth["example"]) & set(background.index)
    assert (background["group"].str[-10:] == background["time"].astype(str).str[:10]).all()


def test_truth_holds_all_that_a_window_shows(cut: Examples, storm_labels: pd.DataFrame) -> None:
    """The truth of a window are the rows of the groups that lie in it, with their columns; not one more."""
    own = storm_labels[storm_labels["group"].isin(FEW)]
    assert set(cut.truth["example"]) == shown(cut, own)
    back = cut.truth.merge(cut.table["time"], left_on="example", right_index=True).drop(columns="example")
    merged = back.drop_duplicates().merge(own, how="left", indicator=True)
    assert (merged["_merge"] == "both").all()


def test_the_same_seed_cuts_the_same_windows(
    cut: Examples, small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame
) -> None:
    """Windows depend on the seed alone, not on the global generator."""
    np.random.seed(5)  # noqa: NPY002
    again = cut_examples(small_task, smooth_store, storm_labels, few(storm_labels), seed=0)
    other = cut_examples(small_task, smooth_store, storm_labels, few(storm_labels), seed=1)
    pd.testing.assert_frame_equal(cut.table, again.table)
    pd.testing.assert_frame_equal(cut.truth, again.truth)
    np.testing.assert_array_equal(cut.windows.row, again.windows.row)
    assert not np.array_equal(cut.windows.row, other.windows.row)


def test_pixels_and_degrees_are_inverse(cut: Examples) -> None:
    """Pixel coordinates of places in windows lead back to the places, in mirrored windows too."""
    example = cut.truth["example"].to_numpy()
    assert cut.mirrored(example).any()
    assert not cut.mirrored(example).all()
    y, x = cut.pixels(example, cut.truth["latitude"], cut.truth["longitude"])
    latitude, longitude = cut.degrees(example, y, x)
    np.testing.assert_allclose(latitude, cut.truth["latitude"], atol=1e-9)
    np.testing.assert_allclose((longitude - cut.truth["longitude"] + 180) % 360 - 180, 0, atol=1e-9)


def test_subset_numbers_windows_and_truth_anew(cut: Examples) -> None:
    """A subset shows the same fields and objects as the windows it was taken from, in the order asked for."""
    index = np.random.default_rng(0).permutation(len(cut))[:9]
    subset = cut.subset(index)
    normalisation = cut.store.normalisation
    np.testing.assert_array_equal(subset.fields(normalisation), cut.fields(normalisation, index))
    np.testing.assert_array_equal(subset.latitudes(), cut.latitudes(index))
    assert subset.table["time"].tolist() == cut.table["time"].iloc[index].tolist()
    for new, old in enumerate(index):
        mine = subset.truth[subset.truth["example"] == new].drop(columns="example")
        pd.testing.assert_frame_equal(mine, cut.truth[cut.truth["example"] == old].drop(columns="example"))
    assert subset.truth["example"].isin(range(9)).all()


def test_examples_that_are_cut_up_are_joined_again(cut: Examples) -> None:
    """The two halves of examples, joined, are the examples: windows, table and truth."""
    middle = len(cut) // 2
    again = joined(cut.subset(np.arange(middle)), cut.subset(np.arange(middle, len(cut))))
    whole = cut.subset(np.arange(len(cut)))
    for name in ("time", "row", "column", "mirrored"):
        np.testing.assert_array_equal(getattr(again.windows, name), getattr(whole.windows, name))
    pd.testing.assert_frame_equal(again.table, whole.table)
    pd.testing.assert_frame_equal(again.truth.reset_index(drop=True), whole.truth.reset_index(drop=True))


def test_rows_outside_a_region_are_told(
    small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On a region, every window with a group's name shows a row of it, and rows beyond the region are counted."""
    rows, columns = slice(10, 40), slice(20, 70)
    fields = {
        channel.name: (("time", "latitude", "longitude"), smooth_store.values[:, c, rows, columns].astype(np.float32))
        for c, channel in enumerate(smooth_store.channels)
    }
    place = {"latitude": smooth_store.latitude[rows], "longitude": smooth_store.longitude[columns]}
    dataset = xr.Dataset(fields, coords={"time": smooth_store.time.astype("datetime64[ns]")} | place)
    for channel in smooth_store.channels:
        dataset[channel.name].attrs["units"] = channel.units
    region = write_store(dataset, tmp_path_factory.mktemp("region") / "store", smooth_store.names)
    examples = cut_examples(small_task, region, storm_labels, np.full(len(storm_labels), True), seed=0)
    anchors = examples.table.index[~examples.table["group"].str.startswith("background")]
    assert set(anchors) <= set(examples.truth["example"])
    assert examples.left_out == {"outside the fields": len(storm_labels) - len(anchors)}
    far = storm_labels.assign(latitude=-80.0)
    with pytest.raises(UserError, match=rf"None of the {len(far)} labelled rows lies inside the fields of "):
        cut_examples(small_task, region, far, np.full(len(far), True), seed=0)


def test_a_missing_frame_reads_as_nan(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> None:
    """A row at the first time keeps its window; the frame before it is missing."""
    first = storm_labels.assign(time=pd.Timestamp(smooth_store.time[0]))
    alone = first[first["group"] == FEW[0]].iloc[:1]
    task = replace(small_task, placement=replace(small_task.placement, background=0.0))
    examples = cut_examples(task, smooth_store, alone, few(alone), seed=0)
    fields = examples.fields(smooth_store.normalisation)
    assert fields.shape == (1, 2, 4, 16, 16)
    assert np.isnan(fields[:, 0]).all()
    assert np.isfinite(fields[:, 1]).all()


@pytest.fixture(scope="module")
def row_task(small_task: Task) -> Task:
    """A task whose rows are examples by themselves, in the middle of their windows, seen beside two columns."""
    inputs = replace(small_task.inputs, columns=("height", "kind"))
    return replace(small_task, inputs=inputs, placement=Placement(margin=8))


@pytest.fixture(scope="module")
def stations(storm_labels: pd.DataFrame) -> pd.DataFrame:
    """Labels with two columns beside, in one of which numbers are missing."""
    height = np.where(np.arange(len(storm_labels)) % 5, np.arange(len(storm_labels)), np.nan)
    return storm_labels.assign(height=height, kind=np.where(storm_labels["latitude"] > 0, "north", "south"))


def test_rows_that_are_examples_are_one_each(row_task: Task, smooth_store: Store, stations: pd.DataFrame) -> None:
    """Each own row is one example and one row of truth, in order, in the middle of its window, whatever lies beside."""
    own = few(stations)
    examples = cut_examples(row_task, smooth_store, stations, own, seed=0)
    mine = stations[own].reset_index(drop=True)
    pd.testing.assert_frame_equal(examples.truth.drop(columns="example"), mine)
    assert examples.truth["example"].tolist() == list(range(len(mine)))
    known = mine[["time", "group", "height", "kind"]].rename_axis("example")
    pd.testing.assert_frame_equal(examples.table, known)
    assert not examples.left_out
    y, x = examples.pixels(np.arange(len(mine)), mine["latitude"].to_numpy(), mine["longitude"].to_numpy())
    assert np.abs(np.array([y, x]) - 7.5).max() <= 0.5 + 1e-9


def test_the_columns_of_a_subset_are_its_own(row_task: Task, smooth_store: Store, stations: pd.DataFrame) -> None:
    """The columns of chosen rows follow them into a subset, and recutting repeats them with their rows."""
    task = replace(row_task, placement=Placement(margin=3, most_recut=10**6))
    examples = cut_examples(task, smooth_store, stations, few(stations), seed=0, recut=True)
    assert len(examples) == 8 * few(stations).sum()
    for part in (examples, examples.subset(np.array([70, 3, 11]))):
        assert part.table["height"].equals(part.truth.set_index("example")["height"])
        assert part.table["kind"].equals(part.truth.set_index("example")["kind"])
    assert examples.subset(np.array([70, 3])).table["time"].tolist() == examples.table["time"][[70, 3]].tolist()


def test_without_fields_all_rows_are_examples(row_task: Task, stations: pd.DataFrame) -> None:
    """A task that looks at columns alone needs neither time nor place, and leaves no row out."""
    task = replace(row_task, inputs=Inputs(columns=("height", "kind")))
    rows = stations[["group", "height", "kind", "wind_kt"]]
    examples = cut_examples(task, NO_FIELDS, rows, few(stations), seed=0, recut=True)
    mine = rows[few(stations)].reset_index(drop=True)
    pd.testing.assert_frame_equal(examples.table, mine[["group", "height", "kind"]].rename_axis("example"))
    pd.testing.assert_frame_equal(examples.truth.drop(columns="example"), mine)
    assert len(examples) == len(examples.windows) == few(stations).sum()
    assert examples.subset(np.array([4, 2])).truth["wind_kt"].tolist() == mine["wind_kt"][[4, 2]].tolist()
    timed = cut_examples(task, NO_FIELDS, stations, few(stations), seed=0)
    assert list(timed.table) == ["time", "group", "height", "kind"]


def test_maps_are_those_of_the_window(
    row_task: Task, smooth_store: Store, stations: pd.DataFrame, tmp_path: Path
) -> None:
    """Label maps come out where and when the window lies, mirrored as it is, and NaN at times that have none."""
    later = smooth_store.time[12:] + np.timedelta64(24, "h")
    grid = (len(smooth_store.latitude), len(smooth_store.longitude))
    shares = np.broadcast_to((smooth_store.latitude[:, None] + 90) / 180, (len(later), *grid)).astype(np.float32)
    dimensions = ("time", "latitude", "longitude")
    named = {"north": (dimensions, shares, {"units": "1"})}
    named["hour"] = (dimensions, shares * 0 + np.arange(len(later))[:, None, None], {"units": "1"})
    coordinates = {"time": later.astype("M8[ns]"), "latitude": smooth_store.latitude}
    dataset = xr.Dataset(named, coordinates | {"longitude": smooth_store.longitude})
    maps = write_store(dataset, tmp_path / "maps", ("north", "hour"))
    examples = cut_examples(row_task, smooth_store, stations, few(stations), seed=0, label_maps=maps)
    found = examples.maps((24, 48))
    assert found.shape == (len(examples), 2, 2, 16, 16)
    step = np.searchsorted(later, examples.table["time"].to_numpy("M8[s]") + np.timedelta64(24, "h"))
    known = np.isin(examples.table["time"].to_numpy("M8[s]") + np.timedelta64(24, "h"), later)
    assert 0 < known.sum() < len(known)
    np.testing.assert_allclose(found[known, 0, 1, 0, 0], step[known], atol=0.02)
    assert np.isnan(found[~known, 0]).all()
    sign = np.where(examples.mirrored(np.arange(len(examples))), -1, 1)[:, None]
    expected = (sign * examples.latitudes() + 90) / 180
    np.testing.assert_allclose(found[known, 0, 0, :, 3], expected[known], atol=2e-3)
    index = np.array([3, 1])
    np.testing.assert_array_equal(examples.subset(index).maps((24, 48)), found[index])
