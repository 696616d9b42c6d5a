"""The proof that no label leaks between the parts of a run, from split.json and the labels alone, nor into its inputs.

It knows nothing of how the split was made: it selects each part's rows by what was written down and looks at them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toolkit.errors import UserError, unknown
from toolkit.labels import PLACE
from toolkit.runfolder import split_hash
from toolkit.split import Apart, block_of

NAMED = 3
"""How many of the things that leak are named."""
MANY = 20
"""In so many rows a column that goes with another without an exception does so by no chance."""
ROUNDING = 1e-6
"""A correlation that lacks less of one is one: two hourly readings of anything that changes differ by more."""


def read_split(path: Path) -> dict[str, Any]:
    """Read split.json; `UserError` where it is missing, damaged, or does not have the hash it states."""
    try:
        content = json.loads(path.read_text())
        Apart(**content["apart"])
        stated = content["sha256"]
    except FileNotFoundError:
        raise UserError(f"There is no {path}. Give the folder that `toolkit finetune` wrote.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a split: {type(error).__name__}: {error}.") from error
    if split_hash(content) != stated:
        raise UserError(f"{path} was changed: its content does not have the SHA-256 it states, {stated[:12]}...")
    return dict(content)


def leaks(split: Mapping[str, Any], labels: pd.DataFrame) -> list[str]:
    """Return what is wrong with a split of these labels, a sentence each; none where the parts are apart as stated.

    Raises `UserError` where the labels have no group, or no time though the split has.
    """
    apart = Apart(**split["apart"])
    for name in ("group", *(("time",) if any(part["spans"] for part in split["parts"].values()) else ())):
        if name not in labels:
            raise unknown("column of the labels", name, map(str, labels.columns))
    rows = {name: labels[_selected(part, labels)] for name, part in split["parts"].items()}
    problems = [
        f"The part {name} has {part['rows']} rows in split.json, the labels have {len(rows[name])} of its groups and "
        "times: they are other labels, or were changed."
        for name, part in split["parts"].items()
        if part["rows"] != len(rows[name])
    ]
    for (name, mine), (other, theirs) in combinations(rows.items(), 2):
        problems += _between(apart, f"{name} and {other}", mine, theirs)
    return problems


def foretold(columns: Iterable[str], stated: Iterable[str], labels: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence for each input column that is itself stated, or of which a stated one is a linear function.

    columns: those of the inputs; stated: those of the predictions. Of the latter the ones that the labels have are
    looked at. Words, and whatever else is no number, foretell where they are the same in every row.
    """
    targets = [name for name in stated if name in labels and name not in (*PLACE, "group")]
    for name in columns:
        if name in targets:
            yield f"'{name}' is an input and is predicted: leave it out of inputs.columns."
        elif of := [target for target in targets if _go_together(labels[name], labels[target])]:
            yield f"'{name}' says what is predicted, '{of[0]}', in every row: leave it out of inputs.columns."


def _go_together(first: pd.Series, second: pd.Series) -> bool:
    known = first.notna() & second.notna()
    first, second = first[known], second[known]
    if len(first) < MANY or min(first.nunique(), second.nunique()) < 2:
        return False
    if not all(map(pd.api.types.is_numeric_dtype, (first, second))):
        return bool((first.astype(str) == second.astype(str)).all())
    return abs(first.astype(float).corr(second.astype(float))) > 1 - ROUNDING


def _selected(part: Mapping[str, Any], labels: pd.DataFrame) -> np.ndarray:
    """Return which rows are in a part: those of its groups, and where it has spans, within one of them."""
    mine = labels["group"].isin(part["groups"]).to_numpy()
    if not part["spans"]:
        return mine
    inside = np.zeros(len(labels), bool)
    for first, last in part["spans"]:
        inside |= labels["time"].between(pd.Timestamp(first), pd.Timestamp(last)).to_numpy()
    return mine & inside


def _between(apart: Apart, pair: str, mine: pd.DataFrame, theirs: pd.DataFrame) -> Iterator[str]:
    if same := sorted(set(mine.index) & set(theirs.index)):
        yield f"{pair} share {len(same)} rows, such as row {same[0]} of the labels."
    if apart.groups and (shared := sorted(set(mine["group"]) & set(theirs["group"]))):
        yield f"{pair} share {len(shared)} groups: {', '.join(shared[:NAMED])}."
    if apart.gap_days is not None and (gap := _gap_days(mine["time"], theirs["time"])) < apart.gap_days:
        yield f"{pair} are {gap:.2f} days apart at the nearest, not {apart.gap_days:g}."
    if apart.blocks_degrees is not None:
        blocks = [set(block_of(rows, apart.blocks_degrees)) for rows in (mine, theirs)]
        if both := sorted(blocks[0] & blocks[1]):
            yield f"{pair} share {len(both)} blocks of {apart.blocks_degrees:g} degrees, such as {both[0]}."


def _gap_days(mine: pd.Series, theirs: pd.Series) -> float:
    """Return the least time between a row of one and a row of the other, days; infinite where one has none."""
    if mine.empty or theirs.empty:
        return np.inf
    ordered = np.sort(mine.to_numpy("datetime64[s]"))
    asked = theirs.to_numpy("datetime64[s]")
    after = np.searchsorted(ordered, asked).clip(max=len(ordered) - 1)
    nearest = np.minimum(np.abs(ordered[after] - asked), np.abs(ordered[(after - 1).clip(min=0)] - asked))
    return float(nearest.min() / np.timedelta64(1, "D"))
