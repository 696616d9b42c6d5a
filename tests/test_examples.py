from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.store import Store, write_store
from toolkit.errors import UserError
from toolkit.examples import Examples, chosen_groups, cut_examples, split_groups, split_years
from toolkit.task import Task

FEW = ("AL002020", "AL032020", "AL072020")


@pytest.fixture(scope="module")
def cut(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> Examples:
    """The windows of three storms of twelve."""
    return cut_examples(small_task, smooth_store, storm_labels, FEW, seed=0)


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
    examples = cut_examples(task, smooth_store, storm_labels, FEW, seed=0, recut=True)
    anchored = examples.table[examples.table["group"].isin(FEW)]
    assert 0.75 * copies * len(own) < len(anchored) <= copies * len(own)
    assert len(examples) <= copies * (natural + 1)
    rows = anchored.reset_index().merge(own, on=["time", "group"])
    y, x = examples.pixels(rows["example"], rows["latitude"].to_numpy(), rows["longitude"].to_numpy())
    assert pd.Series(zip(y, x, strict=True)).nunique() > 0.8 * len(rows)
    assert not examples.truth.duplicated().any()
    once = cut_examples(task, smooth_store, storm_labels, FEW, seed=0)
    assert len(once) <= natural


def test_no_window_shows_what_is_not_labelled(
    cut: Examples, small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame
) -> None:
    """No window shows a row of another group, as windows do that are cut without knowing of the others."""
    own, others = (storm_labels[storm_labels["group"].isin(FEW) == mine] for mine in (True, False))
    assert not shown(cut, others)
    assert shown(cut_examples(small_task, smooth_store, own, FEW, seed=0), others)


def test_a_row_beside_an_unlabelled_object_is_left_out(
    small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame
) -> None:
    """Where another group's row is as near as can be, no window is cut, and the row is counted."""
    own = storm_labels[storm_labels["group"].isin(FEW)]
    double = own.iloc[:2].assign(group="ZZ992020")
    examples = cut_examples(small_task, smooth_store, pd.concat([own, double], ignore_index=True), FEW, seed=0)
    assert examples.left_out == {"beside an unlabelled object": 2}
    assert examples.table["group"].isin(FEW).sum() == len(own) - 2


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
    """Windows depend on the seed alone: not on the global generator, nor on the order of the labels' groups."""
    np.random.seed(5)  # noqa: NPY002
    again = cut_examples(small_task, smooth_store, storm_labels, FEW[::-1], seed=0)
    other = cut_examples(small_task, smooth_store, storm_labels, FEW, seed=1)
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


def test_rows_without_a_field_are_told(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> None:
    """Rows of another time have no window and are counted; where none has one, the error names both spans."""
    late = storm_labels.assign(time=storm_labels["time"] + pd.Timedelta(days=6))
    examples = cut_examples(small_task, smooth_store, late, FEW, seed=0)
    own = late[late["group"].isin(FEW)]
    beyond = int((own["time"] > smooth_store.time[-1]).sum())
    assert beyond > 0
    assert examples.left_out["no field at their time"] == beyond
    with pytest.raises(UserError, match=r"None of the \d+ labelled rows lies in the fields .* 2020-08-01.*2020-08-10"):
        cut_examples(small_task, smooth_store, storm_labels.assign(time=pd.Timestamp("1999-08-01")), FEW, seed=0)


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
    region = write_store(dataset, tmp_path_factory.mktemp("region") / "store", smooth_store.names, None)
    groups = tuple(storm_labels["group"].unique())
    examples = cut_examples(small_task, region, storm_labels, groups, seed=0)
    anchors = examples.table.index[~examples.table["group"].str.startswith("background")]
    assert set(anchors) <= set(examples.truth["example"])
    assert examples.left_out == {"outside the fields": len(storm_labels) - len(anchors)}


def test_parts_never_share_years_or_groups() -> None:
    """The years of the parts are disjoint and ordered."""
    years = split_years([2003, 2001, 2002, 2001, *range(2004, 2013)])
    assert years.train == tuple(range(2001, 2008))
    assert years.validation == (2008, 2009)
    assert years.test == (2010, 2011, 2012)


def test_a_gap_separates_the_parts(smooth_store: Store) -> None:
    """A group that ends within the gap before a later part is left out; years without fields have no part."""
    time = np.datetime64("2018-06-01", "s") + np.arange(4 * 365) * np.timedelta64(24, "h")
    store = replace(smooth_store, time=time)
    dates = [
        "2018-06-03",
        "2018-12-27",
        "2019-01-02",
        "2019-05-01",
        "2019-12-30",
        "2020-01-02",
        "2021-03-01",
        "1999-01-01",
    ]
    labels = pd.DataFrame({"group": list("abcdefgh"), "time": pd.to_datetime(dates)})
    years, groups = split_groups(labels, store, gap_days=5.0)
    assert (years.train, years.validation, years.test) == ((2018, 2019), (2020,), (2021,))
    assert groups == {"train": ["a", "b", "c", "d"], "validation": ["f"], "test": ["g"]}
    assert split_groups(labels, store, gap_days=1.0)[1]["train"] == ["a", "b", "c", "d", "e"]
    long = pd.concat([labels, pd.DataFrame({"group": ["f"], "time": [pd.Timestamp("2021-02-26")]})])
    assert split_groups(long, store, gap_days=5.0)[1] == {
        "train": ["a", "b", "c", "d", "e"],
        "validation": [],
        "test": ["g"],
    }
    assert split_groups(long, store, gap_days=2.0)[1]["validation"] == ["f"]


@given(st.sets(st.integers(1851, 2100), min_size=3, max_size=60))
def test_every_year_is_in_one_part(years: set[int]) -> None:
    """Each year is in one part exactly, every part has one at least, and the test years come last."""
    parts = split_years(sorted(years))
    assert sorted((*parts.train, *parts.validation, *parts.test)) == sorted(years)
    assert parts.train
    assert parts.validation
    assert max(parts.train) < min(parts.validation) <= max(parts.validation) < min(parts.test)


def test_two_years_cannot_be_split() -> None:
    """Fewer than three years are refused."""
    with pytest.raises(UserError, match=r"2 year\(s\), \[2001, 2002\]"):
        split_years([2001, 2002, 2002])


@given(st.sets(st.text(min_size=1, max_size=4), min_size=1, max_size=30), st.integers(0, 9), st.data())
def test_smaller_budgets_are_part_of_larger_ones(groups: set[str], seed: int, data: st.DataObject) -> None:
    """Eight groups are among sixteen of the same seed, whatever the order in which the groups are listed."""
    few = data.draw(st.integers(0, len(groups)))
    many = data.draw(st.integers(few, len(groups)))
    listed = data.draw(st.permutations(sorted(groups)))
    assert set(chosen_groups(listed, few, seed)) <= set(chosen_groups(sorted(groups), many, seed)) <= groups
    assert len(chosen_groups(listed, few, seed)) == few
    assert set(chosen_groups(listed, None, seed)) == groups


def test_seeds_choose_differently_and_too_many_are_refused() -> None:
    """Another seed chooses other groups; a budget beyond what there is names both numbers."""
    groups = [f"AL{k:02d}" for k in range(40)]
    assert chosen_groups(groups, 8, 0) != chosen_groups(groups, 8, 1)
    with pytest.raises(UserError, match="--labels 41 asks for more than the 40"):
        chosen_groups(groups, 41, 0)


def test_a_missing_frame_reads_as_nan(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> None:
    """A row at the first time keeps its window; the frame before it is missing."""
    first = storm_labels.assign(time=pd.Timestamp(smooth_store.time[0]))
    alone = first[first["group"] == FEW[0]].iloc[:1]
    task = replace(small_task, placement=replace(small_task.placement, background=0.0))
    examples = cut_examples(task, smooth_store, alone, FEW, seed=0)
    fields = examples.fields(smooth_store.normalisation)
    assert fields.shape == (1, 2, 4, 16, 16)
    assert np.isnan(fields[:, 0]).all()
    assert np.isfinite(fields[:, 1]).all()
