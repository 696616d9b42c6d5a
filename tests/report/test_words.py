"""The sentences of the page."""

import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from toolkit.report import words
from toolkit.report.read import Difference, Part, Results, Split, read_run
from toolkit.split import Apart


def plain(sentences: list[str]) -> str:
    """Join sentences with ordinary spaces."""
    return " ".join(sentences).replace("\u00a0", " ")


def with_difference(results: Results, value: float, low: float, high: float) -> Results:
    """Return the results with another difference of the primary metric."""
    assert results.comparison is not None
    difference = Difference(value, low, high, excludes_zero=low > 0 or high < 0)
    differences = {**results.comparison.differences, results.primary: difference}
    return replace(results, comparison=replace(results.comparison, differences=differences))


def without_score(results: Results) -> Results:
    """Return the results with an undefined primary score."""
    undefined = replace(results.metrics[results.primary], value=math.nan, low=math.nan, high=math.nan)
    return replace(results, metrics={**results.metrics, results.primary: undefined})


def test_the_title_says_the_score_and_the_labels(results: Results) -> None:
    """The heading is the primary score and what it took."""
    assert plain([words.title(results)]) == "Mean centre error of 183 km from 64 labelled storms"


def test_the_headline_says_what_how_well_and_against_what(results: Results) -> None:
    """Backbone, method, labels, score, interval, comparison and the best baseline are all told."""
    said = plain(words.headline(results))
    assert "The backbone vortex-small, pretrained without labels, was adapted to 64 labelled storms with low" in said
    assert "its mean centre error is 183 km [159, 210]; lower is better." in said
    assert "trained from random weights on the same labels reaches 274 km [243, 308]." in said
    assert "91 km better [67, 115], more than the choice of test storms explains." in said
    assert "The best baseline, vorticity maximum, reaches 403 km. The adapted network is 220 km better" in said
    assert said.endswith("better [196, 244], more than the choice of test storms explains.")


def test_a_baseline_without_a_difference_is_held_against_the_interval(results: Results) -> None:
    """An older run knows only the baseline's score, and whether its own interval holds it."""
    said = plain(words.headline(replace(results, baseline_differences={})))
    assert "The best baseline, vorticity maximum, reaches 403 km: the network is 220 km better, and" in said
    assert said.endswith("the baseline lies outside its interval.")
    assert words.tiles(replace(results, baseline_differences={}))[2].note == "vorticity maximum"


def test_one_of_several_baselines_is_judged_after_correction(results: Results) -> None:
    """A difference that only Holm's correction makes doubtful could be chance, and the number of baselines is why."""
    doubtful = Difference(-9.0, -17.0, -1.0, excludes_zero=True, p_holm=0.09)
    known = {"vorticity maximum": {results.primary: doubtful}}
    weak = replace(results, baseline_differences=known)
    assert "9 km better [1, 17], which could be chance where 3 baselines" in plain(words.headline(weak))
    assert words.tiles(weak)[2].note.endswith("could be chance")


def test_a_difference_that_could_be_chance_is_called_so(results: Results) -> None:
    """An interval on both sides of zero is not a result."""
    said = plain(words.headline(with_difference(results, -12.0, -40.0, 16.0)))
    assert "12 km better [−16, 40], which could be chance." in said


def test_a_worse_network_is_called_worse(results: Results) -> None:
    """A positive difference of an error is a loss, and its interval is turned with it."""
    said = plain(words.headline(with_difference(results, 20.0, 5.0, 35.0)))
    assert "20 km worse [5, 35], more than" in said


def test_no_comparison_is_said_to_be_missing(results: Results) -> None:
    """Silence could be taken for a success."""
    assert "from scratch was not tried" in plain(words.headline(replace(results, comparison=None)))


def test_training_from_scratch_is_not_called_adapted(results: Results) -> None:
    """Of a run from scratch nothing was pretrained, and nothing is missing."""
    said = plain(words.headline(replace(results, method="scratch", backbone=None, comparison=None)))
    assert said.startswith("A network was trained from random weights on 64 labelled storms.")
    assert "not tried" not in said


def test_an_undefined_score_is_called_undefined(results: Results) -> None:
    """NaN is never printed."""
    said = plain([words.title(without_score(results)), *words.headline(without_score(results))])
    assert "Mean centre error of undefined" in said
    assert "nan" not in said.lower().split()


def test_the_best_baseline_follows_the_direction_of_the_metric(results: Results) -> None:
    """Lowest error, highest score, and none where no baseline has it."""
    assert words.best_baseline(results, "intensity_error") == ("vorticity maximum", 31.2)
    assert words.best_baseline(results, "csi") == ("vorticity maximum", 0.37)
    assert words.best_baseline(replace(results, baselines={"silence": {}}), "csi") is None


def test_the_tiles_hold_the_numbers_to_take_away(results: Results) -> None:
    """Score, both comparisons and the labels, each with what to know about it."""
    tiles = [(tile.value.replace("\u00a0", " "), tile.note.replace("\u00a0", " ")) for tile in words.tiles(results)]
    assert tiles == [
        ("183 km", "95 % interval [159, 210]"),
        ("91 km better", "more than chance"),
        ("220 km better", "vorticity maximum; more than chance"),
        ("64 storms", "1.86 % of the weights trained"),
    ]


STORMS, TIMES, PLACES = Apart(groups=True, gap_days=5.0), Apart(gap_days=5.0), Apart(groups=True, blocks_degrees=10.0)


def part(groups: str, *spans: tuple[str, str]) -> Part:
    """A part of groups with one letter each, and days of 2001 from which to which it has rows."""
    days = tuple(
        (datetime.fromisoformat(f"2001-{first}"), datetime.fromisoformat(f"2001-{last}")) for first, last in spans
    )
    return Part(tuple(groups), days, 1, 1)


@pytest.mark.parametrize(
    ("apart", "test", "good", "said"),
    [
        (
            STORMS,
            part("C", ("09-01", "09-20")),
            True,
            "No two parts share storms. The nearest times of two parts are 31",
        ),
        (STORMS, part("AC", ("09-01", "09-20")), False, "1 storms are in more than one part, such as A: do not trust"),
        (STORMS, part("C", ("02-01", "02-20"), ("08-03", "08-20")), False, "only 2.0 days apart, not 5: do not trust"),
        (STORMS, part("C", ("07-15", "09-20")), False, "only 0.0 days apart, not 5: do not trust"),
        (TIMES, part("AC", ("09-01", "09-20")), True, "The parts share 1 storms, at other times. The nearest times"),
        (TIMES, part("AC", ("08-03", "09-20")), False, "only 2.0 days apart"),
        (PLACES, part("C", ("07-15", "09-20")), True, "They share times. Whole blocks of 10 degrees on the map are in"),
        (PLACES, part("C"), True, "No two parts share storms. Whole blocks"),
        (PLACES, part("BC"), False, "1 storms are in more than one part, such as B"),
    ],
)
def test_a_leak_is_found_in_the_split_itself(apart: Apart, test: Part, good: bool, said: str) -> None:
    """The statement about leakage is checked, not repeated, and says what the rule promised."""
    split = Split(0, apart, {"train": part("AB", ("07-01", "08-01")), "test": test}, "")
    found, sentence = words.leakage(split, "storms")
    assert found is good
    assert said in sentence
    assert sentence.endswith("when the page was written.") is good


def test_the_limits_name_the_simulation_only_where_there_is_one(finished_run: Path) -> None:
    """A real world is not called simulated; notes of the run are kept."""
    run = read_run(finished_run)
    assert "simulated" in words.limits(run)[0]
    assert run.world is not None
    real = words.limits(replace(run, world=replace(run.world, simulated=False)))
    assert real == words.limits(replace(run, world=None))
    assert not any("simulated" in limit for limit in real)
    assert real[-1].startswith("12 of 2,422 labelled rows")
    assert any("one seed (7)" in limit for limit in real)
    assert any("the 3 baselines hold together for each metric" in limit for limit in real)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("csi", "CSI"), ("hit_rate", "Hit rate"), ("position_error_24h", "24\u00a0h position error"), ("rmse", "RMSE"),
        ("mean_iou_48h", "48\u00a0h mean IoU"), ("rmse_rural", "RMSE rural"),
    ],
)  # fmt: skip
def test_metric_names_are_written_as_words(name: str, title: str) -> None:
    """Underscores become spaces, abbreviations capitals, hours a unit."""
    assert words.metric_title(name) == title


@pytest.mark.parametrize(
    ("title", "within"), [("CSI", "CSI"), ("Mean IoU", "mean IoU"), ("IoU of heat", "IoU of heat"), ("Bias", "bias")]
)
def test_titles_within_a_sentence_begin_small(title: str, within: str) -> None:
    """Only abbreviations keep their capitals."""
    assert words.in_sentence(title) == within


def test_few_groups_are_said(finished_run: Path) -> None:
    """What is resampled from a handful of groups is no more than rough, and the page says so."""
    run = read_run(finished_run)
    part = replace(run.split.parts["test"], groups=("a", "b"))
    few = replace(run, split=replace(run.split, parts={**run.split.parts, "test": part}))
    assert "There are only 2 " in plain(words.limits(few))
    assert "There are only" not in plain(words.limits(run))
