from pathlib import Path

import peft
import pytest
import torch
from torch import Tensor, nn

from toolkit.adapt import Adapted, Lora, adapted, trainable_share
from toolkit.backbones.contract import Network, Wishes
from toolkit.backbones.features import FeatureSpec
from toolkit.backbones.known import build_backbone, shape_named
from toolkit.backbones.vit import ViT
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
    return build_backbone(SPEC, {"depth": 2, "heads": 2}, seed=0)


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


def test_lora_of_a_transformer_is_what_it_was_before_other_kinds(tmp_path: Path) -> None:
    """The updates have the names, places and values of a configuration by the layers' names, whose adapters load."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = peft.LoraConfig(
            r=2,
            lora_alpha=4,
            target_modules=["qkv", "proj", "fc1", "fc2"],
            layers_pattern="blocks",
            layers_to_transform=[1],
        )
        before = peft.get_peft_model(base(), config)
    now = adapted("lora", base(), nn.Identity(), Lora(rank=2, alpha=4, blocks=1), seed=0).backbone
    assert before.state_dict().keys() == now.state_dict().keys()
    assert all(torch.equal(value, now.state_dict()[name]) for name, value in before.state_dict().items())
    before.save_pretrained(str(tmp_path))
    loaded = peft.PeftModel.from_pretrained(base(), str(tmp_path)).eval()
    torch.testing.assert_close(loaded(windows()), now.eval()(windows()))


def other(kind: str) -> Network:
    """A backbone of another kind on the same planes."""
    shape = shape_named(kind, Wishes(4, 32, 2, 2))
    spec = FeatureSpec(SPEC.variables, SPEC.units, SPEC.frames, SPEC.grid_degrees, shape.patch, shape.dim)
    return build_backbone(spec, shape.architecture, seed=0)


@pytest.mark.parametrize(
    ("kind", "layers"),
    [
        ("resnet", {f"layer4.{block}.conv{n}" for block in (4, 5) for n in (1, 2)}),
        (
            "timm:test_vit",
            {f"net.blocks.{b}.{n}" for b in (4, 5) for n in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")},
        ),
    ],
)
def test_lora_updates_the_layers_of_any_kind(kind: str, layers: set[str]) -> None:
    """Of the last two blocks it updates every linear layer and convolution, and begins at the base model."""
    network, x = other(kind), torch.randn(2, SPEC.planes, 64, 64, generator=torch.Generator().manual_seed(0))
    before = network.eval()(x)
    model = adapted("lora", network, nn.Identity(), Lora(), seed=0)
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name.removeprefix("backbone.base_model.model.").split(".lora_")[0] for name in names} == layers
    torch.testing.assert_close(model.backbone(x), before)
    model.backbone(x).sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


class Grouped(Network):
    """A backbone of one block with the layers that peft cannot update, and one that it can where `plain`."""

    def __init__(self, plain: bool) -> None:
        super().__init__()
        self.spec = SPEC
        self.grouped, self.dilated = nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, dilation=2)
        self.plain = nn.Conv2d(4, 4, 3) if plain else nn.Identity()
        self.attention = nn.MultiheadAttention(4, 2)
        self.blocks = (nn.ModuleList([self.grouped, self.dilated, self.plain, self.attention]),)


def test_lora_leaves_out_what_peft_cannot_update() -> None:
    """Grouped and dilated convolutions and layers of other classes are left out; where none is left it is an error."""
    model = adapted("lora", Grouped(plain=True), nn.Identity(), Lora(blocks=1), seed=0)
    assert {name.split(".")[3] for name, p in model.named_parameters() if p.requires_grad} == {"plain"}
    with pytest.raises(UserError, match=r"no layer to update in the last 1 blocks .* Raise lora_blocks"):
        adapted("lora", Grouped(plain=False), nn.Identity(), Lora(blocks=1), seed=0)


@pytest.mark.parametrize(("method", "moves"), [("probe", False), ("lora", False), ("full", True)])
def test_frozen_batch_norms_keep_their_statistics(method: str, moves: bool) -> None:
    """In training a probe and LoRA normalise as in inference; a backbone that is trained follows the batches."""
    model = adapted(method, other("resnet"), nn.Identity(), Lora(), seed=0)
    x = 3 + torch.randn(2, SPEC.planes, 64, 64, generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in model.backbone.named_buffers()}
    in_training, in_inference = model.train().backbone(x), model.eval().backbone(x)
    changed = any(not torch.equal(value, before[name]) for name, value in model.backbone.named_buffers())
    assert changed == moves
    assert torch.allclose(in_training, in_inference) != moves


def adapted_kind(kind: str, method: str, blocks: int = 1) -> tuple[Adapted, Tensor]:
    """A model of a kind whose head keeps the tokens as they are, with updates that are not zero, and windows for it."""
    network = base() if kind == "vit" else other(kind)
    model = adapted(method, network, Tokens(), Lora(rank=2, blocks=blocks), seed=0)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1, generator=generator)
    return model, torch.randn(2, SPEC.planes + 1, 64, 64, generator=generator)


class Tokens(nn.Module):
    """A head that weights the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, features: Features) -> Tensor:
        """Return (b, n, d)."""
        return self.weight * features.tokens


@pytest.mark.parametrize(
    ("kind", "method", "blocks", "entry"),
    [
        ("vit", "probe", 1, 2),
        ("vit", "lora", 1, 1),
        ("vit", "lora", 2, None),
        ("vit", "full", 1, None),
        ("vit", "scratch", 1, None),
        ("resnet", "probe", 1, 24),
        ("resnet", "lora", 2, 22),
        ("timm:test_vit", "probe", 1, 6),
        ("timm:test_vit", "lora", 1, None),
    ],
)
def test_training_begins_at_the_first_block_that_changes(
    kind: str, method: str, blocks: int, entry: int | None
) -> None:
    """All blocks stay of a probe, those in front of LoRA's where they can be told apart, none of what is trained."""
    assert adapted_kind(kind, method, blocks)[0].entry == entry


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize(
    ("kind", "method"),
    [("vit", "probe"), ("vit", "lora"), ("resnet", "probe"), ("resnet", "lora"), ("timm:test_vit", "probe")],
)
def test_a_model_goes_on_from_what_stays_as_it_is(kind: str, method: str, mode: bool) -> None:
    """From the frozen state it says the same and learns the same, to the bit; from a half of it, about the same."""
    model, x = adapted_kind(kind, method)
    model.train(mode)
    columns, found = torch.zeros(2, 0), []
    with torch.no_grad():
        kept = model.frozen_state(x)
    for state in (None, kept):
        model.zero_grad()
        output = model(x, {}, columns, state)
        output.square().mean().backward()
        found.append([output, *(p.grad for p in model.parameters() if p.requires_grad)])
    assert len(found[0]) > 1
    assert all(torch.equal(before, after) for before, after in zip(*found, strict=True))
    half = model(x, {}, columns, kept.half().float())
    torch.testing.assert_close(half, found[0][0], rtol=0.01, atol=0.01 * found[0][0].abs().max().item())


def test_the_frozen_state_stays_in_training() -> None:
    """After steps of LoRA what the frozen blocks put out is what it was, batch norms included, and the rest is not."""
    model, x = adapted_kind("resnet", "lora")
    with torch.no_grad():
        before, said_before = model.frozen_state(x), model(x, {}, torch.zeros(2, 0))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(2):
        model(x, {}, torch.zeros(2, 0), before).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        assert torch.equal(model.frozen_state(x), before)
        assert not torch.equal(model(x, {}, torch.zeros(2, 0)), said_before)


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
    assert model.entry is None
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
