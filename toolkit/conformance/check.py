"""A task checked by all rules, on a small world."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.config import FinetuneSettings
from toolkit.conformance.rules import RULES, Outcome, outcomes
from toolkit.conformance.subject import Subject
from toolkit.conformance.world import checked_origin, makes_labels_up
from toolkit.engine import engine
from toolkit.task import Task
from toolkit.task_settings import task_and_settings
from toolkit.told import Told


@dataclass(frozen=True)
class Report:
    """What became of each rule for a task, and the world and labels that it was checked on, in words."""

    task: str
    world: str
    labels: str
    outcomes: tuple[Outcome, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """All problems, a line each: rule, place, what is wrong, remedy."""
        return tuple(
            f"{outcome.rule.name}: {problem.place}: {problem.wrong} {problem.remedy}".strip()
            for outcome in self.outcomes
            for problem in outcome.problems
        )

    @property
    def content(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        rules = [
            {
                "rule": outcome.rule.name,
                "holds": outcome.rule.holds,
                "state": outcome.state,
                "seconds": round(outcome.seconds, 2),
                "problems": [vars(problem) for problem in outcome.problems],
            }
            for outcome in self.outcomes
        ]
        return {
            "task": self.task,
            "good": not self.problems,
            "world": self.world,
            "labels": self.labels,
            "rules": rules,
        }


def check_named(name: str, overrides: Sequence[str] = ()) -> Report:
    """Check the installed task called `name`, or that of a Python file, under KEY=VALUE options and settings.

    Settings are those of `toolkit finetune`, such as world=FOLDER or data=FILE. Raises `UserError` where the task or
    the settings cannot be loaded.
    """
    return check_task(*task_and_settings(name, overrides=overrides), Told())


def check_task(task: Task, settings: FinetuneSettings, told: Told) -> Report:
    """Check a task under settings; see `toolkit.conformance.world` for the fields and labels."""
    engine(settings.model_copy(update={"device": "cpu"}))
    makes_up, found = makes_labels_up(task, settings), []
    with checked_origin(task, settings, told) as origin:
        told.stage(f"checking {task.name}")
        for outcome in outcomes(Subject(task, settings, origin, makes_up)):
            found.append(outcome)
            told.share(len(found) / len(RULES))
        world = "none" if origin.world is None else str(settings.world or "the tiny simulated world")
    labels = "made up by the task's sample" if makes_up else str(settings.data or "those of the world")
    return Report(task.name, world, labels, tuple(found))
