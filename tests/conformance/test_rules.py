"""Each rule has tasks that break it, and it alone: the functions in broken_*.py, marked with what the rule says."""

from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from toolkit.conformance.rules import RULES
from toolkit.task import Task

pytestmark = pytest.mark.slow


def _broken() -> Iterator[object]:
    """Yield a case for every marked function: the rule, the place and a part of what it says there, the function."""
    for path in sorted(Path(__file__).parent.glob("broken_*.py")):
        spec = spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(module := module_from_spec(spec))
        for name, function in vars(module).items():
            for mark in getattr(function, "pytestmark", ()):
                yield pytest.param(*mark.args, function, id=name.strip("_"))


BROKEN = tuple(_broken())


@pytest.mark.parametrize(("rule", "place", "said", "broken"), BROKEN)
def test_a_broken_task_is_caught_by_one_rule(
    sound: Task, checked, rule: str, place: str, said: str, broken: Callable[[Task], Task]
) -> None:
    """The rule that a task breaks names the place and what is wrong there; no other rule fails."""
    found = checked(broken(sound))
    assert [name for name, outcome in found.items() if outcome.state == "FAILED"] == [rule]
    told = [problem for problem in found[rule].problems if problem.place == place and said in problem.wrong]
    assert told, found[rule].problems
    assert told[0].remedy or "raises" not in said


def test_a_sound_task_keeps_all_rules(sound: Task, checked) -> None:
    """Nothing is wrong with a task that does as it should, and every rule has been asked."""
    assert {name: outcome.state for name, outcome in checked(sound).items()} == {rule.name: "ok" for rule in RULES}


def test_every_rule_is_broken_by_a_task() -> None:
    """There is no rule that cannot fail."""
    assert {case.values[0] for case in BROKEN} == {rule.name for rule in RULES}
