"""Scores in the same draws of the test groups: what the curves, differences and savings of many cells are made from."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from toolkit.metrics import Metric, Scores
from toolkit.stats import Difference, Resampled, difference_of, resampled_runs, student_p_value
from toolkit.study.table import Line

OfSeeds = Mapping[int, Scores]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, eq=False)
class Drawn:
    """The seeds of a cell, in rising order, and their scores by one metric."""

    seeds: tuple[int, ...]
    scores: Resampled

    def of(self, seeds: Sequence[int]) -> Resampled:
        """Return the scores of some of the seeds, in their order."""
        return self.scores[[self.seeds.index(seed) for seed in seeds]]


def drawn_together(metric: Metric, scores: Mapping[Name, OfSeeds]) -> dict[Name, Drawn]:
    """Return {name: scores in draws} of {name: {seed: scores}}, the same draws for all, without what is empty.

    Raises UserError if the cells were scored on different groups.
    """
    seeds = {name: tuple(sorted(of_seeds)) for name, of_seeds in scores.items() if of_seeds}
    runs = [scores[name][seed].sums_of(metric) for name, own in seeds.items() for seed in own]
    if not runs:
        return {}
    together, found, first = resampled_runs(metric, runs), dict[Name, Drawn](), 0
    for name, own in seeds.items():
        found[name] = Drawn(own, together[range(first, first + len(own))])
        first += len(own)
    return found


def drawn_scores(metric: Metric, scores: Mapping[Line, Mapping[int, OfSeeds]]) -> dict[Line, dict[int, Drawn]]:
    """Return `drawn_together` of {line: {labels: {seed: scores}}} as {line: {labels: scores in draws}}."""
    cells = {(line, labels): of_line[labels] for line, of_line in scores.items() for labels in sorted(of_line)}
    found: dict[Line, dict[int, Drawn]] = {}
    for (line, labels), drawn in drawn_together(metric, cells).items():
        found.setdefault(line, {})[labels] = drawn
    return found


def paired(a: Drawn, b: Drawn) -> tuple[Difference, float] | None:
    """Return the difference, a minus b, of the seeds that both have, and its `student_p_value`; None without any."""
    shared = [seed for seed in a.seeds if seed in b.seeds]
    if not shared:
        return None
    ours, theirs = a.of(shared), b.of(shared)
    return difference_of(ours, theirs), student_p_value(ours, theirs)
