"""Pictures of what pretexts have learned, from what a pretraining or `toolkit examine` left in a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from toolkit.report.atmodist import write_figures
from toolkit.report.rollout import write_rollout_figure

DRAWN: Mapping[str, Callable[[Path, bool], object]] = {"atmodist": write_figures, "nextframe": write_rollout_figure}
"""What draws the folder of a pretext; its second argument says whether there are coastlines."""


def write_learned_figures(folder: Path) -> None:
    """Draw into the pretexts' folders in a run's; real worlds, of which its config.yaml tells, have coastlines."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    worlds = config.get("held_out") or config["worlds"]
    coastlines = not any(world["simulated"] for world in worlds)
    for name, drawn in DRAWN.items():
        if (folder / name).is_dir():
            drawn(folder / name, coastlines)
