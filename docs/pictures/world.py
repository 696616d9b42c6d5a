"""Draw the simulated world: a map of one moment for the README, and a film.

    python docs/pictures/world.py --map docs/pictures/world.png
    python docs/pictures/world.py --film world.gif

Both show one season of relative vorticity without observation error, and the best tracks of its cyclones.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from toolkit.data.world.best_track import best_track_of
from toolkit.data.world.observe import VARIABLES, exact
from toolkit.data.world.season import HOURS_BETWEEN_FRAMES, Plan, frame_times, run_seasons, season_start
from toolkit.data.world.sphere import Sphere
from toolkit.files import whole_file

YEAR = 2001
STRONGEST = 10e-5
"""Vorticity at the ends of the colour scale, s-1; the jets' waves reach about 5e-5, hurricanes more than 20e-5."""
COLOURS = colormaps["RdBu_r"].resampled(40)
STRENGTHS = ((0, 34, "white", "below 34 kt"), (34, 64, "silver", "34 to 63 kt"), (64, 999, "black", "64 kt or more"))
"""Least and greatest wind, colour and name of a tropical depression, storm and hurricane."""


@dataclass(frozen=True)
class World:
    """Frames of vorticity (time, lat, lon), s-1, north to south from longitude 0, their times and the best tracks."""

    vorticity: np.ndarray
    times: np.ndarray
    tracks: pd.DataFrame


def simulate(days: int, seed: int) -> World:
    """Run one season."""
    plan = Plan(days=days)
    (season,) = run_seasons(plan, seed, [YEAR], lambda _: None)
    sphere = Sphere(plan.truncation)
    frames = np.stack([exact(sphere, state)[VARIABLES.index("vorticity")] for state in season.states])
    return World(frames, frame_times(season_start(YEAR), len(frames)), best_track_of([season]))


def draw(axes: Axes, world: World, index: int, scale: float = 1.0) -> None:
    """Draw one frame: vorticity, the living cyclones by their wind, and where each has been."""
    now = world.times[index]
    axes.imshow(
        world.vorticity[index],
        extent=(0, 360, -90, 90),
        cmap=COLOURS,
        vmin=-STRONGEST,
        vmax=STRONGEST,
        interpolation="bicubic",
        aspect="auto",
    )
    alive = world.tracks.groupby("storm").time.transform("max") >= now
    past = world.tracks[alive & (world.tracks.time <= now)]
    for _, track in past.groupby("storm"):
        longitude = np.unwrap(track.longitude.to_numpy() % 360, period=360)
        for turn in (-360, 0, 360):
            axes.plot(longitude + turn, track.latitude, color="black", linewidth=1.1 * scale, clip_on=True)
    last = past.groupby("storm").last()
    for low, high, face, label in STRENGTHS:
        some = last[(last.wind_kt >= low) & (last.wind_kt < high)]
        place = (some.longitude % 360, some.latitude)
        axes.scatter(*place, s=34 * scale**2, c=face, edgecolors="black", linewidths=0.9 * scale, zorder=3, label=label)
    axes.set(xlim=(0, 360), ylim=(-75, 75), xticks=range(0, 361, 60), yticks=range(-60, 61, 30))
    axes.set_xticklabels([f"{x}°" for x in range(0, 361, 60)])
    axes.set_yticklabels(["60°S", "30°S", "0°", "30°N", "60°N"])
    axes.tick_params(labelsize=8 * scale, length=2)


def draw_map(world: World, index: int, path: Path) -> None:
    """Write one frame as a picture 1,000 pixels wide."""
    figure = Figure(figsize=(10, 4.9), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    draw(axes, world, index)
    axes.set_title(f"Simulated relative vorticity and best tracks, {_written(world.times[index])}", fontsize=10)
    bar = figure.colorbar(
        axes.images[0], ax=axes, aspect=30, pad=0.01, extend="both", format=lambda x, _: f"{x * 1e5:g}"
    )
    bar.set_label("10⁻⁵ s⁻¹", fontsize=8)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    with whole_file(path) as temporary:
        _page(figure).quantize(256, dither=Image.Dither.NONE).save(temporary, optimize=True)


def draw_film(world: World, path: Path) -> None:
    """Write every frame as an animated GIF 600 pixels wide, eight frames a second."""
    pages = []
    for index in range(len(world.times)):
        figure = Figure(figsize=(6, 2.9), dpi=100, layout="constrained")
        axes = figure.add_subplot()
        draw(axes, world, index, scale=0.7)
        axes.set_title(_written(world.times[index]), fontsize=7)
        pages.append(_page(figure))
    palette = Image.new("P", (1, 1))
    greys = np.linspace(0, 255, 8, dtype=np.uint8)[:, None].repeat(3, 1)
    palette.putpalette(np.concatenate([COLOURS(range(COLOURS.N), bytes=True)[:, :3], greys]).tobytes())
    pages = [page.quantize(palette=palette, dither=Image.Dither.NONE) for page in pages]
    with whole_file(path) as temporary:
        pages[0].save(temporary, format="GIF", save_all=True, append_images=pages[1:], duration=125, loop=0)


def _page(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def _written(time: np.datetime64) -> str:
    return pd.Timestamp(time).strftime("%-d %B %Y, %H UTC")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", type=Path, help="picture to write")
    parser.add_argument("--film", type=Path, help="animated GIF to write")
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--day", type=float, default=15, help="day of the season that the map shows")
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    if chosen.map is None and chosen.film is None:
        parser.error("nothing to draw: give --map or --film")
    torch.set_num_threads(1)
    world = simulate(chosen.days, chosen.seed)
    if chosen.map is not None:
        draw_map(world, round(chosen.day * 24 / HOURS_BETWEEN_FRAMES), chosen.map)
    if chosen.film is not None:
        draw_film(world, chosen.film)


if __name__ == "__main__":
    main()
