"""Results as aligned text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

BLANK = "-"
SMALL = 0.01


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of cells as lines with aligned columns, numbers and all to the left."""
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)


def score_table(results: Mapping[str, Any]) -> str:
    """Return the headline of results.json: each metric with its interval and unit, from scratch, the best baseline."""
    scratch = (results.get("comparison") or {}).get("metrics", {})
    head = ["metric", results["method"], "95 % interval", "unit", "better", "scratch", "best baseline"]
    rows = [head if scratch else [*head[:5], head[6]]]
    for name, metric in results["metrics"].items():
        cells = [name, *scored(metric), metric["better"]]
        cells += [_number(scratch[name]["value"])] if scratch else []
        rows.append([*cells, _best(results.get("baselines") or {}, name, metric["better"])])
    return aligned(rows)


def metric_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return metrics with their intervals and units."""
    return aligned([["metric", "value", "95 % interval", "unit"], *([name, *scored(m)] for name, m in metrics.items())])


def scored(metric: Mapping[str, Any]) -> list[str]:
    """Return a metric's value, interval and unit as cells."""
    interval = f"[{_number(metric['low'])}, {_number(metric['high'])}]" if metric["low"] is not None else BLANK
    return [_number(metric["value"]), interval, metric["unit"]]


def _best(baselines: Mapping[str, Mapping[str, float | None]], metric: str, better: str) -> str:
    known = [(value, name) for name, scores in baselines.items() if (value := scores.get(metric)) is not None]
    if not known:
        return BLANK
    value, name = (min if better == "lower" else max)(known)
    return f"{_number(value)} ({name})"


def _number(value: float | None) -> str:
    if value is None:
        return "undefined"
    if 0 < abs(value) < SMALL:
        return f"{value:.3g}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
