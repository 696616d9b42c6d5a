"""Numbers of examples: to targets and back, the loss of what is known, and tables of what is stated."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from toolkit.numbers import Target, decode, encode, loss, stating

TARGETS = (Target("ozone", "ppb", usual=40.0, spread=10.0), Target("days", "days", usual=5.0, spread=0.5))


@dataclass(frozen=True)
class Rows:
    """Examples without windows."""

    truth: pd.DataFrame
    table: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __len__(self) -> int:
        return len(self.truth)


ROWS: Any = Rows(pd.DataFrame({"example": [0, 1, 2], "days": [5.0, 6.0, np.nan], "ozone": [30.0, np.nan, 60.0]}))


def test_targets_are_in_spreads_from_the_usual() -> None:
    """(value - usual) / spread, in the order of the targets, NaN where a value is not known."""
    values = encode(ROWS, TARGETS)["values"]
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [[-1, 0], [np.nan, 2], [2, np.nan]])


def test_what_is_encoded_is_decoded() -> None:
    """Whatever each member is off, their mean is what is stated, in the targets' units."""
    values = np.nan_to_num(encode(ROWS, TARGETS)["values"])
    members = np.stack([values - 0.25, values + 0.25], axis=1)
    stated = decode(members, ROWS, TARGETS)
    expected = pd.DataFrame({"example": [0, 1, 2], "ozone": [30.0, 40.0, 60.0], "days": [5.0, 6.0, 5.0]})
    pd.testing.assert_frame_equal(stated, expected, check_dtype=False)


def test_a_target_may_lie_around_a_column() -> None:
    """What is encoded is the departure from it, from the usual value where it is not known, and comes back."""
    targets = (replace(TARGETS[0], around="so_far"), TARGETS[1])
    known: Any = Rows(ROWS.truth, pd.DataFrame({"so_far": [35.0, np.nan, 20.0]}))
    values = encode(known, targets)["values"]
    np.testing.assert_array_equal(values, [[-0.5, 0], [np.nan, 2], [4, np.nan]])
    stated = decode(np.nan_to_num(values)[:, None], known, targets)
    assert stated["ozone"].tolist() == [30, 40, 60]
    assert stated["days"].tolist() == [5, 6, 5]


def test_the_loss_is_the_mean_over_members_and_known_values() -> None:
    """Half the square of a small error, the size less a half of a large one; what is not known does not count."""
    targets = {"values": torch.tensor([[0.0, torch.nan], [1.0, 1.0]])}
    output = torch.tensor([[[0.5, 9.0], [3.0, 9.0]], [[1.0, 1.0], [1.0, -1.0]]])
    assert loss(output, targets)["error"].item() == pytest.approx((0.125 + 2.5 + 1.5) / 6)


def test_every_member_is_to_be_right_by_itself() -> None:
    """Errors of two members do not cancel, and each gets a gradient of its own."""
    output = torch.tensor([[[1.0], [-1.0]]], requires_grad=True)
    error = loss(output, {"values": torch.zeros(1, 1)})["error"]
    error.backward()
    assert error.item() == pytest.approx(0.5)
    assert output.grad is not None
    assert output.grad.ravel().tolist() == [0.5, -0.5]


def test_the_loss_of_nothing_known_is_zero() -> None:
    """A batch without a known value teaches nothing, and its gradient is finite."""
    output = torch.ones(2, 3, 1, requires_grad=True)
    error = loss(output, {"values": torch.full((2, 1), torch.nan)})["error"]
    error.backward()
    assert error.item() == 0
    assert output.grad is not None
    assert not output.grad.any()


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_stated_numbers_are_a_table(shape: tuple[int, ...]) -> None:
    """A function from examples to numbers becomes one to a table, whether the numbers are one column or a list."""
    table = stating(["ozone"], lambda examples: np.arange(len(examples)).reshape(shape))(ROWS)
    pd.testing.assert_frame_equal(table, pd.DataFrame({"example": [0, 1, 2], "ozone": [0.0, 1.0, 2.0]}))
