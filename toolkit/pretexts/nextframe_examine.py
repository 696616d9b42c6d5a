"""How a predictor of the next frame is examined: by the error of its rollouts on held-out worlds, and maps of one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from toolkit.data.store import Store
from toolkit.data.windows import frames_at
from toolkit.pretexts.contract import Learned
from toolkit.pretexts.rollout import (
    Errors,
    Fields,
    Predict,
    area_rmse,
    covered,
    linear_extrapolation,
    persistence,
    rollout,
)

STEPS, STARTS = 8, 24
SHOWN = (1, 4, 8)
"""Steps of which maps are kept."""
SURE = 0.975
"""Upper end of a two-sided 95 % interval."""


def examine_rollouts(learned: Learned, predict: Predict, step: int, stores: Sequence[Store], folder: Path) -> None:
    """Write rollout.csv, the error of rollouts in steps of `step` hours by method, and rollout.npz, maps of one.

    rollout.csv: hours, method, rmse (standard deviations; mean over 24 starts spread over the worlds, each with all of
    its frames and 8 later ones), low, high (its 95 % interval by Student's t, as if starts were independent).
    rollout.npz: latitude, longitude, hours, truth and predicted (hours, latitude, longitude) of one variable in
    standard deviations, `variable`, and the `time` of the last true frame. Writes nothing where no world goes round
    the globe, on both sides of the equator, and is long enough.
    """
    spec = learned.spec
    last = spec.frames[-1]
    hours = (*spec.frames, *(last + step * k for k in range(1, STEPS + 1)))
    starts = spread([store for store in stores if _is_global(store)], hours)
    errors: dict[str, list[Errors]] = {"next frame": [], "persistence": [], "linear extrapolation": []}
    for number, (store, times) in enumerate(starts):
        globe = covered(store.latitude, len(store.longitude), spec.variables, learned.size)
        fields = _normalised(store, times, learned)
        frames, truth = np.split(fields, [len(spec.frames)])
        said = {
            "next frame": rollout(globe, predict, frames, STEPS),
            "persistence": persistence(frames, STEPS),
            "linear extrapolation": linear_extrapolation(frames, STEPS),
        }
        known = np.isfinite(truth) & np.isfinite(frames[-2:]).all(0)
        for method, values in said.items():
            errors[method].append(area_rmse(values, truth, known, store.latitude))
        if number == len(starts) // 2:
            moment = store.time[times[len(frames) - 1]]
            _write_maps(folder, store, spec.variables, step, moment, truth, said["next frame"])
    if starts:
        _write_errors(folder, step, {method: np.stack(values) for method, values in errors.items()})


def spread(stores: Sequence[Store], hours: Sequence[int]) -> list[tuple[Store, NDArray[np.int64]]]:
    """Return up to 24 times, evenly spread over those of the stores that have all `hours` from it, where these are."""
    found = []
    for store in stores:
        there = frames_at(store, store.time, tuple(hours))
        found += [(store, times) for times in there if (times >= 0).all()]
    chosen = np.unique(np.linspace(0, len(found) - 1, STARTS).round().astype(int)) if found else ()
    return [found[k] for k in chosen]


def _is_global(store: Store) -> bool:
    north, south = store.latitude[0], store.latitude[-1]
    return store.wraps and abs(north + south) < store.latitude_spacing / 2


def _normalised(store: Store, times: NDArray[np.int64], learned: Learned) -> Fields:
    """Return frames (time, c, rows, columns) of a store as the backbone is given them, north up."""
    channels = [store.names.index(name) for name in learned.spec.variables]
    return np.stack([learned.normalisation.apply(store.frame(int(time))[channels]) for time in times])


def _write_errors(folder: Path, step: int, errors: dict[str, Errors]) -> None:
    """Write the table of the errors (starts, steps) of each method."""
    rows = []
    for method, values in errors.items():
        n, mean = len(values), values.mean(0)
        half = stdtrit(n - 1, SURE) * values.std(0, ddof=1) / np.sqrt(n) if n > 1 else np.full(STEPS, np.nan)
        hours = step * np.arange(1, STEPS + 1)
        rows.append(pd.DataFrame({"hours": hours, "method": method, "rmse": mean, "low": mean - half}))
        rows[-1]["high"] = mean + half
    pd.concat(rows).to_csv(folder / "rollout.csv", index=False, float_format="%.5g")


def _write_maps(
    folder: Path,
    store: Store,
    variables: Sequence[str],
    step: int,
    moment: np.datetime64,
    truth: Fields,
    said: Fields,
) -> None:
    """Write truth and prediction of a few steps, vorticity where there is one."""
    shown = np.array(SHOWN)
    variable = variables.index("vorticity") if "vorticity" in variables else 0
    np.savez_compressed(
        folder / "rollout.npz",
        latitude=store.latitude,
        longitude=store.longitude,
        hours=step * shown,
        truth=truth[shown - 1, variable].astype(np.float16),
        predicted=said[shown - 1, variable].astype(np.float16),
        variable=variables[variable],
        time=np.datetime_as_string(moment, "m"),
    )
