"""Processes of simulations: what they return, and that they end with the one that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from toolkit.data.world.side_by_side import side_by_side

STOPPED = """
import sys
from stopped_work import wait
from toolkit.data.world.side_by_side import side_by_side
def told(share):
    print(share, flush=True)
if __name__ == "__main__":
    try:
        side_by_side(wait, [(60.0,), (60.0,)], 2, told)
    except KeyboardInterrupt:
        sys.exit(130)
"""
WAIT = """
import time
def wait(seconds, passed):
    passed.put(1)
    time.sleep(seconds)
"""


def doubled(number: int, passed: Any) -> int:
    """Return twice a number."""
    passed.put(1)
    return 2 * number


@pytest.mark.slow
def test_results_come_in_order_and_progress_ends_at_one() -> None:
    """However many processes there are."""
    shares: list[float] = []
    assert side_by_side(doubled, [(3,), (1,), (2,)], 3, shares.append) == [6, 2, 4]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.0, 0.3, 1.0])
def test_ctrl_c_ends_all_simulations(tmp_path: Path, after: float) -> None:
    """The signal, which a terminal sends to all, ends them at once and without a word, even while they begin."""
    (tmp_path / "stopped_work.py").write_text(WAIT)
    (tmp_path / "main.py").write_text(STOPPED)
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    words = [sys.executable, "main.py"]
    with subprocess.Popen(words, start_new_session=True, cwd=tmp_path, **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(after)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=20)  # ends when no process has its standard error any more
    assert (process.returncode, said) == (130, "")
