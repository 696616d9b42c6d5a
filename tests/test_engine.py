"""Several processes that one launcher starts: they train together, and the run folder is that of one of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.backbones.weights import load_backbone
from toolkit.config import PretrainSettings
from toolkit.pretexts.known import pretext_named, pretext_names
from toolkit.pretrain_run import run_pretrain
from toolkit.runfolder import RunFolder
from toolkit.told import Told

# `accelerate launch --cpu` starts several processes only by MPI. With --multi_gpu it starts them itself, and the
# toolkit's own `--device cpu` keeps them off any GPU.
OF_TIME = ("seconds", "waiting_share", "windows_per_second")
LAUNCH = (
    "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1", "--main_process_port=0",
    "--mixed_precision=no", "--dynamo_backend=no", "-m", "toolkit",
)  # fmt: skip


def launched(folder: Path, *words: object) -> str:
    """Run `toolkit` with the given words in two processes with an empty cache; return what they print on stdout."""
    environment = os.environ | {"TOOLKIT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *LAUNCH, *map(str, words), "--device", "cpu", "--threads", "1"]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def steps_of(log: Path) -> list[int]:
    """Return the steps that a metrics.jsonl has lines of."""
    return [json.loads(line)["step"] for line in log.read_text().splitlines()]


@pytest.mark.slow
def test_two_processes_pretrain_one_backbone(tiny_world: Path, tmp_path: Path) -> None:
    """One folder, one line per step, one answer; the backbone is that of one process which accumulates both batches."""
    shape = {"dim": 16, "depth": 1, "heads": 2, "max_steps": 3, "batch_size": 4, "name": "tiny"}
    # A teacher's objective keeps means of what it saw, which is not the same in batches beside and after one another.
    pretexts = {name: 1.0 for name in pretext_names() if pretext_named(name).teacher is None}
    words = [f"{name}={value}" for name, value in shape.items()] + [f"--pretext={name}" for name in pretexts]
    said = launched(tmp_path, "pretrain", "--world", tiny_world, *words, "--out", "run")
    assert said.count("Backbone: run/tiny") == 1
    shared = tmp_path / "run"
    assert {path.name for path in shared.iterdir()} == {
        "checkpoints", "config.yaml", "env.json", "metrics.jsonl", "tiny"
    }  # fmt: skip
    assert steps_of(shared / "metrics.jsonl") == [0, 1, 2]
    backbone = load_backbone(shared / "tiny")
    assert "displacement_24h" in backbone.card.readouts
    settings = PretrainSettings(worlds=(tiny_world,), pretext=pretexts, threads=1, device="cpu", accumulate=2, **shape)
    alone = run_pretrain(settings, RunFolder(tmp_path / "alone", False, False, ()), Told())
    assert alone is not None
    both = [(path / "metrics.jsonl").read_text().splitlines() for path in (shared, alone.parent)]
    for line, expected in zip(*both, strict=True):
        numbers, wanted = ({k: v for k, v in json.loads(x).items() if k not in OF_TIME} for x in (line, expected))
        assert numbers == pytest.approx(wanted, rel=1e-4)


@pytest.mark.slow
def test_two_processes_finetune_into_one_folder(tiny_world: Path, random_backbone: Path, tmp_path: Path) -> None:
    """Both methods are trained together, scored, written and reported once."""
    words = ("hurricane", "--world", tiny_world, "--backbone", random_backbone, "--limit-batches=2", "--labels=4")
    words = ("finetune", *words, "--batch-size=4", "--no-baselines", "--out", "run", "--json")
    results = json.loads(launched(tmp_path, *words))
    run = tmp_path / "run"
    for log in (run / "metrics.jsonl", run / "scratch" / "metrics.jsonl"):
        assert steps_of(log) == [0, 1]
    assert (run / "report.html").is_file()
    assert json.loads((run / "results.json").read_text())["metrics"] == results["metrics"]
