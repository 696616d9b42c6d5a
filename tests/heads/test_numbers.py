"""The head that states numbers: of columns alone, of fields alone, of both."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from toolkit.backbones.features import FeatureSpec
from toolkit.columns import encode_columns, fit_columns
from toolkit.heads.features import Features, Given
from toolkit.heads.numbers import NumberHead, SharedLayer

SPEC = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (-6, 0), 2.8125, patch=4, dim=8)
NO_SPEC = FeatureSpec((), (), (), 1.0, 1, 0)
CODE = fit_columns(pd.DataFrame({"height": np.arange(9.0), "kind": list("aaabbbccc")}), ["height", "kind"])
READOUTS = {"displacement_24h": 2}
GIVEN = {
    "columns alone": Given(NO_SPEC, {}, CODE),
    "fields alone": Given(SPEC),
    "fields and readouts": Given(SPEC, READOUTS),
    "all": Given(SPEC, READOUTS, CODE),
}


def features(given: Given, b: int = 3) -> Features:
    """Random features of what is given."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    columns = drawn(b, given.columns.width)
    if not given.spec.variables:
        return Features(torch.zeros(b, 0, 0), (0, 0), torch.zeros(b, 1, 0, 0), {}, columns, torch.zeros(b, 0, 0, 0))
    readouts = {name: drawn(b, channels, 16, 24) for name, channels in given.readouts.items()}
    planes = drawn(b, 5, 16, 24)
    return Features(drawn(b, 24, 8), (4, 6), planes, readouts, columns, planes[:, :0])


def trained(given: Given, numbers: int = 2) -> NumberHead:
    """A head as if it had been trained: nothing in it is zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        head = NumberHead(given, numbers, members=4, hidden=16)
        for parameter in head.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape)
    return head.eval()


def differs(head: NumberHead, one: Features, other: Features) -> bool:
    """Whether two features give different numbers."""
    return bool((head(one) != head(other)).any())


@pytest.mark.parametrize("given", GIVEN.values(), ids=list(GIVEN))
def test_an_untrained_head_states_the_usual_value(given: Given) -> None:
    """Whatever it is given, the output is (b, members, numbers), and zero before training."""
    out = NumberHead(given, 3, members=4, hidden=16)(features(given))
    assert out.shape == (3, 4, 3)
    assert not out.any()


@pytest.mark.parametrize("given", GIVEN.values(), ids=list(GIVEN))
def test_examples_do_not_see_each_other(given: Given) -> None:
    """What is said of an example is the same alone as among others."""
    head, both = trained(given), features(given)
    alone = Features(
        both.tokens[1:2],
        both.grid,
        both.planes[1:2],
        {name: field[1:2] for name, field in both.readouts.items()},
        both.columns[1:2],
        both.known[1:2],
    )
    torch.testing.assert_close(head(alone), head(both)[1:2])


@pytest.mark.parametrize("given", GIVEN.values(), ids=list(GIVEN))
def test_every_weight_is_trained(given: Given) -> None:
    """Each parameter gets a finite gradient, and none is left out."""
    head = trained(given)
    head(features(given)).square().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.numel() == 0 or parameter.grad.any(), name


def test_members_differ() -> None:
    """They see their inputs with signs of their own, and so say different things of one example."""
    given = GIVEN["columns alone"]
    out = trained(given)(features(given))
    assert (out.std(1) > 0).all()


def test_members_that_are_scaled_alike_are_one() -> None:
    """With equal scales and biases the members are one linear layer."""
    layer = SharedLayer(5, 3, members=2, differ=False)
    x = torch.randn(4, 2, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), torch.nn.functional.linear(x, layer.weight))


def test_both_fields_and_columns_are_heard() -> None:
    """A token in the middle, one far from it, a pixel in the middle, a readout there and a column change the output."""
    given = GIVEN["all"]
    head, one = trained(given), features(given)
    near, far, planes, columns = one.tokens.clone(), one.tokens.clone(), one.planes.clone(), one.columns.clone()
    near[:, 14] += 1
    far[:, 0] += 1
    planes[:, 0, 8, 12] += 1
    columns[:, 0] += 1
    readouts = {name: field + 1 for name, field in one.readouts.items()}
    for other in (
        replace(one, tokens=near),
        replace(one, tokens=far),
        replace(one, planes=planes),
        replace(one, readouts=readouts),
        replace(one, columns=columns),
    ):
        assert differs(head, one, other)


def test_pixels_far_from_the_middle_are_left_to_the_tokens() -> None:
    """A plane at the window's edge is not looked at directly."""
    given = GIVEN["all"]
    one = features(given)
    planes = one.planes.clone()
    planes[..., 0] += 1
    assert not differs(trained(given), one, replace(one, planes=planes))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_missing_value_is_not_a_zero(value: float) -> None:
    """What is missing gives finite numbers, other than those of a zero in its place."""
    given = GIVEN["fields alone"]
    zero, missing = features(given), features(given)
    zero.planes[:, 0, 8, 12] = 0
    missing.planes[:, 0, 8, 12] = value
    head = trained(given)
    assert head(missing).isfinite().all()
    assert differs(head, zero, missing)


def test_the_columns_say_what_matters_of_the_fields() -> None:
    """The effect of the same change of the weather depends on what the columns are."""
    given = GIVEN["all"]
    head, one = trained(given), features(given)
    calm = replace(one, tokens=torch.zeros_like(one.tokens))
    other = one.columns + 1
    effect = head(one) - head(calm)
    elsewhere = head(replace(one, columns=other)) - head(replace(calm, columns=other))
    assert (effect - elsewhere).abs().max() > 1e-3


@pytest.mark.slow
def test_it_learns_what_a_column_says() -> None:
    """Some hundred steps on a table find the one column of many that counts, and the words that do."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(600, 8)), columns=[f"c{k}" for k in range(8)])
    table["kind"] = rng.choice(list("ab"), 600)
    truth = torch.tensor((np.sin(2 * table["c3"]) + (table["kind"] == "b")).to_numpy(np.float32))[:, None]
    code = fit_columns(table, list(table))
    x = torch.from_numpy(encode_columns(code, table))
    none = torch.zeros(len(x), 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = NumberHead(Given(NO_SPEC, {}, code), 1, members=4, hidden=32, dropout=0.0)
        optimizer = torch.optim.AdamW(head.parameters(), lr=0.01)

        def stated() -> Tensor:
            return head(Features(none, (0, 0), none, {}, x, none))

        for _ in range(200):
            error = (stated()[:400] - truth[:400, None]).square().mean()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
    unseen = stated()[400:].mean(1)
    assert (unseen - truth[400:]).square().mean() < 0.1 * truth.var()
