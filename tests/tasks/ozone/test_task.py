from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.ozone.labels import NAME
from tasks.ozone.scores import LIMIT_PPB, forecast_metrics
from tasks.ozone.task import ozone
from toolkit.errors import UserError
from toolkit.metrics import evaluate_metrics
from toolkit.split import ByBlock, ByColumn, ByYear

COLUMNS = [f"{NAME}_{lead}d" for lead in (1, 2, 3, 4)]


def tables(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """True daily maxima of 300 examples at 30 stations, and the examples."""
    rng = np.random.default_rng(seed)
    truth = pd.DataFrame(rng.normal(50, 12, (300, 4)), columns=COLUMNS)
    truth.insert(0, "example", np.arange(300))
    examples = pd.DataFrame({"group": [f"S{k % 30}" for k in range(300)]}).rename_axis("example")
    examples["type_of_area"] = np.array(["rural", "suburban", "urban"])[np.arange(300) % 3]
    return truth, examples


def test_a_forecast_task_is_split_in_time_and_by_request_in_space() -> None:
    """Stations may be in all parts at other times; with blocks they are in one."""
    assert ozone().split == ByYear(8.0, whole_groups=False)
    assert ozone(split="blocks", fold=2).split == ByBlock(10.0, fold=2)


def test_windows_have_the_station_in_the_middle() -> None:
    """Every row is an example by itself and lies in the middle of its window."""
    task = ozone()
    assert task.placement.margin is None
    assert not task.placement.objects


def test_a_perfect_forecast_scores_perfect() -> None:
    """The truth as the forecast has every metric's best value, the thresholds chosen on it included."""
    truth, examples = tables()
    task = ozone()
    kept = task.keep(truth, task.choose(truth, truth, examples))
    values = evaluate_metrics(task.metrics, kept, truth, examples).values()
    for metric in task.metrics:
        assert values[metric.name] == pytest.approx(metric.perfect)


def test_scores_by_lead_and_area_are_of_those_alone() -> None:
    """An error at one lead, or at one type of area, shows in its own score and not in the others'."""
    truth, examples = tables()
    said = truth.copy()
    urban = (examples["type_of_area"] == "urban").to_numpy()
    said.loc[urban, COLUMNS[2]] += 9.0
    task = ozone()
    kept = task.keep(said, dict.fromkeys([f"{column}_exceeds" for column in COLUMNS], LIMIT_PPB))
    values = evaluate_metrics(forecast_metrics((1, 2, 3, 4)), kept, truth, examples).values()
    assert values["rmse_1d"] == values["rmse_rural"] == values["rmse_suburban"] == 0
    assert values["rmse_3d"] == pytest.approx(np.sqrt(81 * urban.mean()))
    assert values["rmse_urban"] == pytest.approx(4.5)
    assert values["absolute_bias"] == pytest.approx(9 * urban.mean() / 4)


def test_a_forecast_drawn_to_the_mean_may_still_warn() -> None:
    """From which stated value on a day is said to exceed the limit is chosen: halved anomalies lose no warning."""
    truth, examples = tables()
    said = truth.copy()
    said[COLUMNS] = 50 + (truth[COLUMNS] - 50) / 2
    task = ozone()
    thresholds = task.choose(said, truth, examples)
    assert all(54 < value < 56 for value in thresholds.values())
    values = evaluate_metrics(task.metrics, task.keep(said, thresholds), truth, examples).values()
    assert values["csi"] == 1.0


def test_aq_bench_is_known_by_its_header(real_data: Path) -> None:
    """With AQ-Bench's file the task looks at no fields, keeps the official split and leaves coordinates out."""
    path = real_data / "ozone" / "AQbench_dataset.csv"
    task = ozone(data=path)
    assert not task.sees_fields
    assert isinstance(task.split, ByColumn)
    assert not {"latitude", "longitude", "dataset"} & set(task.inputs.columns)
    assert "longitude" in ozone(data=path, coordinates=True).inputs.columns
    assert {"rmse", "r2"} <= {metric.name for metric in task.metrics}
    parts = task.split(task.labels(path)).value_counts()
    assert parts.to_dict() == {"train": 3348, "validation": 1114, "test": 1115}
    with pytest.raises(UserError, match="No target 'o3_avg'"):
        ozone(data=path, target="o3_avg")
