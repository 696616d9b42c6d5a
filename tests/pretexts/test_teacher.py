import pytest
import torch
from torch import nn

from toolkit.pretexts.teacher import Teacher


def moved(model: nn.Module, by: float) -> None:
    """Add a number to all parameters."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by)


def test_a_teacher_is_the_exponential_mean_of_the_parameters() -> None:
    """After each step theta' = m theta' + (1 - m) theta, with m rising from its start to one at the end of the run."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    start = model[0].weight.detach().clone()
    teacher = Teacher(model, 0.9)
    moved(model, 1.0)
    teacher.follow(model, 0.0)
    torch.testing.assert_close(teacher.get_buffer("0/weight"), start + 0.1)
    teacher.follow(model, 0.5)
    torch.testing.assert_close(teacher.get_buffer("0/weight"), start + 0.1 + 0.05 * 0.9)
    before = teacher.get_buffer("0/weight").clone()
    teacher.follow(model, 1.0)
    torch.testing.assert_close(teacher.get_buffer("0/weight"), before)


def test_a_teacher_speaks_with_the_mean_and_learns_nothing_itself() -> None:
    """What it says is that of the model as it was, without gradient; it has buffers and no parameters."""
    model, x = nn.Linear(2, 3), torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    said = model(x).detach()
    teacher = Teacher(model, 0.9)
    moved(model, 1.0)
    answer = teacher.says(model, x)
    torch.testing.assert_close(answer, said)
    assert not answer.requires_grad
    assert not list(teacher.parameters())
    assert set(teacher.state_dict()) == {"weight", "bias"}
    with pytest.raises(AssertionError):
        torch.testing.assert_close(model(x), said)


def test_a_teacher_that_speaks_leaves_the_buffers_as_they_are() -> None:
    """The running moments of a batch norm follow what the student sees, not what its teacher is asked."""
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    Teacher(model, 0.9).says(model, torch.randn(8, 2, generator=torch.Generator().manual_seed(0)))
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
