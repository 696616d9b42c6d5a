"""A fine-tuned model on disk: peft's own adapter folder or the whole backbone, the head, and what they belong to.

What the folder holds:
    model.json              task, method, threshold, the base backbone's name and SHA-256
    adapter/                the LoRA updates in peft's format (method lora)
    backbone.safetensors    every weight of the backbone (methods full and scratch)
    head.safetensors        the head
"""

import json
from dataclasses import dataclass
from pathlib import Path

import peft
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from toolkit.adapt import Adapted
from toolkit.backbones.card import Card, backbone_folder
from toolkit.backbones.vit import build
from toolkit.backbones.weights import Backbone, load_backbone
from toolkit.errors import UserError
from toolkit.files import whole_file, write_json
from toolkit.fit import Parts, usable_readouts
from toolkit.pretexts.known import readouts
from toolkit.task import Task


@dataclass(frozen=True)
class Saved:
    """What a saved model belongs to: task, method, the card of its base backbone, and the threshold it was given.

    `backbone`: where the base backbone is found, the name of a shipped one or a folder; without it, the card's name.
    """

    task: str
    method: str
    card: Card
    threshold: float
    backbone: str = ""


def save_adapted(folder: Path, saved: Saved, model: Adapted) -> None:
    """Write a model into its run folder."""
    if isinstance(model.backbone, peft.PeftModel):
        model.backbone.save_pretrained(str(folder / "adapter"))
    elif saved.method != "probe":
        _save(folder / "backbone.safetensors", model.backbone)
    _save(folder / "head.safetensors", model.head)
    content = {
        "task": saved.task,
        "method": saved.method,
        "threshold": saved.threshold,
        "backbone": saved.backbone or saved.card.name,
        "backbone_sha256": saved.card.weights_sha256,
    }
    write_json(folder / "model.json", content)


def load_adapted(folder: Path, task: Task) -> tuple[Saved, Parts]:
    """Load a model from its run folder; `UserError` where files are missing or the base backbone is another one."""
    try:
        content = json.loads((folder / "model.json").read_text())
    except FileNotFoundError:
        raise UserError(
            f"{folder} holds no fine-tuned model: model.json is missing. Finish the run with --resume."
        ) from None
    except ValueError as error:
        raise UserError(f"{folder / 'model.json'} is damaged: {error}. Fine-tune again.") from error
    if missing := {"task", "method", "threshold", "backbone", "backbone_sha256"} - set(content):
        raise UserError(f"{folder / 'model.json'} is damaged: {', '.join(sorted(missing))} missing. Fine-tune again.")
    base = load_backbone(backbone_folder(content["backbone"]))
    if base.card.weights_sha256 != (made_for := content["backbone_sha256"]):
        raise UserError(
            f"{folder} was trained on the backbone {content['backbone']} with SHA-256 {made_for[:12]}..., "
            f"the one found has {base.card.weights_sha256[:12]}... Fetch the former, or fine-tune again."
        )
    try:
        parts = _rebuilt(folder, task, content["method"], base)
    except (SafetensorError, RuntimeError, OSError, ValueError) as error:
        raise UserError(f"The weights in {folder} cannot be loaded: {error}") from error
    return Saved(content["task"], content["method"], base.card, content["threshold"], content["backbone"]), parts


def _rebuilt(folder: Path, task: Task, method: str, base: Backbone) -> Parts:
    names = usable_readouts(task, base.card) if method != "scratch" else {}
    head = task.head(base.card.spec, names)
    head.load_state_dict(load_file(folder / "head.safetensors"))
    module = build(base.card.spec, base.card.architecture, seed=0)
    body: nn.Module = module
    if method in ("probe", "lora"):
        module.load_state_dict(base.module.state_dict())
    if method == "lora":
        body = peft.PeftModel.from_pretrained(module, str(folder / "adapter"))
    elif method in ("full", "scratch"):
        module.load_state_dict(load_file(folder / "backbone.safetensors"))
    return Parts(Adapted(body, head, base.card.spec.patch).eval(), readouts(base, names), base.card.normalisation)


def _save(path: Path, module: nn.Module) -> None:
    with whole_file(path) as temporary:
        save_file({name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}, temporary)
