"""Who is told how a long job goes."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Told:
    """What to call: `stage` with what begins, `step` with a training step's numbers and how many steps there are,
    `share` with the part of a stage's work that is done, from 0 to 1.
    """

    stage: Callable[[str], None] = lambda _: None
    step: Callable[[dict[str, float], int], None] = lambda _numbers, _steps: None
    share: Callable[[float], None] = lambda _: None
