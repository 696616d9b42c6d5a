"""Subsets of labels: nested, drawn by hash, in proportion, the same as those of a single run, and kept in a file."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.config import FinetuneSettings
from toolkit.data.store import NO_FIELDS
from toolkit.errors import UserError
from toolkit.finetune import load_data
from toolkit.origin import Material, Origin
from toolkit.runfolder import split_hash
from toolkit.split import PARTS, TEST, TRAIN, VALIDATION, ByYear
from toolkit.study.subsets import Subsets, budgets, check_subsets, drawn_subsets, read_subsets, write_subsets
from toolkit.task import Inputs, Task

SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=40)


def kind(labels: pd.DataFrame) -> pd.Series:
    """What kind of place a row is of."""
    return labels["kind"]


def material(seed: int, groups: int = 40) -> Material:
    """Rows of groups of four kinds, each group in one part, in random order."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(groups), rng.integers(1, 6, groups))
    of = of[rng.permutation(len(of))]
    part, kinds = rng.choice([*PARTS, ""], groups, p=[0.6, 0.2, 0.15, 0.05]), rng.choice(list("abcd"), groups)
    labels = pd.DataFrame({"group": [f"g{k}" for k in of], "kind": kinds[of]})
    return Material(NO_FIELDS, NO_FIELDS, labels, part[of].astype(str), {}, {})


@pytest.fixture
def subsets() -> Subsets:
    """Those of three seeds of one material."""
    return drawn_subsets(material(0), range(3), kind)


@FEW
@given(seed=SEEDS, stratified=st.booleans(), data=st.data())
def test_the_groups_of_a_budget_are_among_those_of_a_larger_one(
    seed: int, stratified: bool, data: st.DataObject
) -> None:
    """Training and validation groups are nested, of the training as many as asked for; the test is the same for all."""
    drawn = drawn_subsets(material(seed), [1, 2], kind if stratified else None)
    few = data.draw(st.integers(1, drawn.available))
    many = data.draw(st.integers(few, drawn.available))
    for of in drawn.seeds:
        assert len(drawn.train(few, of)) == few
        assert set(drawn.train(few, of)) <= set(drawn.train(many, of))
        assert set(drawn.validation(few, of)) <= set(drawn.validation(many, of))
    assert drawn.test == tuple(material(seed).groups(TEST))


@FEW
@given(seed=SEEDS, stratified=st.booleans())
def test_a_draw_depends_on_seed_and_names_alone(seed: int, stratified: bool) -> None:
    """Rows in another order, seeds in another order, and whatever was drawn at random before change nothing."""
    strata = kind if stratified else None
    one = material(seed)
    first = drawn_subsets(one, [0, 5], strata)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - this is what must not matter
    order = np.random.default_rng(seed).permutation(len(one.labels))
    shuffled = replace(one, labels=one.labels.iloc[order].reset_index(drop=True), part=one.part[order])
    again = drawn_subsets(shuffled, [5, 0], strata)
    assert again == first
    assert [group for of in again.seeds for group in again.train(again.available, of)] != []


@FEW
@given(seed=SEEDS)
def test_no_group_is_in_two_parts(seed: int) -> None:
    """Where the split keeps groups whole, parts of all budgets share none, and those in no part are in none."""
    one = material(seed)
    check_subsets(drawn := drawn_subsets(one, [0], kind), one)
    train, validation = (set(groups) for groups in (drawn.drawn[0].train, drawn.drawn[0].validation))
    in_parts = set(one.labels["group"][one.part != ""])
    assert train | validation | set(drawn.test) == in_parts
    assert len(train) + len(validation) + len(drawn.test) == len(in_parts)


def test_validation_is_scaled_with_the_budget() -> None:
    """A third of the budget, four at least, no more than there are, and all of them for all labels."""
    drawn = drawn_subsets(material(3, groups=400), [0])
    there = len(drawn.drawn[0].validation)
    counts = {labels: len(drawn.validation(labels, 0)) for labels in (1, 8, 15, 60, drawn.available - 1)}
    assert counts == {1: 4, 8: 4, 15: 5, 60: 20, drawn.available - 1: min((drawn.available - 1) // 3, there)}
    assert len(drawn.validation(drawn.available, 0)) == there


@pytest.fixture
def table_task(small_task: Task) -> Task:
    """A task that looks at columns alone, with strata."""
    inputs = Inputs(columns=("height",))
    return replace(small_task, inputs=inputs, labels=pd.read_csv, strata=kind, split=ByYear(whole_groups=False))


@pytest.mark.parametrize("labels", [5, 12, 30, None])
@pytest.mark.parametrize("seed", [0, 3])
def test_a_single_run_takes_the_same_groups(table_task: Task, tmp_path: Path, labels: int | None, seed: int) -> None:
    """`toolkit finetune --labels` and a study choose the same groups for the same seed, validation included."""
    rng = np.random.default_rng(0)
    of = np.tile(np.arange(30), 6)
    columns = {"group": [f"s{k}" for k in of], "kind": np.array(list("aaabbc"))[of % 6], "height": rng.normal(size=180)}
    time = np.repeat(pd.to_datetime([f"{year}-06-01" for year in range(2001, 2007)]), 30)
    pd.DataFrame(columns | {"time": time}).to_csv(file := tmp_path / "stations.csv", index=False)
    task = replace(table_task, labels=lambda path: pd.read_csv(path, parse_dates=["time"]))
    data = load_data(task, Origin(None, file), FinetuneSettings(task="table", labels=labels, seed=seed))
    drawn = drawn_subsets(data.material, [seed], task.strata)
    budget = labels or drawn.available
    assert set(data.rows[TRAIN]["group"]) == set(drawn.train(budget, seed))
    assert set(data.rows[VALIDATION]["group"]) == set(drawn.validation(budget, seed))
    assert set(data.rows[TEST]["group"]) == set(drawn.test)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("8,16,all", (8, 16, 40)), ("all", (40,)), ("16, 8,16", (8, 16)), ("40,all", (40,)), ("1", (1,))],
)
def test_budgets_are_read_from_a_list(wanted: str, found: tuple[int, ...]) -> None:
    """Each once, from few to many, "all" being what there is."""
    assert budgets(wanted, 40) == found


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("8,64,128", "--labels 64 asks for more than the 40 labelled groups"),
        ("0,8", "--labels has '0', which is no number of groups"),
        ("8,-4", "'-4', which is no number"),
        ("8,many", "'many', which is no number .* 8,16,all"),
        ("8,,16", "--labels has '', which is no number"),
    ],
)
def test_budgets_that_cannot_be_are_an_error(wanted: str, said: str) -> None:
    """Too many, none, words and gaps are named."""
    with pytest.raises(UserError, match=said):
        budgets(wanted, 40)


def test_seeds_and_budgets_that_there_are_not_are_an_error(subsets: Subsets) -> None:
    """Subsets answer for the seeds that they were drawn for, and for as many groups as there are."""
    with pytest.raises(UserError, match=r"No seed of the subsets '7'\. Known: 0, 1, 2"):
        subsets.train(1, 7)
    with pytest.raises(UserError, match=f"--labels 99 asks for more than the {subsets.available} labelled groups"):
        subsets.train(99, 0)


@settings(max_examples=15)
@given(seed=SEEDS, seeds=st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True))
def test_a_manifest_gives_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, seed: int, seeds: list[int]):
    """Orders, seeds and test groups come back as they were, with the hash that the file states."""
    drawn = drawn_subsets(material(seed), seeds, kind)
    path = tmp_path_factory.mktemp("study") / "subsets.json"
    digest = write_subsets(path, drawn, {"task": "table", "world": None})
    back = read_subsets(path)
    assert back == drawn
    assert back.seeds == tuple(seeds)
    content = json.loads(path.read_text())
    assert content["about"] == {"task": "table", "world": None}
    assert content["sha256"] == digest == split_hash(content)


def test_a_manifest_that_was_changed_is_an_error(subsets: Subsets, tmp_path: Path) -> None:
    """A group that is moved by hand breaks the hash; a missing and another file are told as such."""
    path = tmp_path / "subsets.json"
    write_subsets(path, subsets, {})
    content = json.loads(path.read_text())
    content["seeds"]["0"]["train"].append(content["test"].pop())
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="was changed by hand"):
        read_subsets(path)
    with pytest.raises(UserError, match=r"There is no .*gone\.json"):
        read_subsets(tmp_path / "gone.json")
    for text in ("{", "[]", '{"sha256": "", "seeds": 3}'):
        path.write_text(text)
        with pytest.raises(UserError, match="holds no subsets"):
            read_subsets(path)


def test_subsets_of_other_labels_are_an_error(subsets: Subsets) -> None:
    """The first group that is not in the part it was drawn for is named with the part it is in; the test is whole."""
    one = material(0)
    check_subsets(subsets, one)
    moved = subsets.drawn[0].train[0]
    elsewhere = replace(one, part=np.where(one.labels["group"] == moved, TEST, one.part))
    with pytest.raises(UserError, match=f"have '{moved}' in the part train; in these labels it is in test"):
        check_subsets(subsets, elsewhere)
    gone = replace(one, part=np.where(one.labels["group"] == moved, "", one.part))
    with pytest.raises(UserError, match=f"have '{moved}' in the part train; in these labels it is in no part"):
        check_subsets(subsets, gone)
    with pytest.raises(UserError, match=f"lack '{subsets.test[0]}', which is in the test part"):
        check_subsets(replace(subsets, test=subsets.test[1:]), one)
