import pytest
import torch
from torch import Tensor

from toolkit.backbones.features import FeatureSpec
from toolkit.pretexts.contract import Views, patches
from toolkit.pretexts.nextframe import HOURS, PRETEXT

SPEC = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (-6, 0), 1.0, patch=4, dim=8)


def views(*targets: Tensor) -> Views:
    """Views of which the next frames alone matter."""
    empty = torch.zeros(2, SPEC.planes, 8, 12)
    drawn = {"nextframe": dict(zip(PRETEXT.targets, targets, strict=True))}
    return Views(empty, empty, torch.zeros(2, 6, 4, dtype=torch.bool), drawn)


def later(seed: int) -> Tensor:
    """A random field (b, variables, h, w)."""
    return torch.randn(2, 2, 8, 12, generator=torch.Generator().manual_seed(seed))


def test_targets_are_the_frames_later() -> None:
    """Every lead time asks for the store's own fields that many hours later."""
    assert [target.hours for target in PRETEXT.targets.values()] == list(HOURS) == [6, 24]
    assert all(target.make is None for target in PRETEXT.targets.values())


def test_the_loss_is_the_mean_squared_error() -> None:
    """Saying the fields of both lead times, 6 h first, costs nothing; being off by 2 everywhere costs 4."""
    truth = [later(0), later(1)]

    def said(error: float) -> float:
        fields = patches(torch.cat(truth, 1) + error, 4).flatten(2)
        return float(PRETEXT.loss(torch.nn.Identity(), lambda _: fields, views(*truth)))

    assert said(0) == 0
    assert said(2) == pytest.approx(4, rel=1e-5)


def test_missing_targets_do_not_count() -> None:
    """Where a later value is missing, what is said there changes nothing, and the gradient there is zero."""
    truth = [later(0), later(1)]
    truth[1][0, 1, :4] = torch.nan
    tokens = torch.zeros(2, 6, 64, requires_grad=True)
    loss = PRETEXT.loss(torch.nn.Identity(), lambda _: tokens, views(*truth))
    known = torch.cat(truth, 1).isfinite()
    assert loss.item() == pytest.approx(torch.cat(truth, 1)[known].square().mean().item(), rel=1e-5)
    loss.backward()
    assert tokens.grad is not None
    assert torch.equal(tokens.grad != 0, patches(known, 4).flatten(2))


def test_the_readout_is_what_the_loss_compares() -> None:
    """A module without loss reads out the fields themselves, all lead times and variables, at their own pixels."""
    assert PRETEXT.readout is not None
    truth = [later(0), later(1)]
    said = patches(torch.cat(truth, 1), 4).flatten(2)
    read = PRETEXT.readout.read(torch.nn.Identity(), said, (2, 3), SPEC)
    torch.testing.assert_close(read, torch.cat(truth, 1))
    assert PRETEXT.readout.channels(SPEC) == 4
    assert PRETEXT.module(SPEC)(torch.zeros(2, 6, 8)).shape == said.shape
