import numpy as np
import pytest

from toolkit.data.covering import symmetric_windows


@pytest.mark.parametrize("grid", [(65, 128), (64, 128)])
@pytest.mark.parametrize("size", [(16, 16), (9, 12)])
@pytest.mark.parametrize("top", [0, 5, 20])
def test_windows_are_half_a_window_apart_and_have_their_mirror_images(
    grid: tuple[int, int], size: tuple[int, int], top: int
) -> None:
    """From a row to its mirror image every row lies in a window, in both hemispheres alike; none reaches beyond."""
    windows, (rows, columns), (h, w) = symmetric_windows(grid, size, top), grid, size
    assert windows.time.shape == (len(windows), 0)
    assert (windows.row.min(), windows.row.max()) == (top, rows - h - top)
    assert (np.diff(np.unique(windows.column)) == w // 2).all()
    assert windows.column.max() + w // 2 >= columns
    every = set(zip(windows.row, windows.column, windows.mirrored, strict=True))
    assert len(every) == len(windows)
    assert every == {(rows - h - row, column, not mirrored) for row, column, mirrored in every}
    northern = np.unique(windows.row[~windows.mirrored])
    assert northern.max() == (rows - h) // 2
    assert np.diff(northern).max(initial=0) <= h // 2
