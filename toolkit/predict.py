"""`toolkit predict --fields`: a fine-tuned model over whole fields of the atmosphere, one time or many.

What the folder holds:
    detections.csv   what the model states above its thresholds, a row per object or place and time
    map.png          the first few times
    notes.txt        every substitution and every lack of the input, one sentence a line
"""

import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.backbones.card import Card
from toolkit.data.available import available_fields, gathered
from toolkit.data.prepare import LEVEL_HPA
from toolkit.data.regrid import Regridding, regridding
from toolkit.data.store import Store
from toolkit.data.stream import Stream, blocks, nearest_frames
from toolkit.data.windows import Windows
from toolkit.errors import UserError, unknown
from toolkit.evaluate import outputs
from toolkit.examples import Examples
from toolkit.files import whole_folder, write_text
from toolkit.parts import Parts
from toolkit.report.detection_map import Panel, draw_detections
from toolkit.saved import Saved, load_adapted
from toolkit.stitch import covering, stitched, with_data
from toolkit.task import Task, Thresholds
from toolkit.told import Told

PANELS = 4
ON_THRESHOLD = (
    "the threshold is that of the run's validation windows, most of which hold an object: of all that is stated over a "
    "whole globe a larger share is false"
)
CREATED = {"detections.csv", "map.png", "notes.txt"}


@dataclass(frozen=True)
class PredictOptions:
    """`thresholds` {name: value} in place of those that the run chose on its validation windows, "" being the name of
    the only one; `overwrite` a former result.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    overwrite: bool = False


@dataclass(frozen=True)
class PredictResult:
    """How many times were looked at, how many rows stated, from which thresholds on, and what must be said of it."""

    folder: Path
    times: int
    rows: int
    thresholds: Thresholds
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Moment:
    """One time: what is stated of it (None where there is nothing to see), and what the model saw.

    `seen` (c, h, w): the physical fields on the model's grid, NaN where missing; `gaps`: share of them that is missing
    within the region and the variables that the source has.
    """

    time: np.datetime64
    table: pd.DataFrame | None
    seen: NDArray[np.float32]
    gaps: float


def predict_fields(
    run: Path,
    fields: str | Path,
    out: Path,
    task: Task,
    told: Told | None = None,
    options: PredictOptions | None = None,
) -> PredictResult:
    """Run the model of a run folder over fields and write the folder `out`, whole or not at all.

    fields: a file, Zarr store, URL, folder or pattern (`toolkit.data.available.gathered`). Raises `UserError` for a
    model or fields that cannot be used, and for a folder that holds something.
    """
    told, options = told or Told(), options or PredictOptions()
    refuse_full(out, options.overwrite, CREATED)
    told.stage("opening the model and the fields")
    saved, parts = load_adapted(run, task)
    thresholds = chosen_thresholds(saved, options, task.threshold_limits)
    assert saved.card is not None  # the task sees fields
    stream, notes = _opened(saved.card, fields, task.inputs.frames)
    told.stage(f"looking at {len(stream.frames)} times")
    with whole_folder(out) as folder:
        moments = predictions(task, parts, stream, thresholds)
        written = _write_detections(folder / "detections.csv", task, moments, told, len(stream.frames))
        if not written.with_data:
            raise UserError(f"{fields} holds no value of {' or '.join(map(str, stream.fields.data_vars))}, only NaN.")
        notes = (*notes, *_on_gaps(written), _on_reach(run, stream.way))
        notes += (ON_THRESHOLD,) if thresholds and not options.thresholds else ()
        kinds = task.maps.variables if task.maps else ()
        draw_detections(folder / "map.png", written.panels, stream.way.covered, kinds)
        said = (f"fields: {fields}", f"model: {run}, on the backbone {saved.card.name}", *in_words(thresholds))
        write_text(folder / "notes.txt", "\n".join((*said, *notes)) + "\n")
        if out.exists():
            shutil.rmtree(out)
    return PredictResult(out, written.times, written.detections, thresholds, notes)


def predictions(task: Task, parts: Parts, stream: Stream, thresholds: Thresholds) -> Iterator[Moment]:
    """Yield what the model states of each time, in order: overlapping windows over the sphere, stitched."""
    covered, now = stream.way.covered, task.inputs.frames.index(0)
    windows = covering(covered.shape, task.inputs.window)
    there = [name in stream.fields for name in parts.normalisation.names]
    for block in blocks(stream):
        for time, frames in zip(block.time, block.frames, strict=True):
            seen = block.store.frame(frames[now])
            known: NDArray[np.bool_] = np.isfinite(seen)
            shown = with_data(windows, np.any(known, axis=0))
            table = None
            if len(shown):
                examples = _examples(block.store, windows, shown, frames, time)
                found = task.decode(outputs(parts, examples), examples)
                _require_places(task, found)
                table = stitched(block.store, examples.windows, task.keep(found, thresholds), covered, task.apart_km)
            yield Moment(time, table, seen, 1 - float(known[there][:, covered].mean()))


def _opened(card: Card, fields: str | Path, frames: tuple[int, ...]) -> tuple[Stream, tuple[str, ...]]:
    """Return the fields as a stream on the backbone's grid, and what has to be said of them."""
    available = available_fields(gathered(fields), card.spec.variables, LEVEL_HPA)
    latitude, longitude = (available.fields[axis].to_numpy() for axis in ("latitude", "longitude"))
    way = regridding(latitude, longitude, card.spec.grid_degrees)
    if not way.covered.any():
        raise UserError(f"{fields} covers no point of the model's {card.spec.grid_degrees:g} degree grid.")
    index, lacking = nearest_frames(available.fields["time"].to_numpy(), frames)
    stream = Stream(str(fields), available.fields, way, card.normalisation, index)
    return stream, (*available.notes, way.method, *lacking)


def _examples(
    store: Store, windows: Windows, shown: NDArray[np.intp], frames: NDArray[np.int64], time: np.datetime64
) -> Examples:
    """Return the windows that are shown at one time, as the examples that a task decodes."""
    n = len(shown)
    times = np.tile(frames, (n, 1))
    at = Windows(times, windows.row[shown], windows.column[shown], windows.mirrored[shown], windows.size)
    table = pd.DataFrame({"time": np.full(n, time), "group": ""}).rename_axis("example")
    return Examples(store, at, table, pd.DataFrame({"example": np.empty(0, int)}), {})


def _require_places(task: Task, table: pd.DataFrame) -> None:
    if not {"example", "latitude", "longitude"} <= set(table.columns):
        raise UserError(
            f"The task {task.name} states no places (latitude, longitude): it cannot be mapped over fields."
        )


@dataclass(frozen=True)
class _Written:
    """What was written: times, those of them with data, rows, the mean share of gaps, and what the map shows."""

    times: int
    with_data: int
    detections: int
    gaps: float
    panels: list[Panel]


def _write_detections(path: Path, task: Task, moments: Iterator[Moment], told: Told, times: int) -> _Written:
    """Write the rows of each time as they come, and keep what the map and the notes need."""
    counts, gaps = np.zeros(3, int), 0.0
    panels: list[Panel] = []
    with path.open("w", newline="") as file:
        for moment in moments:
            rows = 0
            if moment.table is not None:
                table = task.export(moment.table.drop(columns="example").assign(time=moment.time))
                header = not counts[1]
                table.to_csv(file, header=header, index=False, float_format="%.3f", date_format="%Y-%m-%dT%H:%M:%S")
                rows = len(table)
                if len(panels) < PANELS:
                    placed = {"latitude", "longitude"} <= set(table.columns)  # an export may have names of its own
                    panels.append(Panel(moment.time, moment.seen[0], table if placed else moment.table))
            counts += [1, moment.table is not None, rows]
            gaps += moment.gaps / times
            told.share(counts[0] / times)
    times_done, looked_at, detections = counts.tolist()
    return _Written(times_done, looked_at, detections, gaps, panels)


def _on_gaps(written: _Written) -> Iterator[str]:
    if empty := written.times - written.with_data:
        yield f"{empty} of {written.times} times hold no value at all: nothing is stated of them"
    if written.gaps > 0:
        yield f"{100 * written.gaps:.2g} % of the values are missing: the model is told where"


def _on_reach(run: Path, way: Regridding) -> str:
    """Return the sentence that says where is looked, and, where the run knows it, where the model was tested."""
    rows = way.latitude[way.covered.any(axis=1)]
    sentence = f"objects are looked for from {rows[-1]:.0f} to {rows[0]:.0f} degrees north"
    if not way.covered.all():
        sentence += ", nowhere outside the region of the data"
    truth = run / "truth.csv"
    if truth.exists() and "latitude" in pd.read_csv(truth, nrows=0):
        tested = pd.read_csv(truth, usecols=["latitude"])["latitude"].abs()
        sentence += (
            f"; the model was tested on objects {tested.min():.0f} to {tested.max():.0f} degrees from the equator"
        )
    return sentence


def chosen_thresholds(saved: Saved, options: PredictOptions, limits: tuple[float, float]) -> Thresholds:
    """Return the thresholds of a run, those that the options name in place of its own.

    Raises `UserError` for one that the task has not, for one without a name where it has several, and for one that is
    not within the limits of the task.
    """
    chosen = dict(saved.thresholds)
    for name, value in options.thresholds.items():
        if not chosen:
            raise UserError(f"The task {saved.task} has no threshold: leave --threshold out.")
        if not name and len(chosen) > 1:
            raise UserError(
                f"The task {saved.task} has several thresholds: say which, as {next(iter(chosen))}={value:g}."
            )
        key = name or next(iter(chosen))
        if key not in chosen:
            raise unknown("threshold", key, chosen)
        if not math.isfinite(value) or not limits[0] <= value <= limits[1]:
            within = f" from {limits[0]:g} to {limits[1]:g}" if math.isfinite(limits[1] - limits[0]) else ""
            raise UserError(f"The threshold of {key} is {value:g}: it should be a number{within}.")
        chosen[key] = value
    return chosen


def in_words(thresholds: Thresholds) -> list[str]:
    """Return a line for each threshold."""
    return [f"threshold of {name}: stated from {value:.4g} on" for name, value in thresholds.items()]


def refuse_full(out: Path, overwrite: bool, created: set[str]) -> None:
    """Refuse a folder that holds something, unless it holds `created` files alone, which may be replaced."""
    if not out.exists():
        return
    held = {entry.name for entry in out.iterdir()} if out.is_dir() else {out.name}
    if not held:
        return
    if not overwrite:
        raise UserError(f"{out} is not empty. Add --overwrite to replace a former result, or name another folder.")
    if not out.is_dir() or not held <= created:
        raise UserError(
            f"{out} holds more than a former result: {', '.join(sorted(held - created))}. Name another folder."
        )
