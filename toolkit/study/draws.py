"""The scores of all cells of a study in the same draws of the test groups: what curves and savings are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.metrics import Metric, Scores
from toolkit.stats import Resampled, resampled_runs
from toolkit.study.table import Line

OfSeeds = Mapping[int, Scores]


@dataclass(frozen=True, eq=False)
class Drawn:
    """The seeds of a line with so many labels, in rising order, and their scores by one metric."""

    seeds: tuple[int, ...]
    scores: Resampled

    def of(self, seeds: Sequence[int]) -> Resampled:
        """Return the scores of some of the seeds, in their order."""
        return self.scores[[self.seeds.index(seed) for seed in seeds]]


def drawn_scores(metric: Metric, scores: Mapping[Line, Mapping[int, OfSeeds]]) -> dict[Line, dict[int, Drawn]]:
    """Return {line: {labels: scores in draws}} of {line: {labels: {seed: scores}}}, without what is empty.

    Raises UserError if the cells were scored on different groups.
    """
    cells = {
        (line, labels): sorted(of_labels[labels])
        for line, of_labels in scores.items()
        for labels in sorted(of_labels)
        if of_labels[labels]
    }
    runs = [scores[line][labels][seed] for (line, labels), seeds in cells.items() for seed in seeds]
    if not runs:
        return {}
    together = resampled_runs(metric, [run.sums_of(metric) for run in runs])
    found: dict[Line, dict[int, Drawn]] = {}
    first = 0
    for (line, labels), seeds in cells.items():
        drawn = Drawn(tuple(seeds), together[range(first, first + len(seeds))])
        found.setdefault(line, {})[labels] = drawn
        first += len(seeds)
    return found
