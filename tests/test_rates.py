import pytest
import torch
from torch import nn

from toolkit.rates import Decay, Rates, optimizer_of

STRETCH = 3


def optimizer(peak: float = 1.0) -> torch.optim.Optimizer:
    """An optimiser of one parameter."""
    return optimizer_of(nn.Linear(1, 1, bias=False), "sgd", {"": peak}, 0.0)


def rates(decay: Decay = "plateau", steps: int = 200, warmup: float = 0.0, begin: int = 0, state=None) -> Rates:
    """Rates with stretches of three steps."""
    return Rates(decay, steps, warmup, STRETCH, begin, state)


def followed(falling: Rates, losses: list[float], first: int = 0) -> list[float]:
    """The rate of every step, of which each has one of the losses."""
    of, seen = optimizer(), []
    for step, loss in enumerate(losses, first):
        seen.append(falling.set(of, step))
        falling.note(loss, step)
    return seen


def test_a_stalled_loss_cuts_the_rate_to_a_tenth_after_eight_stretches() -> None:
    """The first stretch is the best; eight that are not lower by 0.04 cut the rate, and eight more cut it again."""
    assert followed(rates(), [1.0] * 78) == pytest.approx([1.0] * 27 + [0.1] * 24 + [0.01] * 24 + [0.001] * 3)


def test_a_loss_that_falls_by_more_than_the_least_keeps_the_rate() -> None:
    """A fall of 0.05 in a stretch counts as progress, one of 0.03 does not."""
    stretches = [5.0 - 0.05 * (step // STRETCH) for step in range(90)]
    assert set(followed(rates(), stretches)) == {1.0}
    assert min(followed(rates(), [5.0 - 0.001 * (step // STRETCH) for step in range(90)])) < 1.0


def test_a_plateau_counts_from_its_first_step_on() -> None:
    """What the loss did before, be it lower than ever after, is not looked at; the warm-up runs as it does else."""
    losses = [0.1] * 60 + [3.0] * 30
    assert followed(rates(begin=60), losses)[60:] == pytest.approx([1.0] * 27 + [0.1] * 3)
    assert followed(rates(begin=60, warmup=0.01), losses)[:3] == [0.5, 1.0, 1.0]


def test_the_rate_has_a_lowest_value() -> None:
    """However long the loss stalls, a ten-thousandth of the peak is left."""
    assert followed(rates(steps=400), [1.0] * 400)[-1] == pytest.approx(1e-4)


@pytest.mark.parametrize("cut", [1, 25, 26, 40])
def test_a_plateau_goes_on_from_its_state(cut: int) -> None:
    """Rates that begin anew from the state, in the middle of a stretch too, are those of an undisturbed run."""
    losses = [1.0 + 0.3 * (step % 5) for step in range(60)]
    whole, first = rates(), rates()
    expected = followed(whole, losses)
    before = followed(first, losses[:cut])
    assert before + followed(rates(state=first.state()), losses[cut:], cut) == expected


def test_a_cosine_needs_no_state() -> None:
    """The step alone says the rate: half a cosine from the peak, whatever the losses are."""
    falling = rates("cosine", steps=5)
    assert followed(falling, [9.0] * 5) == pytest.approx([1.0, 1.0, 0.853553, 0.5, 0.146447], abs=1e-6)
    assert falling.state() is None


def test_gradient_descent_has_momentum() -> None:
    """By hand: under a gradient of one the first step is the rate, the second 1.9 times as long."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    descent = optimizer_of(model, "sgd", {"": 0.5}, 0.0)
    reached = []
    for _ in range(2):
        descent.zero_grad()
        model(torch.ones(1, 1)).sum().backward()
        descent.step()
        reached.append(model.weight.item())
    assert reached == pytest.approx([-0.5, -0.5 - 0.95])


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_biases_do_not_decay_and_parts_have_their_own_rates(name: str) -> None:
    """Groups go by the rate of a part and by whether its parameters are matrices."""
    model = nn.ModuleDict({"body": nn.Linear(2, 2), "head": nn.Linear(2, 1)})
    groups = optimizer_of(model, name, {"head": 0.1, "": 0.2}, 0.3).param_groups
    told = {(group["lr"], group["weight_decay"], sum(p.numel() for p in group["params"])) for group in groups}
    assert told == {(0.2, 0.3, 4), (0.2, 0.0, 2), (0.1, 0.3, 2), (0.1, 0.0, 1)}
