from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import validate_call
from torch import Tensor

from toolkit.backbones.features import FeatureSpec
from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.pretexts.contract import Views, patches
from toolkit.pretexts.draw import Recipe, draw, normalisation_for, unlabelled
from toolkit.pretexts.splitbrain import Halves, splitbrain
from toolkit.pretrain import Pretraining, pretrain
from toolkit.train import Run, Schedule

SPEC = FeatureSpec(("vorticity", "divergence", "temperature"), ("s-1", "s-1", "K"), (-6, 0), 1.0, patch=4, dim=9)
TOKENS = 6
PRETEXT = splitbrain()
FIRST, SECOND = [0, 3], [1, 2, 4, 5]


def views(gaps: float = 0.05) -> Views:
    """Random windows of 8 by 12 pixels with a few gaps."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, SPEC.planes, 8, 12, generator=generator)
    x[:, :-1][torch.rand(2, SPEC.planes - 1, 8, 12, generator=generator) < gaps] = torch.nan
    return Views(x, x, torch.zeros(2, TOKENS, SPEC.planes - 1, dtype=torch.bool), {})


def module_of(spec: FeatureSpec = SPEC) -> Halves:
    """The module with the same weights every time."""
    torch.manual_seed(0)
    module = PRETEXT.module(spec)
    assert isinstance(module, Halves)
    return module


class Backbone:
    """Keeps what it was given, and says something random."""

    def __init__(self) -> None:
        self.given: list[Tensor] = []
        self.said: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        """Return random tokens, other ones each time."""
        self.given.append(x)
        generator = torch.Generator().manual_seed(len(self.given))
        self.said.append(torch.randn(len(x), TOKENS, 9, generator=generator, requires_grad=True))
        return self.said[-1]


def test_each_pass_sees_one_group() -> None:
    """First the other variables are missing in all frames, then the first group is; latitude and windows stay."""
    given, encode = views(gaps=0), Backbone()
    before = given.clean.clone()
    PRETEXT.loss(module_of(), encode, given)
    assert torch.equal(given.clean, before)
    for x, missing in zip(encode.given, (SECOND, FIRST), strict=True):
        seen = [k for k in range(SPEC.planes) if k not in missing]
        assert x[:, missing].isnan().all()
        assert torch.equal(x[:, seen], given.clean[:, seen])


def test_each_group_is_read_from_its_own_half() -> None:
    """Of nine channels the first pass has its gradient in four, the second in the other five."""
    encode = Backbone()
    PRETEXT.loss(module_of(), encode, views()).backward()
    first, second = (tokens.grad for tokens in encode.said)
    assert first is not None
    assert second is not None
    assert first[..., :4].all()
    assert not first[..., 4:].any()
    assert second[..., 4:].all()
    assert not second[..., :4].any()


def test_the_loss_is_the_mean_of_both_errors() -> None:
    """Written out: the squared errors of the observed pixels, averaged by direction, then over both."""
    given, encode, module = views(), Backbone(), module_of()
    loss = PRETEXT.loss(module, encode, given)
    errors = []
    for tokens, layer, planes in (
        (encode.said[0][..., :4], module.second, SECOND),
        (encode.said[1][..., 4:], module.first, FIRST),
    ):
        true = patches(given.clean[:, planes], 4)
        errors.append((layer(tokens).reshape(true.shape) - true)[true.isfinite()].square().mean())
    torch.testing.assert_close(loss, (errors[0] + errors[1]) / 2)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in module.parameters())


def test_the_explained_share() -> None:
    """Perfect fields explain all, each plane's own mean nothing; half of the deviation leaves a quarter."""
    given = views()
    for group, planes in enumerate((FIRST, SECOND)):
        true = patches(given.clean[:, planes], 4)
        mean = true.nanmean((0, 1, 3), keepdim=True)
        for kept, share in ((1.0, 1.0), (0.0, 0.0), (0.5, 0.75)):
            module = module_of(replace(SPEC, dim=2 * 64))
            said = (mean + kept * (true - mean)).nan_to_num(7.0).flatten(2)
            for layer in (module.first, module.second):
                torch.nn.init.zeros_(layer.weight)
                torch.nn.init.zeros_(layer.bias)
            layer = (module.first, module.second)[group]
            torch.nn.init.eye_(layer.weight)
            tokens = torch.zeros(2, TOKENS, 128)
            start = 64 * (1 - group)
            tokens[..., start : start + said.shape[-1]] = said
            numbers = PRETEXT.measures(module, lambda _, tokens=tokens: tokens, given)
            names = ["explained share of vorticity", "explained share of divergence, temperature"]
            assert sorted(numbers) == sorted(names)
            assert numbers[names[group]].item() == pytest.approx(share, abs=1e-5)


def test_groups_that_do_not_fit() -> None:
    """No variable on either side, and an unknown one, are errors; names may come as a list, twice, in any order."""
    with pytest.raises(UserError, match="no variable in its first group"):
        splitbrain(())
    with pytest.raises(UserError, match="all variables in its first group"):
        splitbrain(SPEC.variables).module(SPEC)
    with pytest.raises(UserError, match=r"'vortcity'\. Did you mean 'vorticity'"):
        splitbrain(("vortcity",)).module(SPEC)
    module = validate_call(splitbrain)(first=["temperature", "vorticity", "temperature"]).module(SPEC)
    assert isinstance(module, Halves)
    assert module.named == (("temperature", "vorticity"), ("divergence",))
    assert module.fields == ([0, 2, 3, 5], [1, 4])


@pytest.mark.slow
def test_it_learns(smooth_store: Store, tmp_path: Path) -> None:
    """Of fields that have something to do with each other a share is explained after some steps."""
    normalisation = normalisation_for(("vorticity", "divergence"), smooth_store)
    spec = FeatureSpec(normalisation.names, normalisation.units, (-6, 0), 2.8125, 4, 16)
    recipe = Recipe(spec, {"depth": 1, "heads": 2}, ((PRETEXT, 1.0),), (16, 16))
    source = unlabelled(smooth_store, recipe, lambda *_: np.empty(0))
    model = pretrain(recipe, [source], normalisation, Schedule(80, 16, {"": 3e-3}), Run(tmp_path))
    given = draw([source], recipe, normalisation, 64, 99)
    with torch.no_grad():
        before, after = (m.measures(given)["splitbrain"].item() for m in (Pretraining(recipe, 0), model))
    assert after < 0.9 * before
