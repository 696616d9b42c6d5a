"""`toolkit tasks leaks RUN`: the proof from a run's split.json and the labels it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from toolkit.backbones.card import backbone_folder, read_card
from toolkit.evaluate_run import recorded, recorded_origin, recorded_task
from toolkit.leaks import foretold, leaks, read_split
from toolkit.origin import fields_of, timely_labels


@dataclass(frozen=True)
class Proof:
    """How many labelled rows each part has, what the run says holds between parts, and a sentence for what does not."""

    rows: Mapping[str, int]
    apart: Mapping[str, Any]
    leaks: tuple[str, ...]

    @property
    def in_words(self) -> str:
        """What was proved, or what leaks, a sentence a line."""
        if self.leaks:
            return "\n".join(self.leaks)
        stated = {
            "no row": True,
            "no group": self.apart["groups"],
            f"no time within {self.apart['gap_days']} days": self.apart["gap_days"] is not None,
            f"no block of {self.apart['blocks_degrees']} degrees": self.apart["blocks_degrees"] is not None,
        }
        return f"Nothing leaks: two parts share {', '.join(what for what, holds in stated.items() if holds)}."


def proof(run: Path) -> Proof:
    """Read the labels of a run again and look whether its parts are apart as it says, and no input foretells a target.

    `UserError` where the run or its labels cannot be read, or split.json was changed.
    """
    config = recorded(run)
    split = read_split(run / "split.json")
    task, origin = recorded_task(config), recorded_origin(config)
    grid = read_card(backbone_folder(config["backbone"])).spec.grid_degrees if task.sees_fields else None
    labels, _ = timely_labels(task, origin, fields_of(task, origin, grid))
    rows = {name: int(part["rows"]) for name, part in split["parts"].items()}
    told = foretold(task.inputs.columns, _stated(run), labels)
    return Proof(rows, split["apart"], (*leaks(split, labels), *told))


def _stated(run: Path) -> list[str]:
    """Return the columns of what a run states of the test windows; none where it was stopped before."""
    written = run / "predictions.csv"
    return list(map(str, pd.read_csv(written, nrows=0))) if written.exists() else []
