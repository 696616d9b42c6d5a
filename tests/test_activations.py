from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kurtosis

from toolkit.activations import activations, last_layer, selectivity
from toolkit.backbones.weights import Backbone, load_backbone
from toolkit.errors import UserError


@pytest.fixture(scope="module")
def backbone(random_backbone: Path) -> Backbone:
    """A small backbone with random weights."""
    return load_backbone(random_backbone)


def test_tokens_and_maps_become_maps_row_by_row(backbone: Backbone) -> None:
    """Tokens (b, n, d) are laid out from the north-west, and what is a map already stays as it is."""
    x = torch.randn(2, 5, 8, 12, generator=torch.Generator().manual_seed(0))
    tokens, maps = backbone.module(x), activations(backbone, x, last_layer(backbone))
    assert maps.shape == (2, 16, 2, 3)
    torch.testing.assert_close(maps[:, :, 1, 2], tokens[:, 5])
    assert activations(backbone, x, "patch_embed").shape == (2, 16, 2, 3)
    with pytest.raises(UserError, match=r"blocks\.0\.attn\.q_norm puts out .* such as blocks\.0\.attn\."):
        activations(backbone, x, "blocks.0.attn.q_norm")


def test_selectivity_is_the_upper_half_of_the_kurtosis() -> None:
    """A channel and its negative share the kurtosis between them; a Gaussian has 1.5, a constant 0, rare peaks more."""
    noise = np.random.default_rng(0).normal(size=(4000, 3, 4, 4)).astype(np.float32)
    noise[:, 1] = np.exp(noise[:, 1])
    noise[:, 2] = 5
    found = selectivity(noise)
    assert found[0] == pytest.approx(1.5, rel=0.05)
    assert found[1] > 10
    assert found[2] == 0
    both = found + selectivity(-noise)
    np.testing.assert_allclose(both[:2], [kurtosis(noise[:, c], None, fisher=False) for c in (0, 1)], rtol=1e-4)
