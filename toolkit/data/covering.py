"""Windows that cover a grid that goes round the globe, overlapping by half, as they lie symmetrically."""

import numpy as np

from toolkit.data.windows import Windows


def symmetric_windows(grid: tuple[int, ...], size: tuple[int, int], top: int = 0) -> Windows:
    """Return windows of `size` (h, w), half a window apart, over a global grid (rows, columns).

    They go from the equator northward as far as the row `top`, to which the last ones are clamped; their mirror images
    south of the equator are `mirrored`. West to east within a row of windows, which are in the order of their own row,
    the northern ones first. `time` is (n, 0): it is for the caller to say.
    """
    (h, w), (rows, columns) = size, grid
    northern = np.unique(np.maximum(np.arange((rows - h) // 2, top - h // 2, -(h // 2)), top))
    row = np.concatenate([northern, rows - h - northern])
    column = np.arange(0, columns, w // 2)
    return Windows(
        np.empty((len(row) * len(column), 0), np.int64),
        np.repeat(row, len(column)),
        np.tile(column, len(row)),
        np.repeat([False, True], len(northern) * len(column)),
        size,
    )
