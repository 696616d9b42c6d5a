import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.log_modulus import OF_A_GAUSSIAN, LogModulus, inverse_log_modulus, log_modulus

VARIABLES = ("divergence", "vorticity", "temperature")


def tensor(*values: float) -> torch.Tensor:
    """Values in double precision."""
    return torch.tensor(values, dtype=torch.float64)


@given(st.floats(-100, 100))
def test_the_map_and_its_inverse(z: float) -> None:
    """The map is the formula, odd and smaller than the fifth it has for a slope at zero; its inverse undoes it."""
    y = log_modulus(tensor(z))
    assert y.item() == pytest.approx(math.copysign(math.log(1 + 0.2 * abs(z)), z), rel=1e-6, abs=1e-15)
    assert torch.equal(log_modulus(tensor(-z)), -y)
    assert abs(y.item()) <= 0.2 * abs(z)
    assert inverse_log_modulus(y).item() == pytest.approx(z, rel=1e-6, abs=1e-15)


def test_slopes() -> None:
    """The slope is 0.2 / (1 + 0.2 |z|), at zero too, so that a field that begins as zeros can be learned."""
    z = tensor(-5, 0, 5, 20).requires_grad_()
    log_modulus(z).sum().backward()
    assert z.grad is not None
    assert z.grad.tolist() == pytest.approx([0.1, 0.2, 0.1, 0.04])


def test_the_layer_scales_by_the_published_constants() -> None:
    """Divergence of 5 becomes (log 2 - 8.821452e-4) / 0.15794525, and so on; the layer's inverse gives the 5 back."""
    layer, fives = LogModulus(VARIABLES), torch.full((1, 3, 1, 1), 5.0)
    log2 = math.log(2)
    expected = [(log2 - 8.821452e-4) / 0.15794525, (log2 - 3.2483143e-4) / 0.16044095, log2 / OF_A_GAUSSIAN[1]]
    assert layer(fives).flatten().tolist() == pytest.approx(expected)
    assert layer.inverse(layer(fives)).flatten().tolist() == pytest.approx([5.0] * 3, rel=1e-5)


def test_a_gaussian_stays_in_standard_deviations() -> None:
    """What has no published constants comes out with mean 0 and standard deviation 1 where it is Gaussian."""
    z = torch.randn(1, 1, 500, 500, generator=torch.Generator().manual_seed(0))
    scaled = LogModulus(("temperature",))(z)
    assert scaled.mean().item() == pytest.approx(0, abs=0.01)
    assert scaled.std().item() == pytest.approx(1, abs=0.01)


def test_the_layer_has_nothing_to_learn_or_to_save() -> None:
    """The layer brings no parameter and no entry of a state dict."""
    layer = LogModulus(VARIABLES)
    assert not list(layer.parameters())
    assert not layer.state_dict()
