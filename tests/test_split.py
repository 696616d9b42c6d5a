"""The rules that keep train, validation and test apart, each against what it promises."""

import math
import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.errors import UserError
from toolkit.split import (
    PARTS,
    Apart,
    ByBlock,
    ByColumn,
    ByGroup,
    ByYear,
    Split,
    block_of,
    chosen_groups,
    drawn_order,
    group_strata,
    split_years,
    validation_count,
)

RULES: tuple[Split, ...] = (
    ByYear(),
    ByYear(gap_days=0.5),
    ByYear(gap_days=30.0, whole_groups=False),
    ByBlock(),
    ByBlock(degrees=45.0, folds=3, fold=2),
    ByGroup(),
    ByColumn("official"),
)
SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=30)


def random_labels(seed: int, groups: int = 40) -> pd.DataFrame:
    """Rows of stations, each for some days in some of six years, with a split of their own and a number to predict."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, 9, groups)
    of = np.repeat(np.arange(groups), rows)
    first = np.datetime64("2001-01-01", "s") + rng.integers(0, 6 * 365, groups) * np.timedelta64(1, "D")
    days = (rng.random(len(of)) * rng.choice([1, 30, 500], groups)[of]).astype("timedelta64[D]")
    latitude, longitude = rng.uniform(-90, 90, groups), rng.uniform(-180, 360, groups)
    columns = {"time": first[of] + days, "group": [f"station {group}" for group in of]}
    columns |= {"latitude": latitude[of], "longitude": longitude[of], "official": rng.choice(PARTS, groups)[of]}
    labels = pd.DataFrame(columns | {"ozone_ppb": rng.normal(size=len(of))})
    return labels.iloc[rng.permutation(len(labels))].reset_index(drop=True)


def days_apart(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """The least time between rows of two tables, each pair looked at."""
    between = np.abs(one["time"].to_numpy()[:, None] - other["time"].to_numpy())
    return float(between.min() / np.timedelta64(1, "D")) if between.size else math.inf


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=str)
@FEW
@given(seed=SEEDS)
def test_every_row_is_in_one_part_or_left_out(rule: Split, seed: int) -> None:
    """Each row has exactly one answer, under its own index, and each of the years' parts has rows."""
    labels = random_labels(seed)
    labels.index += 100
    part = rule(labels)
    assert part.index.equals(labels.index)
    assert set(part) <= {*PARTS, ""}
    if isinstance(rule, ByYear):
        assert set(part) >= {"test"}


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=str)
@FEW
@given(seed=SEEDS)
def test_a_rule_sees_neither_targets_nor_the_order_of_rows(rule: Split, seed: int) -> None:
    """Other numbers to predict, or none, and rows in another order leave every row where it is."""
    labels = random_labels(seed)
    part = rule(labels)
    shuffled = labels.drop(columns="ozone_ppb").sample(frac=1, random_state=0)
    pd.testing.assert_series_equal(rule(shuffled).sort_index(), part, check_names=False)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.apart.groups], ids=str)
@FEW
@given(seed=SEEDS)
def test_groups_stay_whole(rule: Split, seed: int) -> None:
    """All rows of a group are in one part, or all are left out."""
    labels = random_labels(seed)
    assert (
        not pd.DataFrame({"group": labels["group"], "part": rule(labels)}).drop_duplicates()["group"].duplicated().any()
    )


@pytest.mark.slow
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.apart.gap_days is not None], ids=str)
@FEW
@given(seed=SEEDS)
def test_parts_follow_each_other_with_a_gap(rule: ByYear, seed: int) -> None:
    """Train ends before validation begins and that before the test, all of them more than the gap apart."""
    labels = random_labels(seed)
    part = rule(labels)
    train, validation, test = (labels[part == name] for name in PARTS)
    for earlier, later in ((train, validation), (validation, test), (train, test)):
        assert days_apart(earlier, later) > rule.gap_days
        assert earlier["time"].max() < later["time"].min() or earlier.empty or later.empty


@FEW
@given(seed=SEEDS)
def test_rows_by_themselves_leave_out_less(seed: int) -> None:
    """Where groups need not stay whole, a row is left out only for a later part that is within the gap."""
    labels, rule = random_labels(seed), ByYear(gap_days=10.0, whole_groups=False)
    part = rule(labels)
    years = split_years(labels["time"].dt.year.tolist())
    own = labels["time"].dt.year.map({year: name for name, of_part in years.items() for year in of_part})
    assert ((part == own) | (part == "")).all()
    left_out = labels[part == ""]
    for name, row in zip(own[left_out.index], left_out.itertuples(), strict=True):
        later = labels["time"][own.isin(PARTS[PARTS.index(name) + 1 :])]
        assert (later - row.time <= pd.Timedelta(days=10)).any()


def test_a_gap_worked_by_hand() -> None:
    """A group that ends within the gap before a later part is left out, and makes no gap of its own."""
    dates = ["2018-06-03", "2018-12-27", "2019-01-02", "2019-05-01", "2019-12-30", "2020-01-02", "2021-03-01"]
    labels = pd.DataFrame({"group": list("abcdefg"), "time": pd.to_datetime(dates)})

    def parts(labels: pd.DataFrame, gap_days: float) -> dict[str, str]:
        found = labels["group"].groupby(ByYear(gap_days)(labels)).agg(lambda groups: "".join(sorted(set(groups))))
        return dict(found)

    assert parts(labels, 5.0) == {"": "e", "train": "abcd", "validation": "f", "test": "g"}
    assert parts(labels, 1.0) == {"train": "abcde", "validation": "f", "test": "g"}
    longer = pd.concat(
        [labels, pd.DataFrame({"group": ["f"], "time": [pd.Timestamp("2021-02-26")]})], ignore_index=True
    )
    assert parts(longer, 5.0) == {"": "f", "train": "abcde", "test": "g"}
    assert parts(longer, 2.0)["validation"] == "f"


def test_years_worked_by_hand() -> None:
    """Of twelve years the last three are the test, the two before them validate."""
    years = split_years([2003, 2001, 2002, 2001, *range(2004, 2013)])
    assert years == {"train": tuple(range(2001, 2008)), "validation": (2008, 2009), "test": (2010, 2011, 2012)}


@given(st.sets(st.integers(1851, 2100), min_size=3, max_size=60))
def test_every_year_is_in_one_part(years: set[int]) -> None:
    """Each year is in one part exactly, every part has one at least, and the test years come last."""
    train, validation, test = split_years(sorted(years)).values()
    assert sorted((*train, *validation, *test)) == sorted(years)
    assert train
    assert validation
    assert max(train) < min(validation) <= max(validation) < min(test)


def test_a_group_belongs_to_the_year_it_begins_in() -> None:
    """A storm over New Year is of the old year, whole."""
    time = pd.to_datetime(["2001-12-30", "2002-01-02", "2002-07-01", "2003-07-01"])
    labels = pd.DataFrame({"group": ["a", "a", "b", "c"], "time": time})
    assert ByYear()(labels).tolist() == ["train", "train", "validation", "test"]


@pytest.mark.parametrize(
    ("latitude", "longitude", "degrees", "block"),
    [(-90.0, 0.0, 10.0, "0 0"), (51.5, -0.1, 10.0, "14 35"), (51.5, 359.9, 10.0, "14 35"), (9.9, 25.0, 20.0, "4 1")],
)
def test_blocks_worked_by_hand(latitude: float, longitude: float, degrees: float, block: str) -> None:
    """Rows are counted from the south pole, columns eastward from Greenwich, in either way to write a longitude."""
    assert block_of(pd.DataFrame({"latitude": [latitude], "longitude": [longitude]}), degrees).tolist() == [block]


@FEW
@given(seed=SEEDS, degrees=st.sampled_from([1.0, 7.5, 10.0, 90.0]))
def test_blocks_are_never_shared(seed: int, degrees: float) -> None:
    """By a second way to count blocks, no block has rows of two parts."""
    labels = random_labels(seed)
    part = ByBlock(degrees=degrees)(labels)
    blocks = [
        (math.floor((latitude + 90) / degrees), math.floor((longitude + 360) % 360 / degrees))
        for latitude, longitude in zip(labels["latitude"], labels["longitude"], strict=True)
    ]
    assert not pd.DataFrame({"block": blocks, "part": part}).drop_duplicates()["block"].duplicated().any()


@FEW
@given(seed=SEEDS, folds=st.integers(3, 8))
def test_folds_are_a_cross_validation(seed: int, folds: int) -> None:
    """Each row is the test of one fold exactly, and validates another."""
    labels = random_labels(seed)
    parts = pd.DataFrame({fold: ByBlock(folds=folds, fold=fold)(labels) for fold in range(folds)})
    assert ((parts == "test").sum(axis=1) == 1).all()
    assert ((parts == "validation").sum(axis=1) == 1).all()
    assert not (parts == "").any(axis=None)


@FEW
@given(seed=SEEDS, other=SEEDS)
def test_a_station_stays_in_its_part_when_others_come(seed: int, other: int) -> None:
    """Blocks are drawn by hash: rows that are added or taken away move none of those that stay."""
    labels, more = random_labels(seed), random_labels(other)
    alone, together = ByBlock()(labels), ByBlock()(pd.concat([labels, more], ignore_index=True))
    assert together.iloc[: len(labels)].tolist() == alone.tolist()


def test_blocks_are_spread_over_the_parts() -> None:
    """Of many blocks about one fold in five is the test and one validates."""
    rng = np.random.default_rng(0)
    labels = pd.DataFrame({"latitude": rng.uniform(-90, 90, 5000), "longitude": rng.uniform(0, 360, 5000)})
    share = ByBlock()(labels).value_counts(normalize=True)
    assert share["test"] == pytest.approx(0.2, abs=0.04)
    assert share["validation"] == pytest.approx(0.2, abs=0.04)


@given(count=st.integers(3, 90), seed=st.integers(0, 9))
def test_groups_are_shared_out_by_number(count: int, seed: int) -> None:
    """Of every twenty groups five are the test and three validate; another seed draws others."""
    labels = pd.DataFrame({"group": [f"g{k}" for k in range(count)]})
    counts = ByGroup(seed)(labels).value_counts()
    assert counts["test"] == max(1, count // 4)
    assert counts["validation"] == max(1, count * 3 // 20)
    assert counts["train"] == count - counts["test"] - counts["validation"]
    if count >= 40:
        assert not ByGroup(seed)(labels).equals(ByGroup(seed + 1)(labels))


def test_a_split_that_came_with_the_data_is_taken_as_it_is() -> None:
    """A column's words are the parts, or are translated to them."""
    labels = pd.DataFrame({"group": list("abc"), "dataset": ["val", "train", "test"]})
    rule = ByColumn("dataset", {"train": "train", "val": "validation", "test": "test"})
    assert rule(labels).tolist() == ["validation", "train", "test"]
    plain = labels.assign(dataset=["validation", "train", "test"])
    assert ByColumn("dataset")(plain).tolist() == ["validation", "train", "test"]


@given(st.sets(st.text(min_size=1, max_size=4), min_size=1, max_size=30), st.integers(0, 9), st.data())
def test_smaller_budgets_are_part_of_larger_ones(groups: set[str], seed: int, data: st.DataObject) -> None:
    """Eight groups are among sixteen of the same seed, whatever the order in which the groups are listed."""
    few = data.draw(st.integers(0, len(groups)))
    many = data.draw(st.integers(few, len(groups)))
    listed = data.draw(st.permutations(sorted(groups)))
    assert set(chosen_groups(listed, few, seed)) <= set(chosen_groups(sorted(groups), many, seed)) <= groups
    assert len(chosen_groups(listed, few, seed)) == few
    assert set(chosen_groups(listed, None, seed)) == groups


@given(st.lists(st.integers(1, 12), min_size=1, max_size=9), st.integers(0, 99), st.randoms(use_true_random=False))
def test_every_budget_has_each_stratum_in_proportion(sizes: list[int], seed: int, rng: random.Random) -> None:
    """The first k of all groups have a stratum's share of k, rounded up or down, in whatever order they are listed."""
    strata = {f"{stratum} {k}": f"s{stratum}" for stratum, size in enumerate(sizes) for k in range(size)}
    order = drawn_order(strata, seed, strata)
    assert sorted(order) == sorted(strata)
    listed = list(strata)
    rng.shuffle(listed)
    assert drawn_order(listed, seed, strata) == order
    for k in range(1, len(order) + 1):
        held = Counter(strata[group] for group in order[:k])
        for stratum, size in enumerate(sizes):
            assert abs(held[f"s{stratum}"] - Fraction(k * size, len(order))) < 1


@given(st.sets(st.text(min_size=1, max_size=4), min_size=1, max_size=30), st.integers(0, 9))
def test_within_a_stratum_the_order_is_that_of_the_hash(groups: set[str], seed: int) -> None:
    """Strata change which kind is next, never which group of a kind; one stratum, or each its own, change nothing."""
    plain = drawn_order(groups, seed)
    strata = {group: str(len(group)) for group in groups}
    order = drawn_order(groups, seed, strata)
    for kind in set(strata.values()):
        assert [g for g in order if strata[g] == kind] == [g for g in plain if strata[g] == kind]
    assert drawn_order(groups, seed, dict.fromkeys(groups, "")) == plain
    assert drawn_order(groups, seed, {group: group for group in groups}) == plain


def test_the_stratum_of_a_group_is_that_of_most_of_its_rows() -> None:
    """Of equally many the first in the alphabet counts, numbers are words, and what is not known is a kind too."""
    labels = pd.DataFrame(
        {"group": list("aaabbc"), "kind": ["x", "y", "y", "z", "y", None], "size": [1, 1, 2, 3, 3, 4]}
    )
    labels.index += 7
    assert group_strata(labels, lambda rows: rows["kind"]) == {"a": "y", "b": "y", "c": ""}
    assert group_strata(labels, lambda rows: rows["size"]) == {"a": "1", "b": "3", "c": "4"}
    assert group_strata(labels, None) is None
    for wrong in (list, lambda rows: rows["kind"].iloc[1:]):
        with pytest.raises(UserError, match="must be a Series with the index of the labels"):
            group_strata(labels, wrong)


@pytest.mark.parametrize(
    ("labels", "count"), [(1, 4), (8, 4), (15, 5), (59, 15), (60, 15), (None, 15)], ids=lambda value: str(value)
)
def test_validation_groups_worked_by_hand(labels: int | None, count: int) -> None:
    """Of sixty training and fifteen validation groups, a third of the budget, four at least."""
    assert validation_count(labels, 60, 15) == count


def test_all_labels_have_all_validation_groups() -> None:
    """A budget of all there are is no other than none."""
    assert validation_count(60, 60, 30) == validation_count(None, 60, 30) == 30
    assert validation_count(59, 60, 30) == 19


def test_another_seed_chooses_other_groups() -> None:
    """Eight of forty groups are others with another seed."""
    groups = [f"AL{k:02d}" for k in range(40)]
    assert chosen_groups(groups, 8, 0) != chosen_groups(groups, 8, 1)


ROWS = pd.DataFrame(
    {
        "group": list("abc"),
        "time": pd.to_datetime(["2001-01-01", "2001-06-01", "2002-01-01"]),
        "latitude": [1.0, 2.0, 3.0],
        "longitude": [1.0, 2.0, 3.0],
        "dataset": ["train", "test", "tset"],
    }
)

YEARLY = pd.DataFrame({"group": list("aaaa"), "time": pd.to_datetime([f"{year}-07-01" for year in range(2001, 2005)])})


@pytest.mark.parametrize(
    ("rule", "labels", "said"),
    [
        (ByYear(), ROWS, r"2 year\(s\), \[2001, 2002\]: .* Give labels of 1 year\(s\) more"),
        (ByYear(), YEARLY, r"all groups begin in 2001, though the labels cover 4 years\. Give .* whole_groups=False"),
        (ByYear(), ROWS.drop(columns="time"), "split by year needs the column time"),
        (
            ByBlock(),
            ROWS.drop(columns=["latitude", "longitude"]),
            "needs the columns latitude and longitude; missing: lat",
        ),
        (ByBlock(), ROWS.assign(latitude=[1.0, np.nan, 3.0]), "Row 1 of the labels has no place"),
        (ByBlock(fold=5), ROWS, "Fold 5 of 5: give one from 0 to 4, of 3 at least"),
        (ByBlock(folds=2), ROWS, "Fold 0 of 2"),
        (ByGroup(), ROWS.iloc[:2], r"have 2 group\(s\)"),
        (ByColumn("datset"), ROWS, "No column of the labels 'datset'. Did you mean 'dataset'"),
        (ByColumn("dataset"), ROWS, "holds 'tset'; its words are train, validation, test"),
    ],
    ids=lambda value: None if isinstance(value, pd.DataFrame) else str(value),
)
def test_labels_that_cannot_be_split_are_an_error(rule: Split, labels: pd.DataFrame, said: str) -> None:
    """Each rule names what it lacks."""
    with pytest.raises(UserError, match=said):
        rule(labels)


def test_a_budget_larger_than_the_labels_is_an_error() -> None:
    """A budget beyond what there is names both numbers."""
    with pytest.raises(UserError, match="--labels 4 asks for more than the 3 labelled groups"):
        chosen_groups(list("abc"), 4, 0)


def test_what_is_promised_is_told() -> None:
    """Each rule says what holds between its parts."""
    assert ByYear().apart == Apart(groups=True, gap_days=5.0)
    assert replace(ByYear(), whole_groups=False).apart == Apart(gap_days=5.0)
    assert ByBlock(degrees=5.0).apart == Apart(groups=True, blocks_degrees=5.0)
    assert ByGroup().apart == ByColumn("dataset").apart == Apart(groups=True)
