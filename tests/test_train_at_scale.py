"""Training by several processes, in several batches a step, with means of the weights, in lower precision, compiled."""

import json
import os
import shutil
import socket
import subprocess
import sys
import types
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from toolkit.errors import UserError
from toolkit.train import Losses, Run, Schedule, train

OF_TIME = ("seconds", "waiting_share", "windows_per_second")
TRUTH = torch.tensor([1.0, -2.0, 3.0, 0.5])


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Line(nn.Module):
    """A straight line, with dropout in front where it is asked for."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body = nn.Linear(4, 1)
        self.drop = nn.Dropout(dropout)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Return the line's values at points x (b, 4)."""
        self.seen += int(self.training)
        return self.body(self.drop(x))[:, 0]


def batch(number: int) -> tuple[Tensor, Tensor]:
    """Eight points of a line, from the number alone."""
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(number))
    return x, x @ TRUTH


def pair(number: int) -> tuple[Tensor, Tensor]:
    """Two batches as one."""
    one, other = batch(2 * number), batch(2 * number + 1)
    return torch.cat([one[0], other[0]]), torch.cat([one[1], other[1]])


def losses(model: nn.Module, points: tuple[Tensor, Tensor]) -> Losses:
    """The mean squared error, and a small penalty."""
    x, y = points
    return {"error": (model(x) - y).square().mean(), "penalty": 1e-3 * model(x).square().mean()}


def schedule(steps: int = 12, **others: object) -> Schedule:
    """A short schedule with a checkpoint every four steps."""
    return Schedule(**{"steps": steps, "batch_size": 8, "learning_rates": {"": 0.05}, "checkpoint_every": 4} | others)


def trained(folder: Path, model: nn.Module | None = None, of: Any = batch, plan: Schedule | None = None, **run: Any):
    """The weights of a line after training into a folder."""
    model = model or Line()
    train(model, of, losses, plan or schedule(), Run(folder, **run))
    return {name: value.clone() for name, value in model.state_dict().items()}


def stop_at(step: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Batches that end in an interrupt."""

    def interrupted(number: int) -> tuple[Tensor, Tensor]:
        if number == step:
            raise KeyboardInterrupt
        return batch(number)

    return interrupted


def lines(folder: Path, *without: str) -> list[dict[str, float]]:
    """The lines of metrics.jsonl, without what depends on time and some others."""
    read = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in (*OF_TIME, *without)} for line in read]


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor], atol: float = 0.0) -> None:
    """Both hold the same names and values; by default the same bits."""
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=atol)


def test_two_batches_of_a_step_are_one_of_both(tmp_path: Path) -> None:
    """Where the loss is a mean, accumulating gradients gives the weights and numbers of one batch twice the size."""
    two = trained(tmp_path / "two", plan=schedule(accumulate=2))
    one = trained(tmp_path / "one", of=pair)
    two.pop("seen")
    one.pop("seen")
    assert_same(two, one, atol=1e-6)
    for line, other in zip(lines(tmp_path / "two"), lines(tmp_path / "one"), strict=True):
        assert line == pytest.approx(other, rel=1e-4)


def test_windows_of_all_batches_count(tmp_path: Path) -> None:
    """A step's windows per second are those of all the batches that it accumulates."""
    trained(tmp_path, plan=schedule(accumulate=3))
    read = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    spent = [later["seconds"] - earlier["seconds"] for earlier, later in pairwise(read)]
    for line, seconds in zip(read[1:], spent, strict=True):
        assert line["windows_per_second"] == pytest.approx(24 / seconds, rel=0.05)


def test_accumulated_batches_survive_an_interrupt(tmp_path: Path) -> None:
    """A run that is stopped in the middle of a step goes on with the batches of that step."""
    whole = trained(tmp_path / "whole", Line(0.5), plan=schedule(accumulate=2))
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", Line(0.5), stop_at(13), schedule(accumulate=2))
    assert_same(whole, trained(tmp_path / "cut", Line(0.5), plan=schedule(accumulate=2), resume=True))
    assert lines(tmp_path / "whole") == lines(tmp_path / "cut")
    with pytest.raises(UserError, match=r"began with 2 batches in each step.*now there are 1\. Launch as many"):
        trained(tmp_path / "cut", Line(0.5), resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_processes_that_draw_ahead_change_nothing(workers: int, tmp_path: Path) -> None:
    """The same batches in the same order and the same random numbers in the model, after an interrupt too."""
    alone = trained(tmp_path / "alone", Line(0.5))
    assert_same(alone, trained(tmp_path / "ahead", Line(0.5), workers=workers))
    assert lines(tmp_path / "alone") == lines(tmp_path / "ahead")

    def stopping(model: nn.Module, points: tuple[Tensor, Tensor]) -> Losses:
        if model.seen == 12:
            raise KeyboardInterrupt
        return losses(model, points)

    with pytest.raises(KeyboardInterrupt):
        train(Line(0.5), batch, stopping, schedule(), Run(tmp_path / "cut", workers=workers))
    assert_same(alone, trained(tmp_path / "cut", Line(0.5), workers=workers, resume=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_batch_refuses_stops_the_run(workers: int, tmp_path: Path) -> None:
    """The user reads what is wrong with a batch, whoever draws it, and no more than that."""

    def failing(number: int) -> tuple[Tensor, Tensor]:
        if number == 6:
            raise UserError("The window does not fit.")
        return batch(number)

    with pytest.raises(UserError) as caught:
        trained(tmp_path, of=failing, workers=workers)
    assert str(caught.value) == "The window does not fit."


def test_the_mean_weights_follow_by_their_formula(tmp_path: Path) -> None:
    """By theta' <- m theta' + (1 - m) theta, done again here in double precision; a counter is taken over."""
    seen: list[dict[str, Tensor]] = []
    model = Line()

    def stepped(_share: float) -> None:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})

    train(model, batch, losses, schedule(average=0.8), Run(tmp_path), stepped=stepped)
    for name, reached in model.state_dict().items():
        mean = seen[0][name].double()
        for weights in seen[1:]:
            mean = 0.8 * mean + 0.2 * weights[name].double() if weights[name].is_floating_point() else weights[name]
        torch.testing.assert_close(reached.double(), mean.double(), rtol=0, atol=1e-6)
    assert not torch.equal(model.body.weight, seen[-1]["body.weight"])


def test_the_mean_weights_are_validated_and_training_goes_on_without_them(tmp_path: Path) -> None:
    """Validation sees the means, the weights that train are not touched by it, and the best means are kept."""
    scores, validated = iter([3.0, 1.0, 2.0]), []

    def validate(model: nn.Module) -> float:
        validated.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(scores)

    plan = schedule(average=0.8, validate_every=4)
    model = Line()
    train(model, batch, losses, plan, Run(tmp_path / "validated"), validate)
    assert_same(dict(model.state_dict()), validated[1])
    last = trained(tmp_path / "last", plan=schedule(average=0.8))
    assert_same(last, validated[2])
    assert lines(tmp_path / "validated", "validation") == lines(tmp_path / "last")


def test_the_mean_weights_survive_an_interrupt(tmp_path: Path) -> None:
    """Means, the weights behind them and the log of an interrupted run are those of an undisturbed one."""
    whole = trained(tmp_path / "whole", Line(0.5), plan=schedule(average=0.9))
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", Line(0.5), stop_at(10), schedule(average=0.9))
    assert_same(whole, trained(tmp_path / "cut", Line(0.5), plan=schedule(average=0.9), resume=True))
    kept = [torch.load(tmp_path / name / "checkpoints" / "last.pt", weights_only=True) for name in ("whole", "cut")]
    assert_same(kept[0]["weights"], kept[1]["weights"])
    assert_same(kept[0]["mean_weights"], kept[1]["mean_weights"])


@pytest.mark.slow
@pytest.mark.parametrize("cut", [31, 47])
def test_a_plateau_cuts_the_rate_after_an_interrupt_too(cut: int, tmp_path: Path) -> None:
    """Of a loss that stalls the rate falls where it would have fallen, and the weights are the same."""
    plan = schedule(56, decay="plateau", plateau_steps=2, plateau_from=20, optimizer="sgd", warmup_share=0.0)
    whole = trained(tmp_path / "whole", Line(0.5), plan=plan)
    rates = [line["learning_rate"] for line in lines(tmp_path / "whole")]
    assert rates[:38] == [0.05] * 38
    assert min(rates) == pytest.approx(0.005)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", Line(0.5), stop_at(cut), plan)
    assert_same(whole, trained(tmp_path / "cut", Line(0.5), plan=plan, resume=True))
    assert lines(tmp_path / "whole") == lines(tmp_path / "cut")


def test_gradient_descent_is_that_of_torch(tmp_path: Path) -> None:
    """Training by "sgd" ends where torch's own with momentum 0.9 ends."""
    plan = schedule(5, optimizer="sgd", warmup_share=0.0, weight_decay=0.0, gradient_norm=1e9)
    ours = trained(tmp_path, plan=plan)
    model, step = Line(), [line["learning_rate"] for line in lines(tmp_path)]
    descent = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)
    for number in range(5):
        descent.param_groups[0]["lr"] = step[number]
        descent.zero_grad()
        sum(losses(model, batch(number)).values()).backward()
        descent.step()
    torch.testing.assert_close(ours["body.weight"], model.body.weight.detach())


def test_a_diverging_loss_stops_the_run(tmp_path: Path) -> None:
    """A loss that grows without an end is named, with what to do, and the last good checkpoint stays."""
    plan = schedule(200, optimizer="sgd", learning_rates={"": 1.02}, gradient_norm=1e9, checkpoint_every=20)
    said = r"At step \d+ the loss diverges: it is .*, and of late more than 2 times the .* Lower the learning rate"
    with pytest.raises(UserError, match=said) as caught:
        trained(tmp_path, plan=plan)
    assert "last good checkpoint is kept" in str(caught.value)
    kept = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)
    assert kept["step"] == 20
    assert all(torch.isfinite(value).all() for value in kept["weights"].values())


def test_one_strange_batch_is_no_divergence(tmp_path: Path) -> None:
    """A loss that is a thousand times as high in a single step, or twice as high in a few, does not stop the run."""

    def strange(model: nn.Module, points: tuple[Tensor, Tensor]) -> Losses:
        step = int(model.seen)
        raised = 1000.0 if step == 30 else 2.5 if 40 < step < 46 else 1.0
        return {"constant": 0 * model(points[0]).sum() + raised}

    train(Line(), batch, strange, schedule(60), Run(tmp_path))
    assert max(line["loss"] for line in lines(tmp_path)) == 1000


def test_bf16_trains(tmp_path: Path) -> None:
    """In mixed precision the weights stay in float32, the loss falls, and the trained model is as precise as before."""
    weights = trained(tmp_path, plan=schedule(40, learning_rates={"": 0.2}), precision="bf16")
    assert weights["body.weight"].dtype == torch.float32
    read = [line["loss"] for line in lines(tmp_path)]
    assert sum(read[-10:]) < 0.5 * sum(read[:10])
    model = Line()
    train(model, batch, losses, schedule(2), Run(tmp_path / "short", precision="bf16"))
    x = batch(0)[0]
    assert model(x).dtype == torch.float32
    assert torch.equal(model(x), nn.functional.linear(x, model.body.weight, model.body.bias)[:, 0])


def test_each_run_of_a_process_has_its_own_precision(tmp_path: Path) -> None:
    """A run in mixed precision after one without is what it is alone, and one without after it too."""
    plain, mixed, again = (
        trained(tmp_path / name, precision=precision) for name, precision in (("a", "no"), ("b", "bf16"), ("c", "no"))
    )
    assert_same(plain, again)
    assert not torch.equal(plain["body.weight"], mixed["body.weight"])


def test_bf16_survives_an_interrupt(tmp_path: Path) -> None:
    """An interrupted run in mixed precision ends in the bits of an undisturbed one."""
    whole = trained(tmp_path / "whole", Line(0.5), precision="bf16")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", Line(0.5), stop_at(10), precision="bf16")
    assert_same(whole, trained(tmp_path / "cut", Line(0.5), precision="bf16", resume=True))


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
def test_a_compiled_model_trains_to_the_same_weights(tmp_path: Path) -> None:
    """Compiled or not, the weights agree to float error and have the same names; so does a run that resumes."""
    plain = trained(tmp_path / "plain")
    assert_same(plain, trained(tmp_path / "compiled", compiled=True), atol=1e-5)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", of=stop_at(10), compiled=True)
    assert_same(plain, trained(tmp_path / "cut", compiled=True, resume=True), atol=1e-5)


def test_without_tensorboard_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers for TensorBoard without the package are an error that says what to install."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"TensorBoard is not installed: pip install 'earth-toolkit\[tensorboard\]'"):
        trained(tmp_path, tensorboard=True)


@pytest.mark.slow
def test_tensorboard_is_told_every_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets every number of every step, from where a resumed run begins on, and its files are closed."""
    written: dict[str, dict[int, float]] = {}
    opened: list[Any] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            self.folder, self.begins, self.closed = folder, purge_step, False
            opened.append(self)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.setdefault(name, {})[step] = value

        def close(self) -> None:
            self.closed = True

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, of=stop_at(6), tensorboard=True)
    trained(tmp_path, tensorboard=True, resume=True)
    begun = [(Path(writer.folder), writer.begins) for writer in opened]
    assert begun == [(tmp_path / "tensorboard", 0), (tmp_path / "tensorboard", 4)]
    assert all(writer.closed for writer in opened)
    for line in lines(tmp_path):
        assert all(written[name][line["step"]] == pytest.approx(value, rel=1e-5) for name, value in line.items())
    assert {"loss", "error", "gradient_norm", "learning_rate", *OF_TIME} <= set(written)


def test_tensorboard_writes_event_files(tmp_path: Path) -> None:
    """With the package there, event files appear in the run's folder."""
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    trained(tmp_path, tensorboard=True)
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))


TOGETHER = """
import runpy, sys
from pathlib import Path
import torch
from toolkit.train import Run
here = runpy.run_path(sys.argv[1])
torch.set_num_threads(1)
folder = Path(sys.argv[2])
plan = here["schedule"](24, decay="plateau", plateau_steps=1, average=0.8, warmup_share=0.0)
model = here["Line"]()

def losses(model, points):
    model.module.seen += int(sys.argv[3])
    return here["losses"](model, points)

here["train"](model, here["batch"], losses, plan, Run(folder, workers=1))
torch.save(model.state_dict(), f"{folder}-{sys.argv[3]}.pt")
"""


def launched(code: str, *words: object) -> list[subprocess.CompletedProcess[str]]:
    """Run code in two processes that train together over gloo."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, "-P", "-c", code, *map(str, words)]
    started = [
        subprocess.Popen([*command, rank], env=os.environ | common | {"RANK": rank, "LOCAL_RANK": rank}, text=True)
        for rank in ("0", "1")
    ]
    return [subprocess.CompletedProcess(command, process.wait(600)) for process in started]


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batches(tmp_path: Path) -> None:
    """Over gloo: the same loss curve, rates and mean weights as one process that accumulates two batches a step."""
    assert [p.returncode for p in launched(TOGETHER, __file__, tmp_path / "both")] == [0, 0]
    one, other = (torch.load(tmp_path / f"both-{rank}.pt", weights_only=True) for rank in "01")
    assert [one.pop("seen"), other.pop("seen")] == [48, 72], "each process has buffers of its own"
    assert_same(one, other)
    plan = schedule(24, decay="plateau", plateau_steps=1, average=0.8, warmup_share=0.0, accumulate=2)
    alone = trained(tmp_path / "alone", plan=plan)
    alone.pop("seen")
    assert_same(one, alone, atol=1e-6)
    read = lines(tmp_path / "both")
    for line, expected in zip(read, lines(tmp_path / "alone"), strict=True):
        assert line == pytest.approx(expected, rel=1e-4)
    assert read[-1]["learning_rate"] < read[0]["learning_rate"], "what the loss decides, both processes decide alike"
