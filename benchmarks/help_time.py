"""Time `toolkit --help` against a bare start of the same Python, in one run.

Run from the repository root: python benchmarks/help_time.py
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

REPEATS = 9
LIMIT_S = 0.4


def seconds(command: list[str]) -> list[float]:
    """Return how long each of several runs of a command takes."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return times


def main() -> None:
    """Print both times, their ratio, and whether the help is within its budget."""
    bare = seconds([sys.executable, "-c", "pass"])
    own = seconds([str(Path(sys.executable).with_name("toolkit")), "--help"])
    print(f"python -c pass: median {statistics.median(bare):.3f} s, fastest {min(bare):.3f} s")
    print(f"toolkit --help: median {statistics.median(own):.3f} s, fastest {min(own):.3f} s (budget {LIMIT_S} s)")
    print(f"ratio of the medians: {statistics.median(own) / statistics.median(bare):.1f}")


if __name__ == "__main__":
    main()
