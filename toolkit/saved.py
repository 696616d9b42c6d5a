"""A fine-tuned model on disk: peft's own adapter folder or the whole backbone, the head, and what they belong to.

What the folder holds:
    model.json              task, method, thresholds, how columns are encoded, the base backbone's name and SHA-256
    adapter/                the LoRA updates in peft's format (method lora)
    backbone.safetensors    every weight of the backbone (methods full and scratch)
    head.safetensors        the head
"""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import peft
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from toolkit.adapt import Adapted, Lora
from toolkit.backbones.card import Card, backbone_folder
from toolkit.backbones.contract import Network
from toolkit.backbones.weights import Backbone, load_backbone
from toolkit.columns import ColumnCode
from toolkit.errors import UserError
from toolkit.files import whole_file, write_json
from toolkit.parts import Parts, assemble
from toolkit.task import Task, Thresholds


@dataclass(frozen=True)
class Saved:
    """What a saved model belongs to: task, method, the card of its base backbone, and the thresholds it was given.

    `card` is None for a model without a backbone. `backbone`: where the base backbone is found, the name of a shipped
    one or a folder; without it, the card's name.
    """

    task: str
    method: str
    card: Card | None
    thresholds: Thresholds = field(default_factory=dict)
    backbone: str = ""


def save_adapted(folder: Path, saved: Saved, parts: Parts) -> None:
    """Write a model into its run folder."""
    model = parts.model
    if isinstance(model.backbone, peft.PeftModel):
        model.backbone.save_pretrained(str(folder / "adapter"))
    elif model.backbone is not None and saved.method != "probe":
        _save(folder / "backbone.safetensors", model.backbone)
    _save(folder / "head.safetensors", model.head)
    content: dict[str, Any] = {
        "task": saved.task,
        "method": saved.method,
        "thresholds": dict(saved.thresholds),
        "columns": asdict(parts.columns),
    }
    if saved.card:
        content |= {"backbone": saved.backbone or saved.card.name, "backbone_sha256": saved.card.weights_sha256}
    write_json(folder / "model.json", content)


def load_adapted(folder: Path, task: Task) -> tuple[Saved, Parts]:
    """Load a model from its run folder; `UserError` where files are missing or the base backbone is another one."""
    content = _described(folder, task)
    base = _base(folder, content) if task.sees_fields else None
    try:
        columns = TypeAdapter(ColumnCode).validate_python(content["columns"])
        parts = _rebuilt(folder, task, content["method"], base, columns)
    except (SafetensorError, RuntimeError, OSError, ValueError) as error:
        raise UserError(f"The weights in {folder} cannot be loaded: {error}") from error
    card = base.card if base else None
    return Saved(content["task"], content["method"], card, content["thresholds"], content.get("backbone", "")), parts


def _described(folder: Path, task: Task) -> dict[str, Any]:
    """Read model.json."""
    try:
        content = json.loads((folder / "model.json").read_text())
    except FileNotFoundError:
        raise UserError(
            f"{folder} holds no fine-tuned model: model.json is missing. Finish the run with --resume."
        ) from None
    except ValueError as error:
        raise UserError(f"{folder / 'model.json'} is damaged: {error}. Fine-tune again.") from error
    needed = {"task", "method", "thresholds", "columns", *(("backbone", "backbone_sha256") if task.sees_fields else ())}
    if missing := needed - set(content):
        raise UserError(f"{folder / 'model.json'} is damaged: {', '.join(sorted(missing))} missing. Fine-tune again.")
    return dict(content)


def _base(folder: Path, content: dict[str, Any]) -> Backbone:
    base = load_backbone(backbone_folder(content["backbone"]))
    if base.card.weights_sha256 != (made_for := content["backbone_sha256"]):
        raise UserError(
            f"{folder} was trained on the backbone {content['backbone']} with SHA-256 {made_for[:12]}..., "
            f"the one found has {base.card.weights_sha256[:12]}... Fetch the former, or fine-tune again."
        )
    return base


def _rebuilt(folder: Path, task: Task, method: str, base: Backbone | None, columns: ColumnCode) -> Parts:
    """Assemble the model without training and load what was saved of it."""
    if base is None:
        parts = assemble(task, None, None, method, Lora(), 0, columns)
        parts.model.head.load_state_dict(load_file(folder / "head.safetensors"))
        parts.model.eval()
        return parts
    bare = "full" if method == "lora" else method
    parts = assemble(task, base.card, None if method == "scratch" else base, bare, Lora(), 0, columns)
    module, head = parts.model.backbone, parts.model.head
    assert isinstance(module, Network)
    head.load_state_dict(load_file(folder / "head.safetensors"))
    body: nn.Module = module
    if method == "lora":
        body = peft.PeftModel.from_pretrained(module, str(folder / "adapter"))
    elif method in ("full", "scratch"):
        module.load_state_dict(load_file(folder / "backbone.safetensors"))
    return replace(parts, model=Adapted(body, head, base.card.spec).eval())


def _save(path: Path, module: nn.Module) -> None:
    with whole_file(path) as temporary:
        save_file({name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}, temporary)
