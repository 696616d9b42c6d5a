import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from toolkit import pretrain_dry_run
from toolkit.cli import app
from toolkit.config import PretrainSettings
from toolkit.errors import UserError
from toolkit.pretexts.contract import Views
from toolkit.pretrain import Pretraining
from toolkit.pretrain_dry_run import PretrainEstimate, estimate_pretraining, kept_bytes
from toolkit.pretrain_run import made_ready
from toolkit.told import Told


def settings(world: Path, **others: Any) -> PretrainSettings:
    """Two pretexts on a small transformer."""
    common = {"worlds": (world,), "pretext": {"masked": 1.0, "nextframe": 1.0}, "dim": 32, "depth": 2, "heads": 2}
    run = {"batch_size": 16, "max_steps": 50, "workers": 0, "threads": 1, "device": "cpu"}
    return PretrainSettings(**common | run | others)


@pytest.fixture(scope="module")
def estimated(tiny_world: Path):
    """What some settings would take."""

    def of(**others: Any) -> PretrainEstimate:
        expected = estimate_pretraining(settings(tiny_world, **others), Told())
        assert expected is not None
        return expected

    return of


class Layer(nn.Module):
    """A layer whose loss keeps its rectified output alone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 8))

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Return the mean square of what comes out, (b, 8)."""
        return {"layer": (views.clean.flatten(1) @ self.weight).relu().square().mean()}


def test_what_is_kept_for_the_gradient_is_counted_once() -> None:
    """By hand: of a layer with a rectifier the output is kept, b x 8 numbers; weights and windows are there anyway."""
    views = Views(torch.randn(6, 1, 2, 2), torch.zeros(0), torch.zeros(0), {})
    assert kept_bytes(Layer(), views, "no", "cpu") == 6 * 8 * 4
    assert kept_bytes(Layer(), views, "bf16", "cpu") == (6 * 8 + 6 * 4) * 2, "the windows in bf16 are kept too"


@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_of_a_large_batch_are_foreseen(tiny_world: Path, checkpointing: bool) -> None:
    """What two small batches say of a batch of 32 is what it keeps, and with checkpointing less is kept."""
    chosen = settings(tiny_world, batch_size=32, checkpointing=checkpointing)
    ready = made_ready(chosen, Told())
    model = Pretraining(ready.recipe, 0)
    said = pretrain_dry_run._memory(model, ready, chosen, "cpu", 1)["activations"]
    views = pretrain_dry_run._views(ready, 32, "cpu")
    kept = kept_bytes(Pretraining(ready.recipe, 0), views, "no", "cpu")
    if checkpointing:
        assert kept_bytes(model, views, "no", "cpu") < said < 0.75 * kept
    else:
        assert said == pytest.approx(kept, rel=0.02)


@pytest.mark.slow
def test_an_estimate_knows_the_size_of_everything(estimated, tiny_world: Path) -> None:
    """Parameters are those of the parts, a step's windows those of all its batches, and times add up to the whole."""
    expected = estimated(accumulate=3)
    ready = made_ready(settings(tiny_world), Told())
    model = Pretraining(ready.recipe, 0)
    assert expected.encoder == sum(p.numel() for p in model.backbone.parameters())
    assert expected.modules == {n: sum(p.numel() for p in m.parameters()) for n, m in model.pretexts.items()}
    assert expected.times == {str(tiny_world): len(ready.windows[0].times)}
    assert (expected.steps, expected.processes, expected.windows_per_step) == (50, 1, 48)
    assert expected.seconds == pytest.approx(50 * expected.seconds_per_step)
    assert expected.windows_per_second == pytest.approx(48 / expected.seconds_per_step)
    assert expected.memory_bytes == sum(expected.memory.values())
    weights = 4 * (expected.encoder + sum(expected.modules.values()))
    assert (expected.memory["weights"], expected.memory["gradients"]) == (weights, weights)
    assert expected.memory["optimizer"] == 2 * weights


@pytest.mark.slow
def test_memory_goes_with_the_settings(estimated) -> None:
    """Gradient descent keeps one number of each parameter; a mean of the weights is as large as they are."""
    plain, other = estimated(), estimated(optimizer="sgd", average=0.9)
    assert other.memory["optimizer"] == plain.memory["optimizer"] // 2
    assert other.memory["mean weights"] == plain.memory["weights"]


@pytest.mark.slow
def test_a_gpu_that_is_too_small_is_told(tiny_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Running out of memory while steps are timed is one sentence with what to change."""

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(pretrain_dry_run, "pretrain", full)
    with pytest.raises(UserError, match=r"too little memory for steps of 4 windows.*GiB.*checkpointing=true"):
        estimate_pretraining(settings(tiny_world), Told())


@pytest.mark.slow
def test_the_command_prints_an_estimate_and_writes_nothing(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--dry-run` takes the flags of the run, answers as a table or as JSON, and leaves no folder behind."""
    monkeypatch.chdir(tmp_path)
    words = ["pretrain", "--world", str(tiny_world), "--pretext", "masked", "--backbone", "resnet", "window=[32,32]"]
    words += ["--batch-size", "8", "--accumulate", "2", "--workers", "0", "--max-steps", "100", "--threads", "1"]
    words += ["--dry-run", "-q", "first_steps=10", "frames=[0]"]
    answer = CliRunner().invoke(app, [*words, "--json"])
    assert answer.exit_code == 0, answer.stderr
    said = json.loads(answer.stdout)
    assert (said["encoder"], said["windows_per_step"], said["steps"]) == (2_271_920, 16, 100)
    answer = CliRunner().invoke(app, words)
    table = {line.split("  ")[0]: line for line in answer.stdout.splitlines()}
    assert "100, the first 10 of them over the same 2,000 batches" in table["steps"]
    assert "16 in each step (processes x batches x windows: 1 x 2 x 8)" in table["windows"]
    assert "encoder 2,271,920" in table["parameters"]
    assert "GiB in each process on cpu" in table["memory"]
    assert not list(tmp_path.iterdir())
