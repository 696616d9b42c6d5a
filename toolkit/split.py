"""How train, validation and test are kept apart: a rule from the table of labels to the part of each row.

Rules never look at a target. Each says in `apart` what holds between two parts, so that it can be proved from what was
written down (`toolkit.leaks`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd

from toolkit.errors import UserError, unknown

PARTS = TRAIN, VALIDATION, TEST = "train", "validation", "test"
NO_PART = ""


@dataclass(frozen=True)
class Apart:
    """What holds between rows of two parts.

    `groups`: no group is in both. `gap_days`: no row is nearer in time than this. `blocks_degrees`: no block of this
    size on the map has rows of both.
    """

    groups: bool = False
    gap_days: float | None = None
    blocks_degrees: float | None = None


class Split(Protocol):
    """A rule that says to which part each row belongs."""

    @property
    def apart(self) -> Apart:
        """What holds between the parts."""
        ...

    def __call__(self, labels: pd.DataFrame) -> pd.Series:
        """Return "train", "validation", "test" or, for a row that no part may have, "" (index of `labels`)."""
        ...


@dataclass(frozen=True)
class ByYear:
    """The last quarter of the years is the test, the sixth before it validates, those before train.

    A group stays whole where `whole_groups`: it belongs to the year of its first row, and is left out where it has a
    row within `gap_days` of a later part, whose weather resembles that of the test. Else rows are so treated one by
    one: a station may be in all parts, at other times.
    """

    gap_days: float = 5.0
    whole_groups: bool = True

    @property
    def apart(self) -> Apart:
        """Groups where they stay whole, and the gap in time."""
        return Apart(groups=self.whole_groups, gap_days=self.gap_days)

    def __call__(self, labels: pd.DataFrame) -> pd.Series:
        """Return the part of each row; raises `UserError` for labels of fewer than three years, or without a time."""
        if "time" not in labels:
            raise UserError("A split by year needs the column time in the labels.")
        unit = labels["group"] if self.whole_groups else pd.Series(labels.index, labels.index)
        span = labels.groupby(unit)["time"].agg(["min", "max"])
        years = split_years(span["min"].dt.year.tolist())
        part_of = pd.Series(NO_PART, span.index)
        limit = pd.Timestamp.max
        for name in reversed(PARTS):
            mine = span[span["min"].dt.year.isin(years[name]) & (span["max"] < limit)]
            part_of[mine.index] = name
            limit = min([limit, *(mine["min"] - pd.Timedelta(days=self.gap_days))])
        return unit.map(part_of)


@dataclass(frozen=True)
class ByBlock:
    """Whole blocks of the map, `degrees` high and wide: of `folds` shares of them one is the test, one validates.

    Blocks are drawn by hash, so that a station stays where it is when others come or go. `fold` says which share is
    the test: all of them in turn are a spatial cross-validation.
    """

    degrees: float = 10.0
    folds: int = 5
    fold: int = 0

    @property
    def apart(self) -> Apart:
        """Blocks, and with them the groups, which have one place each."""
        return Apart(groups=True, blocks_degrees=self.degrees)

    def __call__(self, labels: pd.DataFrame) -> pd.Series:
        """Return the part of each row; raises `UserError` for a fold that there is not, or labels without a place."""
        if not 0 <= self.fold < self.folds or self.folds < 3:
            raise UserError(f"Fold {self.fold} of {self.folds}: give one from 0 to {self.folds - 1}, of 3 at least.")
        share = block_of(labels, self.degrees).map(lambda block: _drawn(block, self.folds))
        names = {self.fold: "test", (self.fold + 1) % self.folds: "validation"}
        return share.map(lambda k: names.get(k, "train"))


@dataclass(frozen=True)
class ByGroup:
    """Whole groups, drawn by hash: of every twenty five are the test and three validate."""

    seed: int = 0

    @property
    def apart(self) -> Apart:
        """Groups."""
        return Apart(groups=True)

    def __call__(self, labels: pd.DataFrame) -> pd.Series:
        """Return the part of each row; raises `UserError` for fewer than three groups."""
        groups = sorted(labels["group"].unique(), key=lambda group: _digest(f"{self.seed}:{group}"))
        if len(groups) < len(PARTS):
            raise UserError(f"The labels have {len(groups)} group(s): train, validation and test need one each.")
        test, validation = max(1, len(groups) // 4), max(1, len(groups) * 3 // 20)
        part_of = dict.fromkeys(groups, "train")
        part_of |= dict.fromkeys(groups[:test], "test") | dict.fromkeys(groups[test : test + validation], "validation")
        return labels["group"].map(part_of)


@dataclass(frozen=True)
class ByColumn:
    """The split that came with the data: a column names the part of each row, in the words that `parts` translates."""

    column: str
    parts: Mapping[str, str] = field(default_factory=lambda: {name: name for name in PARTS})

    @property
    def apart(self) -> Apart:
        """Groups; whoever made the split answers for the rest."""
        return Apart(groups=True)

    def __call__(self, labels: pd.DataFrame) -> pd.Series:
        """Return the part of each row; raises `UserError` for a missing column or a word that is no part."""
        if self.column not in labels:
            raise unknown("column of the labels", self.column, map(str, labels.columns))
        if odd := sorted(set(labels[self.column].astype(str)) - set(self.parts)):
            raise UserError(f"The column '{self.column}' holds '{odd[0]}'; its words are {', '.join(self.parts)}.")
        return labels[self.column].astype(str).map(dict(self.parts))


def split_years(years: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return the years of each part; raises `UserError` for fewer than three."""
    ordered = sorted(set(years))
    if len(ordered) < len(PARTS):
        raise UserError(
            f"The labels cover {len(ordered)} year(s), {ordered}: train, validation and test need one each at least."
        )
    test, validation = max(1, len(ordered) // 4), max(1, len(ordered) // 6)
    cut = len(ordered) - test - validation
    return dict(zip(PARTS, (tuple(ordered[:cut]), tuple(ordered[cut:-test]), tuple(ordered[-test:])), strict=True))


def block_of(labels: pd.DataFrame, degrees: float) -> pd.Series:
    """Return the block of the map that each row lies in, as "row column" counted from the south pole and Greenwich."""
    if missing := [name for name in ("latitude", "longitude") if name not in labels]:
        raise UserError(f"A split by place needs the columns latitude and longitude; missing: {', '.join(missing)}.")
    placed = labels[["latitude", "longitude"]].notna().all(axis=1)
    if not placed.all():
        raise UserError(f"Row {placed.idxmin()} of the labels has no place, which a split by place needs.")
    row = np.floor((labels["latitude"] + 90) / degrees).astype(int)
    column = np.floor(labels["longitude"] % 360 / degrees).astype(int)
    return row.astype(str) + " " + column.astype(str)


def chosen_groups(groups: Sequence[str], count: int | None, seed: int) -> tuple[str, ...]:
    """Return `count` of the groups (None: all) in an order drawn by hash: a smaller budget is part of a larger one."""
    ordered = sorted(groups, key=lambda group: _digest(f"{seed}:{group}"))
    if count is not None and count > len(ordered):
        raise UserError(f"--labels {count} asks for more than the {len(ordered)} labelled groups of the training part.")
    return tuple(sorted(ordered[:count]))


def _drawn(name: str, shares: int) -> int:
    return int.from_bytes(_digest(name)[:8], "big") % shares


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
