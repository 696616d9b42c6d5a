"""Cells on a terminal: a table with a row for every kind, or a line of text."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.cli.tables import BLANK

if TYPE_CHECKING:
    from rich.table import Table

    from toolkit.told import CellsSeen


@dataclass(frozen=True)
class Row:
    """The cells of a kind: how many there are, how many of them are finished (done or kept), run, and have failed.

    `seconds` is how long those done took on average, None where none is.
    """

    name: str
    total: int
    finished: int
    running: int
    failed: int
    seconds: float | None = None

    @property
    def waiting(self) -> int:
        """How many have not begun."""
        return self.total - self.finished - self.running - self.failed


def rough_duration(seconds: float) -> str:
    """Return a time as one would say it: in seconds, in minutes, or in hours and minutes."""
    if seconds < 300:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def rows_of(seen: "CellsSeen") -> list[Row]:
    """Return a row for every kind, in the order of their first cells."""
    counts: dict[str, Counter[str]] = {}
    for name, kind in seen.kinds.items():
        counts.setdefault(kind, Counter())[seen.state(name)] += 1
    means = seen.mean_seconds()
    return [
        Row(kind, of.total(), of["done"] + of["kept"], of["running"], of["failed"], means.get(kind))
        for kind, of in counts.items()
    ]


def fitted(rows: list[Row], height: int) -> list[Row]:
    """Return at most `height` rows, which is 3 or more: those at work in full, those before and after each as one."""
    if len(rows) <= height:
        return rows
    first = next((at for at, row in enumerate(rows) if row.running or row.waiting), len(rows))
    room = height - 2
    begin = max(0, min(first, len(rows) - room))
    before, after = rows[:begin], rows[begin + room :]
    return [*_as_one(before, "before"), *rows[begin : begin + room], *_as_one(after, "after")]


def cells_table(seen: "CellsSeen", now: float, height: int) -> "Table":
    """Return the table to draw at `now` on the monotonic clock, s, with at most `height` kinds."""
    from rich.table import Column, Table
    from rich.text import Text

    numbers = (Column(head, justify="right") for head in ("done", "running", "failed", "each"))
    table = Table(Column("cells", ratio=1, no_wrap=True, overflow="ellipsis"), *numbers, box=None, pad_edge=False)
    rows = rows_of(seen)
    for row in fitted(rows, height):
        style = "red" if row.failed else "bold" if row.running else "" if row.waiting else "dim"
        table.add_row(Text(row.name), *_numbers(row), style=style)
    every = _as_one(rows, "all")[0]
    table.add_section()
    table.add_row(f"after {rough_duration(now - seen.began)}{_left(seen, now)}", *_numbers(every))
    return table


def cells_line(seen: "CellsSeen", now: float) -> str:
    """Return in a line how many cells are finished and have failed, what runs, and how long the rest will take."""
    finished = len(seen.done) + len(seen.kept)
    failed = f", {len(seen.failed)} failed" if seen.failed else ""
    runs = f" ({'; '.join(dict.fromkeys(seen.kinds[name] for name in seen.running))})" if seen.running else ""
    return f"{finished} of {len(seen.kinds)} cells{failed}{_left(seen, now)}{runs}"


def _numbers(row: Row) -> tuple[str, str, str, str]:
    each = BLANK if row.seconds is None else rough_duration(row.seconds)
    return f"{row.finished}/{row.total}", str(row.running or BLANK), str(row.failed or BLANK), each


def _as_one(rows: list[Row], name: str) -> list[Row]:
    """Return the sum of rows as one, none where there are none."""
    if not rows:
        return []
    sums = (sum(getattr(row, part) for row in rows) for part in ("total", "finished", "running", "failed"))
    return [Row(f"{len(rows)} {name}" if name != "all" else name, *sums)]


def _left(seen: "CellsSeen", now: float) -> str:
    if seen.ended + len(seen.kept) == len(seen.kinds):
        return ""
    left = seen.seconds_left(now)
    return "" if left is None else f", about {rough_duration(left)} left"
