import json
import math
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from toolkit.data.store import Store
from toolkit.errors import UserError
from toolkit.train import Losses, Run, Schedule, train

OF_TIME = ("seconds", "waiting_share", "windows_per_second")
KILLABLE = Path(__file__).with_name("killable.py")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Line(nn.Module):
    """A straight line with dropout in front: parameters "body" (matrix, vector) and "head" (scalar), a buffer."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body = nn.Linear(4, 1)
        self.head = nn.Parameter(torch.ones(()))
        self.drop = nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return the line's values at points x (b, 4)."""
        if self.training:
            self.seen += 1
        return self.head * self.body(self.drop(x))[:, 0]


def batch(step: int) -> tuple[Tensor, Tensor]:
    """Sixteen points of a line, from the step alone."""
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
    return x, x @ torch.tensor([1.0, -2.0, 3.0, 0.5])


def losses(model: nn.Module, points: tuple[Tensor, Tensor]) -> Losses:
    """The squared error, and a small penalty."""
    x, y = points
    return {"error": (model(x) - y).square().mean(), "penalty": 1e-3 * model(x).square().mean()}


def schedule(steps: int = 20, **others: object) -> Schedule:
    """A short schedule with a checkpoint every four steps."""
    return Schedule(**{"steps": steps, "batch_size": 16, "learning_rates": {"": 0.05}, "checkpoint_every": 4} | others)


def stop_at(step: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Batches that end in an interrupt."""

    def interrupted(number: int) -> tuple[Tensor, Tensor]:
        if number == step:
            raise KeyboardInterrupt
        return batch(number)

    return interrupted


def lines(folder: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl, which must be JSON without NaN."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    return [json.loads(line, parse_constant=refuse) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Both hold the same names and bits."""
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def trained(model: nn.Module, *given: Any) -> nn.Module:
    """The model after `train`."""
    train(model, *given)
    return model


def test_training_learns_and_logs(tmp_path: Path) -> None:
    """The loss falls; every step has a line with loss, parts, gradient, rate and the time spent waiting."""
    torch.manual_seed(123)

    def slow(step: int) -> tuple[Tensor, Tensor]:
        time.sleep(0.005)
        return batch(step)

    told: list[dict[str, float]] = []
    model = trained(Line(), slow, losses, schedule(60, learning_rates={"": 0.1}), Run(tmp_path, report=told.append))
    written = lines(tmp_path)
    assert [line["step"] for line in written] == list(range(60))
    assert [line["step"] for line in told] == list(range(60))
    assert written[-1]["error"] < 0.5 * written[0]["error"]
    for line in written:
        assert line["loss"] == pytest.approx(line["error"] + line["penalty"], abs=1e-5)
        assert line["gradient_norm"] > 0
        assert 0 < line["waiting_share"] <= 1
    assert written[-1]["seconds"] * written[-1]["waiting_share"] > 60 * 0.004
    assert not model.training


def test_rates_warm_up_and_fall_to_nothing(tmp_path: Path) -> None:
    """The rate rises in a line to its peak, then falls as half a cosine to nearly nothing."""
    train(Line(), batch, losses, schedule(40, warmup_share=0.25), Run(tmp_path))
    rates = [line["learning_rate"] for line in lines(tmp_path)]
    assert rates[:10] == pytest.approx([0.05 * (k + 1) / 10 for k in range(10)])
    assert rates[10:] == pytest.approx([0.025 * (1 + math.cos(math.pi * k / 30)) for k in range(30)], abs=1e-7)


def test_an_interrupted_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    """Interrupted between checkpoints and resumed, a run ends in the bits of an undisturbed one."""
    whole = trained(Line(), batch, losses, schedule(), Run(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(Line(), stop_at(10), losses, schedule(), Run(tmp_path / "cut"))
    resumed = trained(Line(), batch, losses, schedule(), Run(tmp_path / "cut", resume=True))
    assert_equal(whole.state_dict(), resumed.state_dict())
    again = trained(Line(), stop_at(0), losses, schedule(), Run(tmp_path / "cut", resume=True))
    assert_equal(whole.state_dict(), again.state_dict())


def test_what_a_model_draws_goes_by_the_seed(tmp_path: Path) -> None:
    """Dropout and the like differ between steps and between seeds, also between those that differ by 256."""

    def drawn(seed: int) -> list[float]:
        found: list[float] = []

        def drawing(model: nn.Module, points: tuple[Tensor, Tensor]) -> Losses:
            found.append(torch.rand(1).item())
            return losses(model, points)

        trained(Line(), batch, drawing, schedule(3, seed=seed), Run(tmp_path / str(seed)))
        return found

    assert len({*drawn(0), *drawn(256)}) == 6


def test_resuming_drops_lines_after_the_checkpoint(tmp_path: Path) -> None:
    """Of a killed run the lines after the checkpoint, and a line cut in the middle, are dropped and written anew."""
    whole = trained(Line(), batch, losses, schedule(), Run(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(Line(), stop_at(10), losses, schedule(), Run(tmp_path / "cut"))
    log = tmp_path / "cut" / "metrics.jsonl"
    before = log.read_text().splitlines()
    assert len(before) == 10
    log.write_text("\n".join([*before, '{"step": 10, "los']))
    train(whole, batch, losses, schedule(), Run(tmp_path / "cut", resume=True))
    assert log.read_text().splitlines()[:8] == before[:8]
    assert [line["step"] for line in lines(tmp_path / "cut")] == list(range(20))
    seconds = [line["seconds"] for line in lines(tmp_path / "cut")]
    assert seconds == sorted(seconds)
    losses_of = [[line["loss"] for line in lines(tmp_path / name)] for name in ("whole", "cut")]
    assert losses_of[0] == losses_of[1]


def test_a_run_without_a_checkpoint_begins_anew(tmp_path: Path) -> None:
    """Killed before its first checkpoint, a run resumes from the beginning."""
    with pytest.raises(KeyboardInterrupt):
        train(Line(), stop_at(3), losses, schedule(), Run(tmp_path))
    train(Line(), batch, losses, schedule(), Run(tmp_path, resume=True))
    assert [line["step"] for line in lines(tmp_path)] == list(range(20))


def test_processes_that_find_different_checkpoints_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that do not share the run's folder are told so, with the steps that each has done."""
    monkeypatch.setattr("toolkit.train.Accelerator.gather", lambda _self, _step: torch.tensor([8, 0]))
    with pytest.raises(UserError, match=r"do not find the same checkpoint in .*: the steps done are \[8, 0\]"):
        train(Line(), batch, losses, schedule(), Run(tmp_path, resume=True))


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    """Resuming with other weights names the checkpoint; so does a damaged one."""
    train(Line(), batch, losses, schedule(), Run(tmp_path))
    other = Line()
    other.body = nn.Linear(4, 2)
    with pytest.raises(UserError, match=r"last\.pt belongs to another model or method"):
        train(other, batch, losses, schedule(), Run(tmp_path, resume=True))
    path = tmp_path / "checkpoints" / "last.pt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"last\.pt cannot be read"):
        train(Line(), batch, losses, schedule(), Run(tmp_path, resume=True))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda x, y: (x * torch.nan, y), "At step 9 loss is nan"),
        (lambda x, y: (x, y + torch.inf), "At step 9 loss is inf"),
        (lambda x, y: (x * 0, y), "At step 9 gradient_norm is"),
    ],
    ids=["NaN in the data", "infinite target", "infinite gradient of a finite loss"],
)
def test_what_is_not_finite_stops_the_run(broken: Callable, said: str, tmp_path: Path) -> None:
    """A loss or gradient that is not finite stops the run with one sentence; the checkpoint before it stays."""

    def failing(step: int) -> tuple[Tensor, Tensor]:
        return broken(*batch(step)) if step == 9 else batch(step)

    def steep(model: nn.Module, points: tuple[Tensor, Tensor]) -> Losses:
        x, y = points
        return {"error": (model(x) - y).square().mean() + (model.head * x[0, 0]).abs().sqrt()}

    model = Line()
    with pytest.raises(UserError, match=said) as caught:
        train(model, failing, steep, schedule(), Run(tmp_path))
    assert "last good checkpoint is kept" in str(caught.value)
    assert "toolkit data check" in str(caught.value)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    kept = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)
    assert kept["step"] == 8
    assert all(torch.isfinite(value).all() for value in kept["weights"].values())
    assert len(lines(tmp_path)) == 9


def test_a_validation_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    """A validation score of NaN is an error, and no checkpoint is claimed where there is none."""
    with pytest.raises(UserError, match="At step 1 validation is nan") as caught:
        train(Line(), batch, losses, schedule(validate_every=2), Run(tmp_path), lambda _: math.nan)
    assert "checkpoint" not in str(caught.value)


def test_the_best_validated_weights_are_returned(tmp_path: Path) -> None:
    """The weights of the lowest validation score come back, after a resume too; validation sees an evaluated model."""
    scores = iter([3.0, 1.0, 2.0])
    kept: list[dict[str, Tensor]] = []

    def validate(model: nn.Module) -> float:
        assert not model.training
        kept.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(scores)

    with pytest.raises(KeyboardInterrupt):
        train(Line(), stop_at(13), losses, schedule(18, validate_every=6), Run(tmp_path), validate)
    best = trained(Line(), batch, losses, schedule(18, validate_every=6), Run(tmp_path, resume=True), validate)
    assert [line["validation"] for line in lines(tmp_path) if "validation" in line] == [3.0, 1.0, 2.0]
    assert_equal(best.state_dict(), kept[1])
    assert not torch.equal(kept[1]["body.weight"], kept[2]["body.weight"])


def test_rates_go_by_the_first_part_of_the_name(tmp_path: Path) -> None:
    """Parts train at their own rates, "" at the others' one; rate 0 and frozen parameters stay, no rate is an error."""
    before = Line().state_dict()
    after = trained(Line(), batch, losses, schedule(learning_rates={"body": 0.0, "": 0.1}), Run(tmp_path)).state_dict()
    assert torch.equal(before["body.weight"], after["body.weight"])
    assert not torch.equal(before["head"], after["head"])
    frozen = Line()
    frozen.body.requires_grad_(False)
    after = trained(frozen, batch, losses, schedule(), Run(tmp_path)).state_dict()
    assert torch.equal(before["body.bias"], after["body.bias"])
    with pytest.raises(KeyError):
        train(Line(), batch, losses, schedule(learning_rates={"body": 0.1}), Run(tmp_path))


def test_only_matrices_decay(tmp_path: Path) -> None:
    """Without a gradient a matrix shrinks by weight decay; biases and scalars stay as they are."""
    before = Line().state_dict()

    def nothing(model: nn.Module, points: tuple[Tensor, Tensor]) -> Losses:
        return {"nothing": 0 * model(points[0]).sum()}

    after = trained(Line(), batch, nothing, schedule(weight_decay=0.5), Run(tmp_path)).state_dict()
    assert after["body.weight"].abs().sum() < 0.9 * before["body.weight"].abs().sum()
    assert torch.equal(before["body.bias"], after["body.bias"])
    assert torch.equal(before["head"], after["head"])


SHARED = """
import sys
import torch
from pathlib import Path
from toolkit.train import Run, Schedule, train

def batch(number):
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(number))
    return x, x.sum(1)

def losses(model, points):
    return {"error": (model(points[0])[:, 0] - points[1]).square().mean()}

torch.set_num_threads(1)
torch.manual_seed(0)
model, together = torch.nn.Linear(4, 1), sys.argv[2] == "together"
pair = lambda number: tuple(torch.cat(both) for both in zip(batch(2 * number), batch(2 * number + 1)))
schedule = Schedule(6, 8, {"": 0.1}, checkpoint_every=3)
train(model, pair if together else batch, losses, schedule, Run(Path(sys.argv[1])))
torch.save(model.state_dict(), f"{sys.argv[1]}-{sys.argv[2]}.pt")
"""


@pytest.mark.slow
def test_two_processes_share_a_step(tmp_path: Path) -> None:
    """Two processes see different batches and end as one that sees both at once; one of them writes the log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    ranks = [{"RANK": rank, "LOCAL_RANK": rank} | common for rank in ("0", "1")]
    command = [sys.executable, "-P", "-c", SHARED, str(tmp_path / "run")]
    processes = [subprocess.Popen([*command, env["RANK"]], env=os.environ | env) for env in ranks]
    assert [process.wait(600) for process in processes] == [0, 0]
    subprocess.run([sys.executable, "-P", "-c", SHARED, str(tmp_path / "alone"), "together"], check=True, timeout=600)
    one, other, alone = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("run-0", "run-1", "alone-together")
    )
    assert_equal(one, other)
    assert all(torch.allclose(one[name], alone[name], atol=1e-6) for name in one)
    assert [line["step"] for line in lines(tmp_path / "run")] == list(range(6))


@pytest.fixture(scope="session")
def files(
    tmp_path_factory: pytest.TempPathFactory, smooth_store: Store, storm_labels: pd.DataFrame, random_backbone: Path
) -> Path:
    """A file with the paths of a store, labels and a backbone."""
    folder = tmp_path_factory.mktemp("files")
    storm_labels.to_csv(folder / "labels.csv", index=False)
    (folder / "files").write_text(f"{smooth_store.path}\n{folder / 'labels.csv'}\n{random_backbone}\n")
    return folder / "files"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["pretrain", "finetune"])
def test_kill_9_and_resume_end_in_the_same_weights(what: str, files: Path, tmp_path: Path) -> None:
    """A process killed by SIGKILL in the middle of training, then resumed, ends in the bits of an undisturbed one."""
    functions = runpy.run_path(str(KILLABLE))
    paths = [Path(line) for line in files.read_text().split()]
    log = tmp_path / "killed" / "metrics.jsonl"
    with subprocess.Popen([sys.executable, "-P", str(KILLABLE), what, str(files), str(tmp_path / "killed")]) as process:
        while process.poll() is None and not (log.exists() and len(log.read_text().splitlines()) > 12):
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert 12 < len(log.read_text().splitlines()) < functions["STEPS"]
    resumed = functions[what](paths, tmp_path / "killed", resume=True, pause=0)
    whole = functions[what](paths, tmp_path / "whole", resume=False, pause=0)
    assert_equal(resumed, whole)
    for line, other in zip(lines(tmp_path / "killed"), lines(tmp_path / "whole"), strict=True):
        assert {k: v for k, v in line.items() if k not in OF_TIME} == {
            k: v for k, v in other.items() if k not in OF_TIME
        }
