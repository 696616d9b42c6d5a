"""How train, validation and test are kept apart: a rule from the table of labels to the part of each row.

Rules never look at a target. Each says in `apart` what holds between two parts, so that it can be proved from what was
written down (`toolkit.leaks`).
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd

from toolkit.errors import UserError, unknown

PARTS = TRAIN, VALIDATION, TEST = "train", "validation", "test"
NO_PART = ""
VALIDATION_SHARE = 3
"""One validation group for every three labelled ones: a small budget has a small validation set too."""
FEWEST_VALIDATION_GROUPS = 4

Strata = Callable[[pd.DataFrame], pd.Series]
"""Labels -> a word or number for each row: of what kind it is. Budgets hold each kind in proportion."""


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
        first, covered = span["min"].dt.year, labels["time"].dt.year.nunique()
        if self.whole_groups and first.nunique() < len(PARTS) <= covered:
            raise UserError(
                f"A whole group counts in the year of its first row, and all groups begin in "
                f"{', '.join(map(str, sorted(first.unique())))}, though the labels cover {covered} years. Give the "
                "split whole_groups=False: a group may then be in several parts, at other times."
            )
        years = split_years(first.tolist())
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
    """Whole groups, drawn by a hash of their name: of every twenty, five test and three validate."""

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
            f"The labels cover {len(ordered)} year(s), {ordered}: train, validation and test need one each at least. "
            f"Give labels of {len(PARTS) - len(ordered)} year(s) more, or split by group or by block."
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


def chosen_groups(
    groups: Iterable[str], count: int | None, seed: int, strata: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return the first `count` of the groups (None: all) in the order of `drawn_order`, sorted by name."""
    return tuple(sorted(first_groups(drawn_order(groups, seed, strata), count)))


def first_groups(ordered: tuple[str, ...], count: int | None) -> tuple[str, ...]:
    """Return the first `count` training groups (None: all); raises `UserError` where there are not so many."""
    if count is not None and count > len(ordered):
        raise UserError(f"--labels {count} asks for more than the {len(ordered)} labelled groups of the training part.")
    return ordered[:count]


def drawn_order(groups: Iterable[str], seed: int, strata: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the groups in the order in which budgets take them: a smaller budget is part of a larger one.

    The order is that of a hash of seed and group. With `strata` {group: stratum} so is that within each stratum, and
    the first k of n groups have k m / n of a stratum of m groups, rounded up or down. Which stratum is next is decided
    as in Tijdeman 1980, The chairman assignment problem, Discrete Mathematics 32, 323: of those that are due, the one
    that would first be late; of equals, the one whose first group has the smaller hash.
    """
    ordered = sorted(groups, key=lambda group: _digest(f"{seed}:{group}"))
    members: dict[str, list[str]] = {}
    for group in ordered:
        members.setdefault(strata[group] if strata else "", []).append(group)
    taken, drawn, twice = dict.fromkeys(members, 0), [], 2 * max(len(members) - 1, 1)
    for k in range(1, len(ordered) + 1):
        due = [s for s, own in members.items() if twice * (k * len(own) - len(ordered) * taken[s]) >= len(ordered)]
        chosen = min(due, key=lambda s: (twice * (taken[s] + 1) - 1) / len(members[s]))
        drawn.append(members[chosen][taken[chosen]])
        taken[chosen] += 1
    return tuple(drawn)


def group_strata(labels: pd.DataFrame, strata: Strata | None) -> dict[str, str] | None:
    """Return {group: stratum}, that of most of its rows, of several the first in the alphabet; None without `strata`.

    What is not known is a stratum of its own. Raises `UserError` where `strata` does not say something of every row.
    """
    if strata is None:
        return None
    said = strata(labels)
    if not isinstance(said, pd.Series) or not said.index.equals(labels.index):
        raise UserError("The strata of a task must be a Series with the index of the labels: a word or number per row.")
    word = said.map(lambda value: "" if pd.isna(value) else str(value)).astype(object)
    counts = pd.DataFrame({"group": labels["group"], "stratum": word}).value_counts().reset_index(name="rows")
    counts = counts.sort_values(["rows", "stratum"], ascending=[False, True])
    return dict(counts.drop_duplicates("group").set_index("group")["stratum"])


def validation_count(labels: int | None, training: int, validation: int) -> int:
    """Return how many of so many validation groups go with a budget of `labels` of the training groups (None: all).

    A third of the budget, four at least, as far as there are; all of them where the budget is all training groups.
    """
    if labels is None or labels >= training:
        return validation
    return min(max(FEWEST_VALIDATION_GROUPS, labels // VALIDATION_SHARE), validation)


def _drawn(name: str, shares: int) -> int:
    return int.from_bytes(_digest(name)[:8], "big") % shares


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
