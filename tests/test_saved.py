import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from toolkit.adapt import Lora
from toolkit.backbones.known import build_backbone
from toolkit.backbones.weights import Backbone, load_backbone, save_backbone
from toolkit.columns import ColumnCode, Number, Word
from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.evaluate import outputs
from toolkit.examples import Examples, cut_examples
from toolkit.heads.features import Features, Given
from toolkit.parts import Parts, assemble, input_planes
from toolkit.saved import Saved, load_adapted, save_adapted
from toolkit.task import Inputs, Task

METHODS = ("probe", "lora", "full", "scratch")
THRESHOLDS = {"probability": 0.25}


CODE = ColumnCode((Number("height", 12.5, 3.25, (1.0, 12.0, 30.5)),), (Word("kind", ("rural", "urban")),))


class Columns(nn.Module):
    """A head that looks at columns alone."""

    def __init__(self, given: Given) -> None:
        super().__init__()
        self.linear = nn.Linear(given.columns.width, 2)

    def forward(self, features: Features) -> Tensor:
        """Return (b, 2)."""
        return self.linear(features.columns)


@pytest.fixture
def folder(random_backbone: Path, tmp_path: Path) -> Path:
    """A backbone's folder of the test's own."""
    return shutil.copytree(random_backbone, tmp_path / "backbone")


@pytest.fixture(scope="module")
def examples(small_task: Task, smooth_store: Store, storm_labels: pd.DataFrame) -> Examples:
    """A few windows."""
    own = (storm_labels["group"] == "AL032020").to_numpy()
    return cut_examples(small_task, smooth_store, storm_labels, own, seed=0).subset(np.arange(5))


def saved(method: str, task: Task, backbone: Backbone, folder: Path, run: Path) -> Parts:
    """Save a model whose trained weights are far from where they began."""
    parts = assemble(task, backbone.card, None if method == "scratch" else backbone, method, Lora(2, 4), seed=4)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in parts.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    run.mkdir(exist_ok=True)
    save_adapted(run, Saved(task.name, method, backbone.card, THRESHOLDS, str(folder)), parts)
    return parts


@pytest.mark.parametrize("method", METHODS)
def test_everything_beside_the_network_comes_back(
    method: str, small_task: Task, folder: Path, examples: Examples, tmp_path: Path
) -> None:
    """Parts that are loaded equal those that were saved, names and values of the readouts among them."""
    parts = saved(method, small_task, load_backbone(folder), folder, tmp_path / "run")
    loaded = load_adapted(tmp_path / "run", small_task)[1]
    assert replace(loaded, model=parts.model, readouts=parts.readouts) == parts
    x = input_planes(parts, examples, np.arange(2))
    before, after = parts.readouts(x), loaded.readouts(x)
    assert before.keys() == after.keys() == set(parts.handed)
    assert bool(before) == (method != "scratch")
    assert all(torch.equal(before[name], field) for name, field in after.items())


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_saved_model_says_the_same(
    method: str, small_task: Task, folder: Path, examples: Examples, tmp_path: Path
) -> None:
    """Loaded back, every method gives bit for bit the output it had, and knows what it belongs to."""
    backbone = load_backbone(folder)
    parts = saved(method, small_task, backbone, folder, tmp_path / "run")
    known, loaded = load_adapted(tmp_path / "run", small_task)
    assert known == Saved("hurricane", method, backbone.card, THRESHOLDS, str(folder))
    before, after = (outputs(p, examples) for p in (parts, loaded))
    np.testing.assert_array_equal(before, after)
    assert np.ptp(before) > 0
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert (
        files
        == {"model.json", "head.safetensors"}
        | {
            "probe": set(),
            "lora": {"adapter"},
            "full": {"backbone.safetensors"},
            "scratch": {"backbone.safetensors"},
        }[method]
    )


def test_an_adapter_is_pefts_own(small_task: Task, folder: Path, tmp_path: Path) -> None:
    """The adapter's folder holds peft's configuration and the updates alone, without the backbone's weights."""
    saved("lora", small_task, load_backbone(folder), folder, tmp_path / "run")
    config = json.loads((tmp_path / "run/adapter/adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"
    assert config["r"] == 2
    size = (tmp_path / "run/adapter/adapter_model.safetensors").stat().st_size
    assert size < (folder / "model.safetensors").stat().st_size / 2


@pytest.mark.parametrize("method", METHODS)
def test_another_base_backbone_is_refused(method: str, small_task: Task, folder: Path, tmp_path: Path) -> None:
    """Where the base backbone has other weights than those trained on, both hashes are named."""
    card = saved(method, small_task, load_backbone(folder), folder, tmp_path / "run") and load_backbone(folder).card
    save_backbone(folder, card, build_backbone(card.spec, card.architecture, seed=9), {})
    with pytest.raises(UserError, match=f"trained on the backbone .* {card.weights_sha256[:12]}.* Fetch the former"):
        load_adapted(tmp_path / "run", small_task)


@pytest.mark.parametrize(
    ("method", "lacks"),
    [("probe", "head.safetensors"), ("lora", "adapter/adapter_model.safetensors"), ("full", "backbone.safetensors")],
)
def test_missing_weights_are_an_error(method: str, lacks: str, small_task: Task, folder: Path, tmp_path: Path) -> None:
    """Where a file of weights is missing, one sentence names the folder."""
    saved(method, small_task, load_backbone(folder), folder, tmp_path / "run")
    (tmp_path / "run" / lacks).unlink()
    with pytest.raises(UserError, match=r"The weights in .*run cannot be loaded"):
        load_adapted(tmp_path / "run", small_task)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "holds no fine-tuned model: model.json is missing"),
        ("{", "model.json is damaged"),
        ('{"task": 1}', "backbone, backbone_sha256, columns, method, thresholds missing"),
    ],
)
def test_a_damaged_description_is_an_error(
    text: str | None, said: str, small_task: Task, folder: Path, tmp_path: Path
) -> None:
    """Without model.json, or with a damaged one, it is said what is wrong."""
    saved("probe", small_task, load_backbone(folder), folder, tmp_path / "run")
    path = tmp_path / "run" / "model.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=said):
        load_adapted(tmp_path / "run", small_task)


def test_columns_are_encoded_as_they_were(small_task: Task, folder: Path, tmp_path: Path) -> None:
    """The statistics and words of the training rows come back with the model, a head that needs them too."""
    task = replace(small_task, head=Columns, readouts=())
    backbone = load_backbone(folder)
    parts = assemble(task, backbone.card, backbone, "probe", Lora(), 0, CODE)
    (tmp_path / "run").mkdir()
    save_adapted(tmp_path / "run", Saved(task.name, "probe", backbone.card, {}, str(folder)), parts)
    assert load_adapted(tmp_path / "run", task)[1].columns == CODE


def test_a_model_without_a_backbone_is_its_head_alone(small_task: Task, tmp_path: Path) -> None:
    """Of a task that looks at no fields the head and the columns' code are all there is, and all that is needed."""
    task = replace(small_task, inputs=Inputs(columns=("height", "kind")), head=Columns)
    parts = assemble(task, None, None, "scratch", Lora(), 5, CODE)
    save_adapted(tmp_path, Saved(task.name, "scratch", None), parts)
    assert {path.name for path in tmp_path.iterdir()} == {"model.json", "head.safetensors"}
    known, loaded = load_adapted(tmp_path, task)
    assert known == Saved(task.name, "scratch", None)
    assert loaded.columns == CODE
    given = torch.zeros(3, 1, 0, 0), {}, torch.rand(3, CODE.width)
    assert torch.equal(loaded.model(*given), parts.model.eval()(*given))


def test_another_tasks_head_is_an_error(small_task: Task, folder: Path, tmp_path: Path) -> None:
    """The weights of a head that the task does not build are refused."""
    saved("probe", small_task, load_backbone(folder), folder, tmp_path / "run")
    with pytest.raises(UserError, match="cannot be loaded"):
        load_adapted(tmp_path / "run", replace(small_task, readouts=()))
