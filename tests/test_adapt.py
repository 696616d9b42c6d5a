from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from toolkit.adapt import Adapted, Lora, adapted, trainable_share
from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.vit import ViT, build
from toolkit.errors import UserError
from toolkit.heads.features import Features
from toolkit.heads.pixels import PixelHead

SPEC = FeatureSpec(("vorticity",), ("s-1",), (0,), 1.0, patch=4, dim=32)


class Head(nn.Module):
    """Two channels per pixel; readouts are not used."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = PixelHead(SPEC, 2, hidden=4)
        nn.init.normal_(self.pixels.out.weight)

    def forward(self, features: Features) -> Tensor:
        """Return (b, 2, h, w)."""
        return self.pixels(features)


def base() -> ViT:
    """A small transformer."""
    return build(SPEC, {"depth": 2, "heads": 2}, seed=0)


def made(method: str, seed: int = 0) -> Adapted:
    """The method's model on it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = Head()
    return adapted(method, base(), head, Lora(rank=2, alpha=4), seed)


def windows() -> Tensor:
    """Two windows."""
    return torch.randn(2, SPEC.planes, 8, 12, generator=torch.Generator().manual_seed(0))


def said(model: Adapted) -> Tensor:
    """What a model says of the windows, without readouts and columns."""
    return model(windows(), {}, torch.zeros(2, 0))


def trained(model: Adapted) -> set[str]:
    """The names of what changes in three steps."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(3):
        said(model).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_probe_trains_the_head_alone() -> None:
    """Of a probe the head changes and the backbone does not."""
    model = made("probe")
    names = trained(model)
    assert names == {name for name in model.state_dict() if name.startswith("head.")}
    assert trainable_share(model)[0] == sum(p.numel() for p in model.head.parameters())


def test_lora_trains_its_updates_and_the_head() -> None:
    """LoRA changes the head and the updates of all four kinds of layers, but no weight of the backbone."""
    model = made("lora")
    names = trained(model)
    assert all(name.startswith("head.") or "lora_" in name for name in names)
    assert {name.split(".")[-4] for name in names if "lora_" in name} == {"qkv", "proj", "fc1", "fc2"}
    trainable, total = trainable_share(model.backbone)
    assert 0 < trainable < 0.3 * total
    assert total - trainable == sum(p.numel() for p in base().parameters())


def test_lora_updates_the_last_blocks() -> None:
    """Of a backbone with two blocks, LoRA on one updates the second alone, on two both."""
    for blocks, updated in ((1, {"1"}), (2, {"0", "1"})):
        model = adapted("lora", base(), torch.nn.Identity(), Lora(blocks=blocks), seed=0)
        names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        assert {name.split("blocks.")[1][0] for name in names} == updated


@pytest.mark.parametrize("method", ["full", "scratch"])
def test_full_and_scratch_train_everything(method: str) -> None:
    """All parameters change."""
    model = made(method)
    assert trained(model) == set(dict(model.named_parameters()))
    assert trainable_share(model)[0] == trainable_share(model)[1]


def test_every_method_begins_at_the_base_model() -> None:
    """Before training, LoRA included, the output is that of backbone and head."""
    outputs = [said(made(method).eval()) for method in ("full", "probe", "lora", "scratch")]
    by_hand = made("full").head(Features(base()(windows()), (2, 3), windows(), {}, torch.zeros(2, 0), windows()[:, :0]))
    assert outputs[0].shape == (2, 2, 8, 12)
    for output in outputs:
        torch.testing.assert_close(output, by_hand)


class Listening(nn.Module):
    """A head that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Features] = []

    def forward(self, features: Features) -> Tensor:
        """Return the columns."""
        self.seen.append(features)
        return features.columns


def test_what_stands_beside_the_windows_reaches_the_head_untouched() -> None:
    """Readouts, columns and known maps are handed on; the backbone sees its own planes alone."""
    model, columns, readouts = Adapted(base(), Listening(), SPEC), torch.rand(2, 3), {"wind": torch.rand(2, 1, 8, 12)}
    known = torch.rand(2, 4, 8, 12)
    assert model(torch.cat([windows(), known], 1), readouts, columns) is columns
    (features,) = model.head.seen
    assert features.readouts is readouts
    assert torch.equal(features.planes, windows())
    assert torch.equal(features.known, known)
    torch.testing.assert_close(features.tokens, base()(windows()))


def test_without_a_backbone_there_are_no_tokens() -> None:
    """A model of columns alone hands them to its head, with windows of no size."""
    spec = FeatureSpec((), (), (), 1.0, patch=1, dim=0)
    model, columns = Adapted(None, Listening(), spec), torch.rand(2, 3)
    assert model(torch.zeros(2, spec.planes, 0, 0), {}, columns) is columns
    assert model.head.seen[0].tokens.shape == (2, 0, 0)
    assert trainable_share(model) == (0, 0)


def test_updates_come_from_the_seed() -> None:
    """The same seed draws the same updates, another draws others; the global generator is left alone."""
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    one, same, other = (made("lora", seed).backbone.state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_an_unknown_method_is_named() -> None:
    """A method that is not there is an error with the near miss."""
    with pytest.raises(UserError, match=r"No method 'lorra'\. Did you mean 'lora'"):
        made("lorra")


def test_peft_writes_its_own_files(tmp_path: Path) -> None:
    """The updates are saved in peft's format: any peft program can load them."""
    made("lora").backbone.save_pretrained(str(tmp_path))
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {path.name for path in tmp_path.iterdir()}
