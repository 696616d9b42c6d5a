"""Runs with few labels against runs with many, on the same test windows: paired differences over storms and seeds.

Run: python benchmarks/few_labels.py OURS... --against THEIRS... with run folders of `toolkit finetune`, one per
training seed, all on one world. Each row gives the mean of the seeds on either side, and their difference with a
95 % interval that draws storms and seeds anew.
"""

import argparse
from pathlib import Path

import pandas as pd

from toolkit.evaluate import differences, metric_intervals
from toolkit.evaluate_run import recorded, recorded_task
from toolkit.metrics import Scores
from toolkit.recorded_scores import recorded_scores, recorded_test
from toolkit.saved import load_adapted


def scores(run: Path) -> Scores:
    """Score a run's predictions.csv on the test windows of its world."""
    task = recorded_task(recorded(run))
    card = load_adapted(run, task)[0].card
    return recorded_scores(task, run, recorded_test(task, run, card.spec.grid_degrees if card else None))


def main() -> None:
    """Print one row per metric."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ours", nargs="+", type=Path)
    parser.add_argument("--against", nargs="+", type=Path, required=True)
    given = parser.parse_args()
    ours, theirs = ([scores(run) for run in runs] for runs in (given.ours, given.against))
    metrics = ours[0].metrics
    left, right = metric_intervals(metrics, ours), metric_intervals(metrics, theirs)
    rows = [
        {
            "metric": name,
            "unit": left[name]["unit"],
            "better": left[name]["better"],
            "ours": left[name]["value"],
            "theirs": right[name]["value"],
            "difference": f"{d['value']:.3f} [{d['low']:.3f}, {d['high']:.3f}]" + " *" * d["excludes_zero"],
        }
        for name, d in differences(metrics, ours, theirs).items()
    ]
    print(pd.DataFrame(rows).to_string(index=False))
    print(f"{len(ours)} runs against {len(theirs)}; * the interval excludes zero")


if __name__ == "__main__":
    main()
