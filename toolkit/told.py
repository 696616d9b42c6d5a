"""Who is told how a long job goes, and what there is to say of one that is done in cells."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Literal

State = Literal["waiting", "running", "done", "failed", "kept"]


@dataclass(frozen=True)
class CellsSeen:
    """The cells of a job at one moment.

    `kinds` {cell: kind} has all of them in order, `kept` those that were finished before it began, `expected`
    {cell: seconds} what is known beforehand. `running` {cell: when it began} and `began` are on the monotonic clock,
    s; `done` has what each cell took, s, and `failed` what went wrong. So many `jobs` run at a time.
    """

    kinds: Mapping[str, str]
    kept: frozenset[str] = frozenset()
    expected: Mapping[str, float] = field(default_factory=dict)
    jobs: int = 1
    began: float = 0.0
    running: Mapping[str, float] = field(default_factory=dict)
    done: Mapping[str, float] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """How many cells are done or have failed; those kept do not count."""
        return len(self.done) + len(self.failed)

    def state(self, name: str) -> State:
        """Return how far a cell is."""
        if name in self.kept:
            return "kept"
        if name in self.done:
            return "done"
        if name in self.failed:
            return "failed"
        return "running" if name in self.running else "waiting"

    def with_begun(self, name: str, now: float) -> "CellsSeen":
        """Return the cells after one has begun."""
        return replace(self, running={**self.running, name: now})

    def with_stopped(self, name: str) -> "CellsSeen":
        """Return the cells after one that ran has gone back to those that wait."""
        return replace(self, running={cell: since for cell, since in self.running.items() if cell != name})

    def with_ended(self, name: str, error: str, seconds: float) -> "CellsSeen":
        """Return the cells after one has ended, well where `error` is empty."""
        rest = self.with_stopped(name)
        if error:
            return replace(rest, failed={**self.failed, name: error})
        return replace(rest, done={**self.done, name: seconds})

    def mean_seconds(self) -> dict[str, float]:
        """Return how long the cells of a kind took that are done, on average, {kind: s}."""
        of_kind = defaultdict(list)
        for name, seconds in self.done.items():
            of_kind[self.kinds[name]].append(seconds)
        return {kind: fmean(each) for kind, each in of_kind.items()}

    def seconds_left(self, now: float) -> float | None:
        """Return how long the rest is expected to take at time `now`, s; None where nothing tells.

        A cell is expected to take the mean of its kind, before there is one what was `expected` of it, and else the
        mean of all that are done; what runs has done a part of it. All jobs are taken to be busy to the end, which
        cannot come before the longest of the cells.
        """
        means = self.mean_seconds()
        every = fmean(self.done.values()) if self.done else None
        left = []
        for name, kind in self.kinds.items():
            if self.state(name) not in ("waiting", "running"):
                continue
            whole = means.get(kind, self.expected.get(name, every))
            if whole is None:
                return None
            left.append(max(whole - (now - self.running.get(name, now)), 0.0))
        return max(sum(left) / self.jobs, max(left, default=0.0))


@dataclass(frozen=True)
class Told:
    """What to call: `stage` with what begins, `step` with a training step's numbers and how many steps there are,
    `share` with the part of a stage's work that is done, from 0 to 1, `cells` with how far a stage's cells are.
    """

    stage: Callable[[str], None] = lambda _: None
    step: Callable[[dict[str, float], int], None] = lambda _numbers, _steps: None
    share: Callable[[float], None] = lambda _: None
    cells: Callable[[CellsSeen], None] = lambda _: None
