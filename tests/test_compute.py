from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.compute import operations, operations_of_step, steps_for
from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.pretexts.contract import Encoder, Pretext, Views
from toolkit.pretexts.draw import Recipe, normalisation_for, unlabelled

BATCH, INS, OUTS = 5, 7, 3


def test_a_linear_layer_takes_what_is_worked_out_by_hand() -> None:
    """Forward 2 b i o, the weights' gradient as much, and the inputs' as much again where they have one."""
    layer = nn.Linear(INS, OUTS)
    product = 2 * BATCH * INS * OUTS
    assert operations(lambda: layer(torch.ones(BATCH, INS))) == product
    assert operations(lambda: layer(torch.ones(BATCH, INS)).sum().backward()) == 2 * product
    assert operations(lambda: layer(torch.ones(BATCH, INS, requires_grad=True)).sum().backward()) == 3 * product


def test_attention_is_its_two_matrix_products() -> None:
    """Queries with keys and weights with values take 2 b n^2 d each, whatever kernel the processor would choose."""
    x = torch.ones(BATCH, 1, 6, 4)
    assert operations(lambda: nn.functional.scaled_dot_product_attention(x, x, x)) == 2 * (2 * BATCH * 6 * 6 * 4)


def _sum(_: nn.Module, encode: Encoder, views: Views) -> Tensor:
    return encode(views.seen).sum()


def _two_sums(module: nn.Module, encode: Encoder, views: Views) -> Tensor:
    return _sum(module, encode, views) + encode(views.clean).sum()


def _with_teacher(module: nn.Module, encode: Encoder, views: Views) -> Tensor:
    return _sum(module, encode, views) + encode.teacher("once", views.clean).sum()


def test_twice_the_encoding_gives_half_the_steps(smooth_store: Store) -> None:
    """A pretext that encodes two windows computes twice as much; a teacher adds its forward pass; seeds change none."""
    normalisation = normalisation_for(("vorticity", "divergence"), smooth_store)
    spec = FeatureSpec(normalisation.names, normalisation.units, (-6, 0), smooth_store.latitude_spacing, 4, 16)
    once = Pretext("once", "", lambda _: nn.Identity(), _sum)

    def count(pretext: Pretext, seed: int = 0) -> int:
        recipe = Recipe(spec, {"depth": 1, "heads": 2}, ((pretext, 1.0),), (16, 16))
        source = unlabelled(smooth_store, recipe, lambda *_: pytest.fail("there is no target"))
        return operations_of_step(recipe, [source], normalisation, 4, seed)

    single, double = count(once), count(replace(once, loss=_two_sums))
    assert double == 2 * single
    assert steps_for(1000 * single, double) == 500
    assert single < count(replace(once, loss=_with_teacher, teacher=0.9)) < 1.5 * single
    assert count(once, seed=3) == single


def test_a_budget_gives_the_nearest_number_of_steps() -> None:
    """It is rounded, but never to none; a pretext that computes nothing has no end."""
    assert [steps_for(100, of_step) for of_step in (40, 30, 1000)] == [2, 3, 1]
    with pytest.raises(UserError, match="no matrix product"):
        steps_for(100, 0)
