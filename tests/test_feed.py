import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch

from toolkit.errors import UserError
from toolkit.feed import batches

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more processes than there are cores


def drawn(number: int) -> dict[str, object]:
    """A batch from its number, with things that are no tensors."""
    values = torch.rand(3, generator=torch.Generator().manual_seed(number))
    return {"values": values, "number": number, "array": np.arange(number)}


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_as_they_are_in_the_order_of_their_numbers(workers: int) -> None:
    """However many processes draw, the batches are those of one, and what is no tensor is left as it is."""
    numbers = range(5, 40, 4)
    before = set(multiprocessing.active_children())  # processes of other tests may wait for more to do
    with batches(drawn, numbers, workers) as found:
        seen = list(found)
    assert [one["number"] for one in seen] == list(numbers)
    for one, number in zip(seen, numbers, strict=True):
        assert torch.equal(one["values"], drawn(number)["values"])
        assert isinstance(one["array"], np.ndarray)
    assert set(multiprocessing.active_children()) <= before


@pytest.mark.parametrize("workers", [0, 2])
def test_the_global_generator_is_left_alone(workers: int) -> None:
    """What the model draws at random does not depend on who draws the batches."""
    torch.manual_seed(0)
    with batches(drawn, range(3), workers) as found:
        list(found)
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(1))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_the_user_comes_through_in_its_own_words(workers: int) -> None:
    """What a batch says is wrong is said again, word by word, after the batches before it."""

    def failing(number: int) -> int:
        if number == 3:
            raise UserError("The window is too large. Take a smaller one.")
        return number

    seen = []
    with pytest.raises(UserError) as caught, batches(failing, range(9), workers) as found:
        seen.extend(found)
    assert str(caught.value) == "The window is too large. Take a smaller one."
    assert seen == [] or seen == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_keeps_its_kind(workers: int) -> None:
    """An error that is not the user's is raised as what it is."""

    def mistaken(number: int) -> int:
        raise ValueError(f"batch {number}")

    with pytest.raises(ValueError, match="batch 0"), batches(mistaken, range(2), workers) as found:
        next(found)


@pytest.mark.slow
def test_a_process_that_is_ended_from_outside_is_told() -> None:
    """A process that the system ends, as it does where memory is short, ends in one sentence with what to do."""

    def ended(number: int) -> int:
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    said = r"draws batches was ended.*\. Give the run more memory.*workers=0"
    with pytest.raises(UserError, match=said), batches(ended, range(6), 1) as found:
        list(found)


@pytest.mark.slow
def test_other_errors_of_the_block_pass() -> None:
    """What goes wrong while batches are used is not taken for an end of a process, and ends the processes."""

    def use(batch: object) -> None:
        raise RuntimeError(f"out of memory: {batch}")

    before = set(multiprocessing.active_children())  # an error that is still held keeps the processes of its test
    with pytest.raises(RuntimeError, match="out of memory"), batches(drawn, range(6), 1) as found:
        use(next(found))
    assert set(multiprocessing.active_children()) <= before
