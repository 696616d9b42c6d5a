"""What is finished, on disk: what cells and trials found, and the scores of cells as sums per test group.

Every metric and interval is made of these sums.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from toolkit.errors import UserError
from toolkit.files import whole_file
from toolkit.metrics import Metric, Scores
from toolkit.study.plan import Cell, Folders, Study, Trial

GROUPS, COLUMNS, VALUES = "groups", "columns", "values"


def finished(study: Study, folders: Folders) -> Iterator[tuple[Cell | Trial, dict[str, Any]]]:
    """Yield the trials and cells of a study that are finished, with what they were given, found and took."""
    for one in study.work:
        if folders.is_finished(one):
            yield one, json.loads(folders.result(one).read_text())


def tried(study: Study, folders: Folders, cell: Cell) -> dict[int, float]:
    """Return the lowest validation losses of what was tried for a cell, by number."""
    trials = [trial for trial in study.trials(cell) if folders.is_finished(trial)]
    return {trial.number: json.loads(folders.result(trial).read_text())["validation"] for trial in trials}


def choice(study: Study, folders: Folders, cell: Cell) -> int | None:
    """Return the number of the settings that validated best, None where none could be tried."""
    if not study.trials(cell):
        return 0
    losses = tried(study, folders, cell)
    return min(losses, key=lambda number: losses[number]) if losses else None


def write_scores(path: Path, scores: Scores) -> None:
    """Write the sums of every statistic into a .npz, whole or not at all."""
    arrays = dict[str, Any]()
    for name, sums in scores.sums.items():
        arrays[f"{name}/{GROUPS}"] = np.array(sums.index.astype(str), np.str_)
        arrays[f"{name}/{COLUMNS}"] = np.array([str(column) for column in sums.columns], np.str_)
        arrays[f"{name}/{VALUES}"] = sums.to_numpy(np.float64)
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def read_scores(path: Path, metrics: Sequence[Metric]) -> Scores:
    """Read the sums that the metrics finish; `UserError` where one is missing or the file is damaged."""
    names = {metric.statistic.name for metric in metrics}
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            sums = {
                name: pd.DataFrame(
                    file[f"{name}/{VALUES}"],
                    index=pd.Index(file[f"{name}/{GROUPS}"].astype(object), name="group"),
                    columns=file[f"{name}/{COLUMNS}"].astype(object),
                )
                for name in sorted(names)
            }
    except (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error) as error:
        raise UserError(f"The scores in {path} cannot be read ({error}): remove {path.parent} and resume.") from error
    return Scores(tuple(metrics), sums)
