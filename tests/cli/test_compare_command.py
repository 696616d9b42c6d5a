import json
from pathlib import Path

import pytest

TINY = ("dim=16", "depth=1", "heads=2", "batch_size=4", "probe.limit_batches=2", "probe.batch_size=4", "-q")


@pytest.mark.slow
def test_pretexts_are_compared_with_one_command(command, tiny_world: Path, tmp_path: Path) -> None:
    """The dry run says what there is to do and writes nothing; the run writes tables and picture and prints them."""
    folder = tmp_path / "out"
    named = ("--world", tiny_world, "--task-world", tiny_world, "--pretext", "masked", "--task", "hurricane")
    words = ("compare", *named, "--seeds", "1", "--steps", "2", "--out", folder, *TINY)
    planned = json.loads(command(*words, "--dry-run", "--json").stdout)
    assert planned["pretexts"]["masked"]["steps"] == 2
    assert planned["pretexts"]["masked"]["probed"] == {"hurricane": 0}
    assert not folder.exists()
    answer = command(*words)
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout.splitlines()[0].startswith("pretext  steps  operations, 1e12  hurricane: position_error_24h")
    assert {path.suffix for path in folder.glob("comparison.*")} == {".csv", ".json", ".md", ".png"}
    done = command(*words, "--dry-run").stdout.splitlines()
    assert all(line.count("1 of 1") == 2 for line in done[1:])
    again = command(*words, "--resume", "--json", "--task", "extremes")
    assert again.exit_code == 1
    assert list(json.loads(again.stdout)["failed"]) == ["none, seed 0, extremes"]
    assert "Failed: none, seed 0, extremes: " in again.stderr


def test_a_comparison_needs_a_world_and_known_names(command, tmp_path: Path) -> None:
    """What is missing or misspelt is one error, and no folder is made."""
    answer = command("compare", "--out", tmp_path / "out")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "worlds" in answer.stderr
    assert not (tmp_path / "out").exists()
