"""The proof that parts are apart: it accepts what every rule makes, and finds every fault that is put in."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from toolkit import split as split_module
from toolkit.errors import UserError
from toolkit.leaks import foretold, leaks, read_split
from toolkit.runfolder import split_hash, write_split
from toolkit.split import PARTS, Apart, ByBlock, ByColumn, ByGroup, ByYear, Split, chosen_groups

RULES: tuple[Split, ...] = (
    ByYear(),
    ByYear(gap_days=20.0, whole_groups=False),
    ByBlock(degrees=20.0),
    ByGroup(),
    ByColumn("official"),
)
SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=15)


def random_labels(seed: int, groups: int = 30) -> pd.DataFrame:
    """Rows of stations, each with one place, for some time in some of six years, and a split of their own."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(groups), rng.integers(1, 9, groups))
    first = np.datetime64("2001-01-01", "s") + rng.integers(0, 6 * 365, groups) * np.timedelta64(1, "D")
    time = first[of] + (rng.random(len(of)) * rng.choice([1, 30, 500], groups)[of]).astype("timedelta64[D]")
    latitude, longitude, official = (
        rng.uniform(-90, 90, groups),
        rng.uniform(-180, 360, groups),
        rng.choice(PARTS, groups),
    )
    columns = {"time": time, "group": [f"station {group}" for group in of], "latitude": latitude[of]}
    labels = pd.DataFrame(columns | {"longitude": longitude[of], "official": official[of]})
    return labels.iloc[rng.permutation(len(labels))].reset_index(drop=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[pd.DataFrame, pd.Series, Apart], dict[str, Any]]:
    """Write the split of labels into these parts as a run does, and read it back."""
    folder = tmp_path_factory.mktemp("split")

    def write(labels: pd.DataFrame, part: pd.Series, apart: Apart) -> dict[str, Any]:
        rows = {name: labels[part == name] for name in PARTS}
        windows: dict[str, Any] = {name: range(2 * len(table)) for name, table in rows.items()}
        stated = write_split(folder, apart, windows, rows, seed=3)
        content = read_split(folder / "split.json")
        assert content["sha256"] == stated == split_hash(content)
        return content

    return write


def violations(labels: pd.DataFrame, part: pd.Series, apart: Apart) -> int:
    """Count the pairs of rows in two parts that are nearer than is promised, looking at every pair."""

    def pairs(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        return values.to_numpy()[:, None], values.to_numpy()

    two_parts = np.not_equal(*pairs(part)) & np.logical_and(*pairs(part != ""))
    near = np.zeros(two_parts.shape, bool)
    if apart.groups:
        near |= np.equal(*pairs(labels["group"]))
    if apart.gap_days is not None:
        near |= np.abs(np.subtract(*pairs(labels["time"]))) < np.timedelta64(round(apart.gap_days * 86400), "s")
    if (d := apart.blocks_degrees) is not None:
        block = labels.apply(
            lambda row: math.floor((row["latitude"] + 90) / d) + 1j * math.floor(row["longitude"] % 360 / d), axis=1
        )
        near |= np.equal(*pairs(block))
    return int((two_parts & near).sum()) // 2


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=str)
@FEW
@given(seed=SEEDS, budget=st.integers(1, 20))
def test_what_a_rule_makes_is_proved_clean(written: Callable, rule: Split, seed: int, budget: int) -> None:
    """The parts of every rule hold what it promises, with all labels and with a budget of the training groups."""
    labels = random_labels(seed)
    part = rule(labels)
    assert leaks(written(labels, part, rule.apart), labels) == []
    training = sorted(labels["group"][part == "train"].unique())
    few = chosen_groups(training, min(budget, len(training)), 0)
    part[(part == "train") & ~labels["group"].isin(few)] = ""
    assert leaks(written(labels, part, rule.apart), labels) == []


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=str)
@FEW
@given(seed=SEEDS, moved=SEEDS)
def test_a_row_in_the_wrong_part_is_found(written: Callable, rule: Split, seed: int, moved: int) -> None:
    """A rule that puts one row where it must not be is found out, whenever that breaks what it promises."""
    labels = random_labels(seed)
    part, rng = rule(labels), np.random.default_rng(moved)
    row = int(rng.integers(len(labels)))
    part.iloc[row] = rng.choice([name for name in PARTS if name != part.iloc[row]])
    assume(violations(labels, part, rule.apart))
    assert leaks(written(labels, part, rule.apart), labels)


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=str)
@FEW
@given(seed=SEEDS)
def test_parts_drawn_at_random_are_found(written: Callable, rule: Split, seed: int) -> None:
    """Rows thrown into parts like dice break every promise."""
    labels = random_labels(seed)
    part = pd.Series(np.random.default_rng(seed).choice(PARTS, len(labels)))
    assert leaks(written(labels, part, rule.apart), labels)


def station_rows() -> tuple[pd.DataFrame, pd.Series]:
    """A station in each part, three months and thirty degrees apart, two rows each."""
    time = pd.to_datetime(["2001-01-01", "2001-01-09", "2001-04-01", "2001-04-09", "2001-07-01", "2001-07-09"])
    labels = pd.DataFrame({"time": time, "group": list("aabbcc"), "latitude": 5.0})
    labels["longitude"] = [5.0, 5.0, 35.0, 35.0, 65.0, 65.0]
    return labels, pd.Series(np.repeat(PARTS, 2))


PROMISED = Apart(groups=True, gap_days=5.0, blocks_degrees=10.0)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("group", "c", "validation and test share 1 groups: c."),
        ("time", pd.Timestamp("2001-06-27"), "validation and test are 4.00 days apart at the nearest, not 5."),
        ("time", pd.Timestamp("2001-07-05"), "validation and test are 4.00 days apart at the nearest, not 5."),
        ("longitude", 65.5, "validation and test share 1 blocks of 10 degrees, such as 9 6."),
        ("longitude", -294.5, "validation and test share 1 blocks of 10 degrees, such as 9 6."),
    ],
)
def test_each_promise_that_is_broken_has_its_sentence(written: Callable, column: str, value: object, said: str) -> None:
    """A shared group, a time within the gap and a shared block are named, and nothing else is."""
    labels, part = station_rows()
    assert leaks(written(labels, part, PROMISED), labels) == []
    labels.loc[3, column] = value
    assert leaks(written(labels, part, PROMISED), labels) == [said]


def test_what_was_not_promised_is_not_asked(written: Callable) -> None:
    """A station in all parts, at other times, leaks nothing where groups need not stay whole."""
    labels, part = station_rows()
    labels = labels.assign(group="a", longitude=5.0)
    assert leaks(written(labels, part, Apart(gap_days=5.0)), labels) == []
    assert len(leaks(written(labels, part, Apart(groups=True)), labels)) == 3


def test_one_row_in_two_parts_is_found(written: Callable) -> None:
    """A row that two parts count as their own leaks, whatever was promised."""
    labels, part = station_rows()
    content = written(labels, part, Apart())
    content["parts"]["test"]["groups"].append("b")
    content["parts"]["test"]["spans"] = [["2001-04-05T00:00:00", "2001-12-31T00:00:00"]]
    content["parts"]["test"]["rows"] = 3
    assert leaks(content, labels) == ["validation and test share 1 rows, such as row 3 of the labels."]


@pytest.mark.parametrize(
    "change",
    [
        lambda labels: labels.drop(index=2),
        lambda labels: pd.concat([labels, labels.iloc[[2]].assign(time=pd.Timestamp("2001-04-05"))], ignore_index=True),
        lambda labels: labels.assign(time=labels["time"] + pd.Timedelta(days=30)),
        lambda labels: labels.assign(group=labels["group"].replace("b", "d")),
    ],
    ids=["a row less", "a row more", "other times", "another name"],
)
def test_other_labels_than_those_that_were_split_are_told(
    written: Callable, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    """Labels that changed since are no proof: the numbers of rows differ, and it is said by how much."""
    labels, part = station_rows()
    problems = leaks(written(labels, part, PROMISED), change(labels))
    assert any("part validation has 2 rows in split.json, the labels have " in problem for problem in problems)
    assert any("they are other labels, or were changed" in problem for problem in problems)


def test_labels_without_a_time_are_told_apart_by_group(written: Callable) -> None:
    """Where rows have no time a part is its groups."""
    labels, part = station_rows()
    labels = labels.drop(columns="time")
    content = written(labels, part, Apart(groups=True, blocks_degrees=10.0))
    assert content["parts"]["train"]["spans"] == []
    assert leaks(content, labels) == []
    assert len(leaks(content, labels.assign(longitude=5.0))) == 3


def test_an_empty_part_is_near_nothing(written: Callable) -> None:
    """A part that every row was left out of is apart from the others."""
    labels, part = station_rows()
    assert leaks(written(labels, part.replace("validation", ""), PROMISED), labels) == []


@pytest.mark.parametrize("name", ["group", "time"])
def test_labels_that_lack_a_column_are_told(written: Callable, name: str) -> None:
    """Without the groups, or the times that the split speaks of, nothing can be proved."""
    labels, part = station_rows()
    with pytest.raises(UserError, match=f"No column of the labels '{name}'"):
        leaks(written(labels, part, PROMISED), labels.drop(columns=name))


def test_spans_are_those_of_each_year(written: Callable) -> None:
    """A part states the first and the last time of each year that has rows, and how many rows and windows."""
    labels, part = station_rows()
    labels.loc[0, "time"] = pd.Timestamp("2000-12-24T06:00:00")
    content = written(labels, part, PROMISED)
    assert content["parts"]["train"] == {
        "groups": ["a"],
        "spans": [["2000-12-24T06:00:00"] * 2, ["2001-01-09T00:00:00"] * 2],
        "rows": 2,
        "windows": 4,
    }
    assert content["seed"] == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [('"b"', '"d"'), ('"rows": 2', '"rows": 3'), ('"gap_days": 5.0', '"gap_days": 0.5'), ('"seed": 3', '"seed": 4')],
)
def test_an_edited_file_is_refused(written: Callable, tmp_path: Path, before: str, after: str) -> None:
    """Whatever is changed in split.json, its hash tells."""
    text = json.dumps(written(*station_rows(), PROMISED))
    assert before in text
    (tmp_path / "split.json").write_text(text.replace(before, after, 1))
    with pytest.raises(UserError, match=r"split\.json was changed: its content does not have the SHA-256 it states"):
        read_split(tmp_path / "split.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "There is no .*Give the folder that `toolkit finetune` wrote"),
        ("{", "is not a split: JSONDecodeError"),
        ("{}", "is not a split: KeyError: 'apart'"),
        ('{"apart": {"far": 1}, "sha256": ""}', "is not a split: TypeError"),
    ],
)
def test_a_file_that_is_no_split_is_told(tmp_path: Path, text: str | None, said: str) -> None:
    """A missing, damaged or other file is one error that names it."""
    if text is not None:
        (tmp_path / "split.json").write_text(text)
    with pytest.raises(UserError, match=said):
        read_split(tmp_path / "split.json")


def test_an_input_that_foretells_is_named() -> None:
    """What is predicted, a copy in another unit and the same word are told; persistence and what few rows say not."""
    hour = np.arange(1000)
    labels = pd.DataFrame({"value": 15 + 10 * np.sin(hour / 200), "kind": np.where(hour % 3, "rain", "snow")})
    labels["before"], labels["fahrenheit"] = labels["value"].shift(), (32 + 1.8 * labels["value"]).astype("float32")
    labels["rare"], labels["constant"] = labels["value"].where(hour < 10), 1.0
    labels["word"], labels["time"] = labels["kind"].where(hour > 5), hour
    stated = ("time", "value", "kind", "only_stated", "example")
    assert labels["before"].corr(labels["value"]) > 0.9999
    assert list(foretold(("value", "fahrenheit", "before", "rare", "constant", "word"), stated, labels)) == [
        "'value' is an input and is predicted: leave it out of inputs.columns.",
        "'fahrenheit' says what is predicted, 'value', in every row: leave it out of inputs.columns.",
        "'word' says what is predicted, 'kind', in every row: leave it out of inputs.columns.",
    ]
    assert not list(foretold(("time",), stated, labels))


def test_the_proof_knows_nothing_of_the_rules(written: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every rule broken the proof says what it said: it looks at what was written and at the rows."""
    labels, part = station_rows()
    content = written(labels, part, PROMISED)

    def broken(*_: object) -> None:
        raise AssertionError

    for rule in (ByYear, ByBlock, ByGroup, ByColumn):
        monkeypatch.setattr(rule, "__call__", broken)
        monkeypatch.setattr(rule, "apart", property(broken))
    for name in ("split_years", "chosen_groups", "_drawn", "_digest"):
        monkeypatch.setattr(split_module, name, broken)
    assert leaks(content, labels) == []
    assert len(leaks(content, labels.assign(longitude=5.0))) == 3
