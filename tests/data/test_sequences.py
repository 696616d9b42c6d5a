from dataclasses import replace

import numpy as np

from toolkit.data.sequences import filled, sequences
from toolkit.data.store import Store


def with_times(store: Store, hours: list[int]) -> Store:
    """The store's first frames at other times."""
    time = np.datetime64("2020-08-01", "s") + np.array(hours) * np.timedelta64(1, "h")
    return replace(store, time=time, values=store.values[: len(hours)])


def with_gaps(store: Store, *gaps: tuple[int, slice, slice]) -> Store:
    """The store with missing values in these (frame, rows, columns), in all channels."""
    values = store.values[:6].copy()
    for frame, rows, columns in gaps:
        values[frame, :, rows, columns] = np.nan
    return replace(store, time=store.time[:6], values=values)


def test_sequences_break_where_a_frame_is_missing(smooth_store: Store) -> None:
    """Six-hourly frames with one missing and a year between are three sequences."""
    store = with_times(smooth_store, [0, 6, 12, 24, 30, 9000, 9006, 9012])
    assert [run.tolist() for run in sequences(store, 6)] == [[0, 1, 2], [3, 4], [5, 6, 7]]


def test_more_frequent_frames_are_interleaved(smooth_store: Store) -> None:
    """Every frame is in exactly one sequence; three-hourly frames are two six-hourly sequences."""
    found = sequences(with_times(smooth_store, list(range(0, 30, 3))), 6)
    assert [run.tolist() for run in found] == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]


def test_a_gap_takes_the_mean_of_the_frames_beside(smooth_store: Store) -> None:
    """Where one frame is missing it is the mean of its neighbours; where a neighbour is missing too, the other's."""
    here, there = (slice(10, 20), slice(30, 50)), (slice(10, 20), slice(40, 50))
    store = with_gaps(smooth_store, (2, *here), (3, *there))
    field = filled(store, np.arange(6), 2, [0, 3])
    before, after = smooth_store.frame(1)[[0, 3]], smooth_store.frame(3)[[0, 3]]
    np.testing.assert_allclose(field[:, 10:20, 30:40], ((before + after) / 2)[:, 10:20, 30:40], rtol=1e-5)
    np.testing.assert_allclose(field[:, 10:20, 40:50], before[:, 10:20, 40:50], rtol=1e-5)
    outside = np.ones(field.shape[1:], bool)
    outside[here] = False
    np.testing.assert_array_equal(field[:, outside], smooth_store.frame(2)[[0, 3]][:, outside])


def test_what_no_frame_knows_is_zero(smooth_store: Store) -> None:
    """A gap at the end of a sequence takes the frame before; one that the frame before has as well becomes zero."""
    store = with_gaps(smooth_store, (5, slice(0, 8), slice(0, 9)), (4, slice(0, 4), slice(0, 9)))
    field = filled(store, np.arange(6), 5, [1])
    assert (field[0, :4, :9] == 0).all()
    np.testing.assert_array_equal(field[0, 4:8, :9], smooth_store.frame(4)[1, 4:8, :9])
    alone = filled(store, np.array([5]), 0, [1])
    assert (alone[0, :8, :9] == 0).all()
