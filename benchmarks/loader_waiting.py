"""How long training waits for its windows: the default pretraining, which draws its batches between steps or ahead.

Run: python benchmarks/loader_waiting.py. The transformer of 128 x 6 and its four objectives learn from batches of 64
windows on one thread. Drawn are they by the process that trains (workers 0), or by one beside it (workers 1, which is
the setting's default); the store is made here, of drifting waves on a 1.4-degree grid. What counts is the share of time
between the first steps and the last in which the loop waited for a batch.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from toolkit.config import PretrainSettings
from toolkit.data.store import Store
from toolkit.data.store_write import write_store
from toolkit.pretexts.draw import Recipe, Unlabelled, draw, normalisation_for, unlabelled
from toolkit.pretexts.known import pretext_named
from toolkit.pretrain import pretrain
from toolkit.pretrain_run import recipe_of, schedule_of
from toolkit.train import Run

STEPS, UNCOUNTED, DRAWN = 30, 6, 10
GRID, TIMES, WAVES = (128, 256), 60, 12
TARGET = 0.05
SIZES = {"vorticity": ("s-1", 2e-5), "divergence": ("s-1", 5e-6), "eastward_wind": ("m s-1", 8.0)}
SIZES["northward_wind"] = ("m s-1", 5.0)


def drifting_store(folder: Path) -> Store:
    """Write waves of many lengths that drift eastward, six-hourly."""
    rng = np.random.default_rng(0)
    latitude, longitude = np.linspace(90, -90, GRID[0] + 1), np.arange(GRID[1]) * 360 / GRID[1]
    day = np.arange(TIMES)[:, None, None] / 4
    fields = {}
    for name, (unit, size) in SIZES.items():
        values = np.zeros((TIMES, len(latitude), len(longitude)), np.float32)
        for m in rng.integers(1, 30, WAVES):
            phase = m * (np.radians(longitude) - rng.uniform(0, 0.3) * day) + rng.uniform(0, 7)
            values += size * rng.normal() * np.cos(phase) * np.cos(m * np.radians(latitude))[:, None] ** 2
        fields[name] = (("time", "latitude", "longitude"), values, {"units": unit})
    time_of = np.datetime64("2000-08-01", "ns") + np.arange(TIMES) * np.timedelta64(6, "h")
    coordinates = {"time": time_of, "latitude": latitude, "longitude": longitude}
    return write_store(xr.Dataset(fields, coordinates), folder / "store", tuple(fields))


def waiting(settings: PretrainSettings, recipe: Recipe, source: Unlabelled, folder: Path) -> tuple[float, float]:
    """Return the share of time that a run waits for its batches, and the seconds of a step."""
    lines: list[dict[str, float]] = []
    run = Run(folder, report=lines.append, workers=settings.workers)
    normalisation = normalisation_for(settings.variables, source.store)
    pretrain(recipe, [source], normalisation, schedule_of(settings), run)
    first, last = lines[UNCOUNTED - 1], lines[-1]
    waited = last["waiting_share"] * last["seconds"] - first["waiting_share"] * first["seconds"]
    spent = last["seconds"] - first["seconds"]
    return waited / spent, spent / (len(lines) - UNCOUNTED)


def main() -> None:
    """Print how long a batch takes to draw, and the share of waiting with nobody and with somebody drawing ahead."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = drifting_store(folder)
        settings = PretrainSettings(worlds=(folder,), max_steps=STEPS)
        weighted = tuple((pretext_named(name), weight) for name, weight in settings.pretext.items())
        recipe = recipe_of(settings, weighted, store)
        source = unlabelled(store, recipe, lambda _name, target, store: target.make(store))
        normalisation = normalisation_for(settings.variables, store)
        began = time.perf_counter()
        for number in range(DRAWN):
            draw([source], recipe, normalisation, settings.batch_size, number)
        drawing = (time.perf_counter() - began) / DRAWN
        print(f"default pretraining, batch {settings.batch_size}, one thread, {STEPS - UNCOUNTED} steps")
        print(f"drawing a batch       {drawing * 1e3:8.1f} ms")
        for workers in (0, 1):
            chosen = settings.model_copy(update={"workers": workers})
            share, step = waiting(chosen, recipe, source, folder / f"run-{workers}")
            aim = f"   (under {100 * TARGET:.0f} %)" if workers == settings.workers else ""
            print(f"workers {workers}   waiting {100 * share:5.1f} % of steps of {step * 1e3:7.1f} ms{aim}")


if __name__ == "__main__":
    main()
