"""The data doctor for fields: what is wrong with a dataset or a store, where, how often, and what to do about it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xarray import Dataset

from toolkit.data.normalise import Moments, Normalisation, no_moments, with_values
from toolkit.data.reading import reading
from toolkit.data.store import Store, as_dataset, time_blocks, verify
from toolkit.errors import UserError

# 850 hPa vorticity of ERA5 reaches 20 standard deviations on an ordinary day; no unit mistake is as small as threefold.
FARTHEST_DEVIATIONS = 60
LONGEST_GAP_DAYS = 10
"""Where more is missing, one stretch of data has ended and another begins."""
LARGEST_RATIO = 5


@dataclass(frozen=True)
class Finding:
    """One fault: `count` values or times of `variable` are wrong, the first at time `index` (None: all of them).

    `stops` says whether training must not go on with it.
    """

    file: str
    variable: str
    index: int | None
    count: int
    problem: str
    remedy: str
    stops: bool = True

    def __str__(self) -> str:
        where = "" if self.index is None else f", from time {self.index}"
        return f"{self.file}: {self.variable}{where}: {self.problem}. {self.remedy}"


def check_fields(fields: Dataset, file: str, statistics: Normalisation | None = None) -> list[Finding]:
    """Return what is wrong with a canonical dataset, read block by block; an empty list where all is well.

    Looked for: times out of order, repeated or left out; units that are missing or differ from those of `statistics`;
    NaN that `fields.attrs["missing_data"]` does not declare; infinity; and, for the variables of `statistics`, values
    more than 60 standard deviations from the mean and a mean or spread five times off, as a wrong unit gives.
    """
    names = [str(name) for name in fields.data_vars]
    counts, moments = _survey(fields, names, statistics)
    findings = _time_findings(fields["time"].to_numpy(), file)
    for name in names:
        if fields.attrs.get("missing_data", False):
            counts[name][0] = 0
        findings += _value_findings(counts[name], file, name)
        units = str(fields[name].attrs.get("units", ""))
        if not units:
            findings.append(Finding(file, name, None, 1, "no units", "Set the attribute 'units'."))
        if statistics is not None and name in statistics.names:
            channel = statistics.names.index(name)
            findings += _statistics_findings(moments[name], units, file, statistics, channel)
    return findings


def check_store(store: Store) -> list[Finding]:
    """Return what is wrong with a store: its content hash, and whatever `check_fields` finds in it."""
    findings = check_fields(as_dataset(store), str(store.path), store.normalisation)
    try:
        verify(store)
    except UserError as error:
        findings.append(Finding(str(store.path), "values.npy", None, 1, "content hash differs", str(error)))
    return findings


def _survey(
    fields: Dataset, names: list[str], statistics: Normalisation | None
) -> tuple[dict[str, NDArray[np.int64]], dict[str, Moments]]:
    """Read the fields once; count for each variable what is NaN, infinite, or too far from the mean: (3, t)."""
    usual = {}
    if statistics is not None:
        farthest = FARTHEST_DEVIATIONS * np.array(statistics.standard_deviation)
        usual = dict(zip(statistics.names, zip(statistics.mean, farthest, strict=True), strict=True))
    counts: dict[str, list[NDArray[np.int64]]] = {name: [] for name in names}
    moments = {name: no_moments(1) for name in names}
    for rows in time_blocks(fields):
        with reading(fields.attrs.get("source", "The dataset")):
            loaded = fields.isel(time=rows).compute()
        for name in names:
            values = loaded[name].to_numpy()
            mean, distance = usual.get(name, (0.0, np.inf))
            far = np.isfinite(values) & (np.abs(values - mean) > distance)
            faults = (np.isnan(values), np.isinf(values), far)
            counts[name].append(np.stack([fault.sum(axis=(1, 2)) for fault in faults]))
            moments[name] = with_values(moments[name], values[:, None])
    return {name: np.concatenate(blocks, axis=1) for name, blocks in counts.items()}, moments


def _value_findings(counts: NDArray[np.int64], file: str, name: str) -> list[Finding]:
    problems = (
        ("NaN that is not declared", "Repair the source, or declare that data may be missing (missing_data)."),
        ("infinite values", "Repair the source."),
        (f"values more than {FARTHEST_DEVIATIONS} standard deviations from the mean", "Look for corrupt fields there."),
    )
    findings = []
    for per_time, (problem, remedy) in zip(counts, problems, strict=True):
        if count := int(per_time.sum()):
            first = int(np.flatnonzero(per_time)[0])
            findings.append(Finding(file, name, first, count, f"{count} {problem}", remedy))
    return findings


def _statistics_findings(
    moments: Moments, units: str, file: str, statistics: Normalisation, channel: int
) -> list[Finding]:
    name, wanted = statistics.names[channel], statistics.units[channel]
    mean, deviation = statistics.mean[channel], statistics.standard_deviation[channel]
    findings = []
    if units and units != wanted:
        findings.append(Finding(file, name, None, 1, f"units '{units}' instead of '{wanted}'", "Convert them."))
    count, has_mean, has_deviation = int(moments.count[0]), float(moments.mean[0]), float(moments.deviation[0])
    ratio = has_deviation / deviation
    if count and (not 1 / LARGEST_RATIO < ratio < LARGEST_RATIO or abs(has_mean - mean) > LARGEST_RATIO * deviation):
        problem = f"mean {has_mean:.3g}, deviation {has_deviation:.3g} instead of {mean:.3g}, {deviation:.3g}"
        findings.append(Finding(file, name, None, count, problem, f"Check that the values are in '{wanted}'."))
    return findings


def _time_findings(time: NDArray[np.datetime64], file: str) -> list[Finding]:
    """Find times that go back, come twice, or are left out of the usual step (the commonest one)."""
    steps = np.diff(time).astype("timedelta64[s]").astype(int)
    ahead = steps[steps > 0]
    kinds, times = np.unique(ahead, return_counts=True)
    step = int(kinds[times.argmax()]) if ahead.size else 1
    lacking = np.where(steps <= LONGEST_GAP_DAYS * 86400, np.maximum(steps // step - 1, 0), 0)
    pauses = np.where(steps > LONGEST_GAP_DAYS * 86400, 1, 0)
    findings = []
    for faults, problem, remedy, stops in (
        (steps < 0, "times earlier than the one before", "Sort by time.", True),
        (steps == 0, "times that are there twice", "Drop the duplicates.", True),
        (lacking, f"times left out of {step / 3600:g}-hourly data", "Fetch them, or do without their windows.", False),
        (pauses, f"pauses of more than {LONGEST_GAP_DAYS} days", "Nothing to do for seasons; else fetch them.", False),
    ):
        if count := int(faults.sum()):
            first = int(np.flatnonzero(faults)[0]) + 1
            findings.append(Finding(file, "time", first, count, f"{count} {problem}", remedy, stops))
    return findings
