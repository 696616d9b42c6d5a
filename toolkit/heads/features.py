"""What a head is built from, and what it is given of a batch of windows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from toolkit.backbones.features import FeatureSpec
from toolkit.columns import NO_COLUMNS, ColumnCode


@dataclass(frozen=True)
class Given:
    """What a head can count on: the backbone's features, the readouts it hands over, the columns beside the fields.

    readouts {name: channels}; known: how many planes of label maps are known beforehand. For a task without fields
    `spec` has no variables and its tokens are none.
    """

    spec: FeatureSpec
    readouts: Mapping[str, int] = field(default_factory=dict)
    columns: ColumnCode = NO_COLUMNS
    known: int = 0


@dataclass(frozen=True)
class Features:
    """What is known of a batch of windows when a head begins.

    tokens (b, n, d) laid out on `grid` (rows, columns); planes (b, p, h, w), the backbone's own input, NaN where
    missing; readouts {name: (b, c, h, w)} of the untouched backbone; columns (b, k), the table's, encoded; known
    (b, m, h, w), label maps of the time and before, frame by frame, NaN where they are not known.
    """

    tokens: Tensor
    grid: tuple[int, int]
    planes: Tensor
    readouts: Mapping[str, Tensor]
    columns: Tensor
    known: Tensor
