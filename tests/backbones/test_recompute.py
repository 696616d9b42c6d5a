import copy

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from toolkit.backbones.contract import Network, Wishes
from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.known import build_backbone, shape_named
from toolkit.backbones.recompute import recompute_blocks

KINDS = ("vit", "resnet", "timm:resnet18")


def network(kind: str, again: bool) -> Network:
    """A small network of a kind in training, with dropout in front of its last block."""
    shape = shape_named(kind, Wishes(8, 16, 3, 2))
    spec = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (0,), 1.0, shape.patch, shape.dim)
    net = build_backbone(spec, shape.architecture, 0).train()
    last = list(net.blocks)[-1]
    last.register_forward_pre_hook(lambda block, x: (nn.functional.dropout(x[0], 0.2, block.training), *x[1:]))
    if again:
        recompute_blocks(net)
    return net


def learned(net: Network, x: Tensor) -> tuple[float, dict[str, Tensor], int]:
    """The loss on two batches that are seen before either gradient, the gradients, and the bytes kept for them."""
    kept = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(1)
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = net(x).square().mean() + net(x.flip(-1)).mean()
    loss.backward()
    return loss.item(), {name: p.grad for name, p in net.named_parameters() if p.grad is not None}, kept


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_loss_gradients_and_statistics_are_the_same_and_less_is_kept(kind: str) -> None:
    """To the bit, dropout and running statistics of batch norms included, for less than a third of the memory."""
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    plain, again = network(kind, False), network(kind, True)
    loss, gradients, kept = learned(plain, x)
    loss_again, gradients_again, kept_again = learned(again, x)
    assert loss == loss_again
    assert gradients.keys() == gradients_again.keys()
    assert all(torch.equal(gradients[name], gradients_again[name]) for name in gradients)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in plain.state_dict().items())
    assert kept_again < kept / 3


def test_weights_keep_their_names_and_copies_are_their_own() -> None:
    """State dicts fit both ways, evaluation is the same, and a copy computes with its own weights."""
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    plain, again = network("resnet", False).eval(), network("resnet", True).eval()
    again.load_state_dict(plain.state_dict())
    with torch.no_grad():
        assert torch.equal(plain(x), again(x))
        twin = copy.deepcopy(again)
        for parameter in twin.parameters():
            parameter.zero_()
        assert not torch.equal(twin(x), again(x))
        assert torch.equal(plain(x), again(x))


@pytest.mark.slow
def test_checkpointing_of_a_pretraining_changes_no_weight(tiny_world, tmp_path) -> None:
    """The setting `checkpointing` reaches the backbone, and a run with it ends in the same weights."""
    from toolkit.backbones.weights import load_backbone
    from toolkit.config import PretrainSettings
    from toolkit.pretrain_run import run_pretrain
    from toolkit.runfolder import RunFolder
    from toolkit.told import Told

    weights = []
    for checkpointing in (False, True):
        settings = PretrainSettings(
            worlds=(tiny_world,), pretext={"masked": 1.0, "lagrangian": 1.0}, dim=16, depth=2, heads=2, max_steps=3,
            batch_size=4, threads=1, device="cpu", workers=0, checkpointing=checkpointing,
        )  # fmt: skip
        folder = run_pretrain(settings, RunFolder(tmp_path / str(checkpointing), False, False, ()), Told())
        assert folder is not None
        weights.append(load_backbone(folder).module.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
