"""Where storms will be in 24 h, told at their true centres: the pretrained Lagrangian readout against steering flow.

Run: python benchmarks/displacement_readout.py --world W --backbone NAME_OR_FOLDER [--backbone ...] [--storms 16]

Every fix of the best track that has a position 24 h later counts, in all years.
Without labels: the readout, and the steering flow: 24 h of the mean wind around the centre, in both frames, over the
radii of the hurricane task's baseline.
With labels, always those of other years: the mean displacement (east, poleward); a scale and an offset for either
component, fitted on a few storms, the error averaged over draws of them; and the baseline itself, a ridge regression on
both flows and climatology, fitted on all storms. Persistence carries on the best track's own last 6 h, and is scored
where there is a fix then.

Ratios are of mean errors on the same fixes: to the better of the two flows, the ridge, the mean displacement.
In brackets 95 % intervals over storms.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from tasks.hurricane.labels import LEAD, labels
from tasks.hurricane.scores import LATER
from tasks.hurricane.task import TASK
from toolkit.backbones.card import backbone_folder
from toolkit.backbones.features import planes
from toolkit.backbones.weights import load_backbone
from toolkit.baselines.candidates import FIELDS, Candidates, find_candidates
from toolkit.baselines.detection import SMOOTHING_KM, Identified
from toolkit.baselines.displacement import STEERING_KM, steering_flow
from toolkit.baselines.surroundings import mean_winds
from toolkit.data.best_track import read_best_track
from toolkit.data.prepare import prepared
from toolkit.data.store import Store
from toolkit.data.windows import Windows, frames_at, read_windows, to_pixels, window_latitudes
from toolkit.errors import UserError
from toolkit.evaluate import metric_intervals
from toolkit.examples import Examples
from toolkit.geodesy import displaced, displacement_km, distance_km
from toolkit.metrics import Metric, Statistic, evaluate_metrics, histogram_by_group, median_of_histogram, sum_by_group
from toolkit.placement import well_inside, windows_around
from toolkit.pretexts.known import readouts
from toolkit.pretexts.readouts import DISPLACEMENT
from toolkit.scores.objects import share
from toolkit.split import chosen_groups

Array = NDArray[np.float64]
STEP = pd.Timedelta(hours=6)
KM_A_DAY = 86.4
"""What 1 m s-1 covers in a day, km."""
DRAWS, BATCH, HIGHEST_KM = 20, 256, 2000
RATIOS = ("of steering", "of ridge", "of mean displacement")


def known_fixes(world: Path, store: Store) -> pd.DataFrame:
    """Return the fixes with a position 24 h later and fields: the labels' columns, year of the storm, poleward (1, -1).

    And latitude_before, longitude_before, 6 h earlier, in whatever status; NaN where there is no such fix.
    """
    track = read_best_track(world / "hurdat2.txt").fixes[["storm", "time", "latitude", "longitude"]]
    earlier = track.assign(time=track["time"] + STEP).rename(columns={"storm": "group"})
    table = labels(world).merge(earlier, on=["group", "time"], how="left", suffixes=("", "_before"))
    table["year"] = table.groupby("group")["time"].transform("min").dt.year
    table["poleward"] = np.where(table["latitude"] < 0, -1, 1)
    analysed = frames_at(store, table["time"].to_numpy("datetime64[s]"), (0,))[:, 0] >= 0
    windows = windows_around(store, table, TASK.inputs.window, (0,))
    y, x = pixels(store, windows, table)
    inside = well_inside(y, windows.size[0]) & well_inside(x, windows.size[1])
    table = table[analysed & inside & table[f"latitude{LATER}"].notna()].reset_index(drop=True)
    if table["year"].nunique() < 2:
        raise UserError(f"{world} has {len(table)} fixes of storms in the fields' time: those of two years are needed.")
    return table


def pixels(store: Store, windows: Windows, fixes: pd.DataFrame) -> tuple[Array, Array]:
    """Return where each fix lies in its window (y, x)."""
    return to_pixels(store, windows, np.arange(len(fixes)), fixes["latitude"], fixes["longitude"])


def moves(fixes: pd.DataFrame, suffix: str) -> Array:
    """Return the displacement (n, 2) from the fixes to their places of that suffix, km east and poleward."""
    ends = (fixes[name + end].to_numpy() for end in ("", suffix) for name in ("latitude", "longitude"))
    east, north = displacement_km(*ends)
    return np.stack([east, north * fixes["poleward"].to_numpy()], 1)


def errors(fixes: pd.DataFrame, stated: Array) -> Array:
    """Return the great-circle distance (n,) from the later position to the stated ones (..., n, 2), mean over draws."""
    here, sign = (fixes["latitude"].to_numpy(), fixes["longitude"].to_numpy()), fixes["poleward"].to_numpy()
    later = displaced(*here, stated[..., 0], stated[..., 1] * sign)
    km = distance_km(*later, fixes[f"latitude{LATER}"].to_numpy(), fixes[f"longitude{LATER}"].to_numpy())
    return km.reshape(-1, len(fixes)).mean(0)


def read_displacement(name: str, world: Path, fixes: pd.DataFrame) -> Array:
    """Return a backbone's readout (n, 2) at the fixes, km east and poleward, between the pixels of centred windows."""
    backbone = load_backbone(backbone_folder(name))
    card = backbone.card
    if DISPLACEMENT not in card.readouts:
        raise UserError(f"The backbone {card.name} has no {DISPLACEMENT}: it needs the pretext 'lagrangian'.")
    store = prepared(world, tuple(dict.fromkeys((*card.spec.variables, *FIELDS.names))), card.spec.grid_degrees)
    windows = windows_around(store, fixes, card.window, card.spec.frames)
    read, (y, x), out = readouts(backbone, (DISPLACEMENT,)), pixels(store, windows, fixes), []
    for start in range(0, len(fixes), BATCH):
        some = np.arange(start, min(start + BATCH, len(fixes)))
        seen = planes(read_windows(store, windows, some, card.normalisation), window_latitudes(store, windows, some))
        field = read(seen)[DISPLACEMENT].numpy()
        where = np.stack([np.arange(len(some)), y[some], x[some]])
        out.append(np.stack([map_coordinates(field[:, k], where, order=1, mode="nearest") for k in (0, 1)], 1))
    east, up = np.concatenate(out).T
    return np.stack([east, up * np.where(windows.mirrored, -1, 1) * fixes["poleward"]], 1)


def true_centres(store: Store, fixes: pd.DataFrame) -> Candidates:
    """Return the fixes as if the baseline had found them, each in the middle of a window of its own.

    The peak is that of the nearest vorticity maximum, 0 where the window has none.
    """
    windows = windows_around(store, fixes, TASK.inputs.window, TASK.inputs.frames)
    table = fixes[["time", "group"]].rename_axis("example")
    examples = Examples(store, windows, table, fixes.rename_axis("example").reset_index(), {})
    found = find_candidates(examples, SMOOTHING_KM[1])
    there = fixes.iloc[found.example]
    km = distance_km(found.column("latitude"), found.column("longitude"), there["latitude"], there["longitude"])
    nearest = found.table.assign(km=km).sort_values("km", kind="stable").drop_duplicates("example")
    peak = nearest.set_index("example")["peak"].reindex(range(len(fixes)), fill_value=0.0).to_numpy()
    (y, x), up = pixels(store, windows, fixes), np.where(windows.mirrored, -1, 1) * fixes["poleward"]
    own = fixes[["latitude", "longitude", "poleward"]].assign(y=y, x=x, peak=peak, orientation=up)
    return replace(found, table=own.rename_axis("example").reset_index())


def folds(fixes: pd.DataFrame) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield for each year its fixes and those of the other years."""
    for year in sorted(fixes["year"].unique()):
        mine = (fixes["year"] == year).to_numpy()
        yield mine, ~mine


def mean_of_other_years(fixes: pd.DataFrame, truth: Array) -> Array:
    """Return the mean displacement (n, 2) of the other years."""
    out = np.empty_like(truth)
    for mine, others in folds(fixes):
        out[mine] = truth[others].mean(0)
    return out


def calibrated(fixes: pd.DataFrame, stated: Array, truth: Array, storms: int) -> Array:
    """Return what was stated (n, 2), scaled and shifted as suits some storms of the other years: (draws, n, 2)."""
    out = np.empty((DRAWS, *truth.shape))
    for mine, others in folds(fixes):
        groups = fixes["group"][others].unique().tolist()
        for draw in range(DRAWS):
            chosen = chosen_groups(groups, min(storms, len(groups)), draw)
            known = fixes["group"].isin(chosen).to_numpy() & others
            for k in (0, 1):
                scale, offset = np.polyfit(stated[known, k], truth[known, k], 1)
                out[draw, mine, k] = scale * stated[mine, k] + offset
    return out


def ridge(fixes: pd.DataFrame, centres: Candidates) -> Array:
    """Return the displacement (n, 2) by the task's baseline, the year before (the last for the first) validating."""

    def part(chosen: NDArray[np.bool_]) -> Candidates:
        return replace(centres, table=centres.table[chosen].reset_index(drop=True))

    out, years = np.empty((len(fixes), 2)), np.roll(sorted(fixes["year"].unique()), 1)
    for (mine, others), before in zip(folds(fixes), years, strict=True):
        validating = others & (fixes["year"] == before).to_numpy() & (len(years) > 2)
        train, validation = (Identified(part(m), np.flatnonzero(m)) for m in (others & ~validating, validating))
        latitude, longitude = steering_flow(train, validation, LATER)(part(mine))
        own = fixes[mine].assign(latitude_then=latitude, longitude_then=longitude)
        out[mine] = moves(own, "_then")
    return out


def metrics() -> tuple[Metric, ...]:
    """Return the mean and the median error, and the ratios of the mean to those of the references."""
    sums = Statistic("sums", lambda stated, _truth, examples: sum_by_group(stated, examples))
    counts = Statistic(
        "counts",
        lambda stated, _, examples: histogram_by_group(
            stated["error"].to_numpy(), stated["example"], examples, HIGHEST_KM
        ),
    )
    made: list[tuple[str, str, Statistic, Callable]] = [
        ("mean km", "km", sums, share("error", "count")),
        ("median km", "km", counts, median_of_histogram),
        *((name, "", sums, share("error", name)) for name in RATIOS),
    ]
    return tuple(Metric(name, unit, "lower", name, counted, finish) for name, unit, counted, finish in made)


def row_of(name: str, fixes: pd.DataFrame, error: Array, references: dict[str, Array]) -> dict[str, str | int]:
    """Return the scores of one way to state the displacement, on the fixes where it states one."""
    stated = pd.DataFrame({"error": error, "count": 1.0, **references}).rename_axis("example").reset_index()
    stated, examples = stated[np.isfinite(error)], fixes[["group"]][np.isfinite(error)]
    scores = evaluate_metrics(metrics(), stated, stated, examples)
    row: dict[str, str | int] = {"": name, "fixes": len(stated)}
    for metric, found in metric_intervals(metrics(), [scores]).items():
        factor, unit = (1, "") if "km" in metric else (100, " %")
        value, low, high = (f"{factor * found[part]:.0f}" for part in ("value", "low", "high"))
        row[metric] = f"{value}{unit} [{low}, {high}]"
    return row


def stated_without(fixes: pd.DataFrame, store: Store, truth: Array, storms: int) -> tuple[dict[str, Array], list[str]]:
    """Return what the ways without a backbone state, by name, and the names of the references."""
    centres = true_centres(store, fixes)
    flows = {
        f"steering flow, {km:.0f} km": mean_winds(centres, (0.0,), km).mean(1)[:, :, 0, 0] * KM_A_DAY
        for km in STEERING_KM
    }
    better = min(flows, key=lambda name: errors(fixes, flows[name]).mean())
    mean, fitted = "mean displacement of other years", "steering flow, ridge of all storms"
    stated = {
        "persistence of the best track's last 6 h": -moves(fixes, "_before") * (LEAD / STEP),
        mean: mean_of_other_years(fixes, truth),
        **flows,
        f"{better}, 4 numbers of {storms} storms": calibrated(fixes, flows[better], truth, storms),
        fitted: ridge(fixes, centres),
    }
    return stated, [better, fitted, mean]


def main() -> None:
    """Print one row for each way to state the displacement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--backbone", action="append", required=True)
    parser.add_argument("--storms", type=int, default=16)
    given = parser.parse_args()
    torch.set_num_threads(1)
    grid = load_backbone(backbone_folder(given.backbone[0])).card.spec.grid_degrees
    store = prepared(given.world, FIELDS.names, grid)
    fixes = known_fixes(given.world, store)
    truth = moves(fixes, LATER)
    stated, references = stated_without(fixes, store, truth, given.storms)
    for name in given.backbone:
        read = read_displacement(name, given.world, fixes)
        stated |= {
            name: read,
            f"{name}, 4 numbers of {given.storms} storms": calibrated(fixes, read, truth, given.storms),
        }
    km = {name: errors(fixes, way) for name, way in stated.items()}
    compared = dict(zip(RATIOS, (km[name] for name in references), strict=True))
    print(
        f"{given.world}: {len(fixes)} fixes of {fixes['group'].nunique()} storms, {(fixes['latitude'] < 0).sum()} south"
    )
    print(pd.DataFrame([row_of(name, fixes, error, compared) for name, error in km.items()]).to_string(index=False))
    print(f"of steering: of '{references[0]}', the better radius; no storm's own year is learned from")


if __name__ == "__main__":
    main()
