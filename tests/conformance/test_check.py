"""What a check says of a task as a whole."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.config import FinetuneSettings
from toolkit.conformance.check import check_task
from toolkit.conformance.rules import RULES
from toolkit.task import Inputs, Task
from toolkit.told import Told


@pytest.fixture
def settings(tiny_world: Path, random_backbone: Path) -> FinetuneSettings:
    """Those of a check on the tests' own world and backbone."""
    return FinetuneSettings(task="sound", world=tiny_world, backbone=str(random_backbone), threads=1)


def test_rules_come_after_those_they_need() -> None:
    """Names are distinct, and what a rule needs has been asked before it."""
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    for k, rule in enumerate(RULES):
        assert set(rule.needs) <= set(names[:k])
        assert rule.holds.endswith(".")


def test_a_rule_that_needs_a_broken_one_is_not_run(sound: Task, checked) -> None:
    """Of a task whose targets cannot be encoded, nothing is said of the loss and the methods; the rest is checked."""

    def encode(_examples: object) -> dict:
        raise ValueError("no such column")

    found = checked(replace(sound, encode=encode))
    assert {name for name, outcome in found.items() if outcome.state == "not run"} == {"loss", "methods"}
    assert found["perfect"].state == "ok"
    (problem,) = found["encode"].problems
    assert (problem.place, problem.wrong) == ("encode", "it raises ValueError: no such column.")
    assert problem.remedy.startswith("Mend `encode` in test_check.py, line ")


@pytest.mark.slow
def test_a_report_says_it_in_lines_and_as_values(sound: Task, settings: FinetuneSettings) -> None:
    """Each problem is one line with rule, place, what is wrong and the remedy; JSON holds the same."""
    report = check_task(replace(sound, summary=""), settings, Told())
    line = "description: summary: it is empty. Say in one line what the task does."
    assert report.problems == (line,)
    content = json.loads(json.dumps(report.content))
    assert (content["task"], content["good"]) == ("sound", False)
    assert (content["world"], content["labels"]) == (str(settings.world), "those of the world")
    told = {rule["rule"]: rule for rule in content["rules"]}
    assert list(told) == [rule.name for rule in RULES]
    assert told["description"]["state"] == "FAILED"
    assert told["description"]["problems"][0]["place"] == "summary"


def test_a_task_without_fields_is_checked_on_labels_of_its_own(sound: Task, settings: FinetuneSettings) -> None:
    """Columns alone: no world is needed, the sample makes the labels, and all is trained from scratch."""
    blind = replace(
        sound, inputs=Inputs(columns=("before",)), sample=lambda world: (world / "rain.csv").write_text("made up")
    )
    report = check_task(blind, settings.model_copy(update={"world": None}), Told())
    assert not report.problems
    assert (report.world, report.labels) == ("none", "made up by the task's sample")


@pytest.mark.slow
def test_a_task_of_objects_keeps_all_rules(small_task: Task, settings: FinetuneSettings) -> None:
    """Cyclones, of which a window shows several or none, pass on smaller windows than their own."""
    assert check_task(small_task, settings, Told()).problems == ()
