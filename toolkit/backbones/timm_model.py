"""Any model of timm as a backbone, with random weights: the pixels of its last feature map are the tokens.

It is told where values are missing (NaN), as the vision transformer is.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any

import timm
import torch
from torch import Tensor, nn

from toolkit.backbones.contract import Kind, Network, Shape, Wishes, check_shape, check_window, with_validity
from toolkit.backbones.features import FeatureSpec
from toolkit.errors import UserError, unknown

PREFIX = "timm:"
ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
"""How families of timm are told that images come in any size: transformers, windowed transformers, all others."""
TRIED_GRID = (4, 6)
TRIED_PLANES = 3


class TimmModel(Network):
    """A model of timm; its features are also the layer "map", (b, dim, h / patch, w / patch).

    Its `blocks` are the parts that timm's feature_info names, such as a transformer's blocks; a stage that is a plain
    sequence counts as its parts. Where those have no weights, they are the parts at the top.
    """

    def __init__(self, spec: FeatureSpec, net: nn.Module) -> None:
        """Wrap a model of timm that takes 2 planes - 1 channels."""
        super().__init__()
        self.spec, self.net, self.map = spec, net, nn.Identity()
        self.blocks = _blocks(net)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the tokens (b, n, dim) of windows (b, planes, h, w)."""
        check_window(self.spec, x)
        features = self.map(_last_map(self.net, with_validity(x)))
        grid = (x.shape[-2] // self.spec.patch, x.shape[-1] // self.spec.patch)
        if features.shape[1:] != (self.spec.dim, *grid):
            found = " x ".join(map(str, features.shape[1:]))
            raise UserError(
                f"This backbone, a {type(self.net).__name__} of timm, puts out {found} for a window of "
                f"{x.shape[-2]} x {x.shape[-1]} in place of {self.spec.dim} x {grid[0]} x {grid[1]}. Take another kind."
            )
        return features.flatten(2).transpose(1, 2)


def timm_kind(name: str) -> Kind:
    """Return the kind "timm:NAME". Raises `UserError` where timm has no such model, with the near miss."""
    model = name.removeprefix(PREFIX)
    names = timm.list_models()
    if model not in names:
        if get_close_matches(model, names, n=1):
            raise unknown("model of timm", model, names)
        raise UserError(f"No model of timm '{model}'. timm.list_models() lists the {len(names)} there are.")
    return Kind(name, f"{model} of timm", partial(_shape, model), partial(_built, model))


def _built(model: str, spec: FeatureSpec, architecture: Mapping[str, Any]) -> TimmModel:
    if architecture:
        raise TypeError(f"a model of timm has no shape to choose; given: {', '.join(architecture)}")
    net = _net(model, 2 * spec.planes - 1)
    check_shape(PREFIX + model, spec, *_patch_and_dim(net))
    return TimmModel(spec, net)


def _shape(model: str, _wishes: Wishes) -> Shape:
    """Return the shape of a model, which has shown on a window of zeros that it puts out one token per patch."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        net = _net(model, TRIED_PLANES).eval()
        patch, dim = _patch_and_dim(net)
        rows, columns = (patch * side for side in TRIED_GRID)
        try:
            found = tuple(_last_map(net, torch.zeros(1, TRIED_PLANES, rows, columns)).shape[1:])
        except Exception as error:  # the families of timm refuse a size in many ways
            raise UserError(
                f"The model {model} of timm cannot be a backbone: it does not take windows of {rows} x {columns} "
                f"({str(error).rstrip('.')}). Take a model for images of any size."
            ) from error
    if found != (dim, *TRIED_GRID):
        raise UserError(
            f"The model {model} of timm cannot be a backbone: for windows of {rows} x {columns} it puts out "
            f"{' x '.join(map(str, found))}, not {dim} features on the {TRIED_GRID[0]} x {TRIED_GRID[1]} patches. Take "
            "another model."
        )
    return Shape(patch, dim, {})


def _net(model: str, channels: int) -> nn.Module:
    """Build a model of timm without what comes after its last feature map."""
    for options in ANY_SIZE:
        try:
            net = timm.create_model(model, pretrained=False, in_chans=channels, num_classes=0, **options)
            break
        except TypeError as error:
            refused = error
    else:
        raise UserError(f"The model {model} of timm cannot be built: {refused}.") from refused
    if not (hasattr(net, "forward_intermediates") and getattr(net, "feature_info", None)):
        raise UserError(f"The model {model} of timm cannot be a backbone: it does not hand out its feature maps.")
    if prune := getattr(net, "prune_intermediate_layers", None):
        prune(1, prune_norm=False, prune_head=True)
    return net


def _last_map(net: nn.Module, x: Tensor) -> Tensor:
    """Return the last feature map (b, c, rows, columns), normalised where the model ends in a norm."""
    of_timm: Any = net
    return of_timm.forward_intermediates(x, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True)[0]


def _infos(net: nn.Module) -> list[dict[str, Any]]:
    info: Any = net.feature_info
    return list(getattr(info, "info", info))


def _patch_and_dim(net: nn.Module) -> tuple[int, int]:
    last = _infos(net)[-1]
    return last["reduction"], last.get("num_chs_norm", last["num_chs"])


def _blocks(net: nn.Module) -> tuple[nn.Module, ...]:
    modules = dict(net.named_modules())
    stages = [modules[info["module"]] for info in _infos(net) if info["module"] in modules]
    parts = [part for stage in stages for part in (stage if isinstance(stage, nn.Sequential) else [stage])]
    return tuple(part for part in parts if list(part.parameters())) or tuple(net.children())
