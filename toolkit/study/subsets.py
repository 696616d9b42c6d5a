"""Which groups a budget of labels has: drawn once for each seed, the same for every method, kept in a file.

A budget takes the first groups of the drawn order, so that a small budget is part of a larger one by construction. The
order depends on seed, names and strata alone (`toolkit.split.drawn_order`). The test part is whole for every budget.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import UserError, unknown
from toolkit.files import write_json
from toolkit.origin import Material
from toolkit.runfolder import split_hash
from toolkit.split import (
    PARTS,
    TEST,
    TRAIN,
    VALIDATION,
    Strata,
    drawn_order,
    first_groups,
    group_strata,
    validation_count,
)

ALL = "all"


@dataclass(frozen=True)
class Drawn:
    """The groups of the training and of the validation part, in the order in which one seed draws them."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


@dataclass(frozen=True)
class Subsets:
    """The drawn order of every seed, {seed: Drawn}, and the groups of the test part, by name."""

    drawn: Mapping[int, Drawn]
    test: tuple[str, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds there is an order for."""
        return tuple(self.drawn)

    @property
    def available(self) -> int:
        """How many training groups there are: what a budget of all is."""
        return min((len(drawn.train) for drawn in self.drawn.values()), default=0)

    def train(self, labels: int, seed: int) -> tuple[str, ...]:
        """Return the training groups of a budget, in drawn order.

        Raises `UserError` for a seed without an order, and for more groups than there are.
        """
        return first_groups(self._of(seed).train, labels)

    def validation(self, labels: int, seed: int) -> tuple[str, ...]:
        """Return the validation groups that go with a budget (`validation_count`), in drawn order.

        Raises `UserError` for a seed without an order.
        """
        drawn = self._of(seed)
        return drawn.validation[: validation_count(labels, len(drawn.train), len(drawn.validation))]

    def _of(self, seed: int) -> Drawn:
        if seed not in self.drawn:
            raise unknown("seed of the subsets", str(seed), map(str, self.drawn))
        return self.drawn[seed]


def drawn_subsets(material: Material, seeds: Iterable[int], strata: Strata | None = None) -> Subsets:
    """Return the subsets of the groups in each part of the material, in proportion to `strata` where there are some.

    They are those that `toolkit finetune` takes for the same seed and number of labels. Raises `UserError` as
    `toolkit.split.group_strata` does.
    """
    groups = {part: material.groups(part) for part in PARTS}
    kinds = {part: group_strata(material.labels[material.rows(part)], strata) for part in (TRAIN, VALIDATION)}
    drawn = {seed: Drawn(*(drawn_order(groups[part], seed, of) for part, of in kinds.items())) for seed in seeds}
    return Subsets(drawn, tuple(groups[TEST]))


def budgets(wanted: str, available: int) -> tuple[int, ...]:
    """Return the budgets that a list such as "8,16,all" asks for, each once, from few to many; "all" is `available`.

    Raises `UserError` for what is no number or below 1, and for more than there are.
    """
    found = {_budget(word.strip(), available) for word in wanted.split(",")}
    if most := [budget for budget in sorted(found) if budget > available]:
        raise UserError(
            f"--labels {most[0]} asks for more than the {available} labelled groups of the training part. Leave it "
            f"out, or write '{ALL}' for all there are."
        )
    return tuple(sorted(found))


def write_subsets(path: Path, subsets: Subsets, about: Mapping[str, Any]) -> str:
    """Write subsets.json: the orders, the test groups, `about` (task and world, plain values), a hash; return the hash.

    {"about": ..., "seeds": {"0": {"train": [...], "validation": [...]}}, "test": [...], "sha256": ...}; the hash is
    that of `toolkit.runfolder.split_hash`.
    """
    orders = {str(seed): asdict(drawn) for seed, drawn in subsets.drawn.items()}
    content: dict[str, Any] = {"about": dict(about), "seeds": orders, "test": subsets.test}
    content["sha256"] = split_hash(content)
    write_json(path, content)
    return str(content["sha256"])


def read_subsets(path: Path) -> Subsets:
    """Read subsets.json; `UserError` where it is missing, damaged, or does not have the hash it states."""
    try:
        content = json.loads(path.read_text())
        stated = content["sha256"]
        drawn = {
            int(seed): Drawn(tuple(map(str, order[TRAIN])), tuple(map(str, order[VALIDATION])))
            for seed, order in content["seeds"].items()
        }
        test = tuple(map(str, content[TEST]))
    except FileNotFoundError:
        raise UserError(f"There is no {path}. Give the subsets.json that `toolkit study` wrote.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} holds no subsets: {type(error).__name__}: {error}.") from error
    if split_hash(content) != stated:
        raise UserError(f"{path} was changed by hand: its content does not have the SHA-256 it states, {stated}.")
    return Subsets(drawn, test)


def check_subsets(subsets: Subsets, material: Material) -> None:
    """Raise `UserError` unless every group is in the part that it is drawn for, and the test part is whole."""
    there = {part: set(material.groups(part)) for part in PARTS}
    for part, groups in _listed(subsets):
        if (stray := next((group for group in groups if group not in there[part]), None)) is not None:
            found = " and ".join(name for name in PARTS if stray in there[name]) or "no part"
            raise UserError(
                f"The subsets have '{stray}' in the part {part}; in these labels it is in {found}. Give the world, the "
                "labels and the task's settings that they were drawn for, or draw them anew."
            )
    if lacking := sorted(there[TEST] - set(subsets.test)):
        raise UserError(
            f"The subsets lack '{lacking[0]}', which is in the test part of these labels: a score on fewer groups "
            "would be another one. Draw them anew."
        )


def _listed(subsets: Subsets) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each part's name and groups, seed by seed, the test part last."""
    for drawn in subsets.drawn.values():
        yield TRAIN, drawn.train
        yield VALIDATION, drawn.validation
    yield TEST, subsets.test


def _budget(word: str, available: int) -> int:
    if word == ALL:
        return available
    if not word.isdecimal() or int(word) < 1:
        raise UserError(
            f"--labels has '{word}', which is no number of groups. Write numbers from 1 on, or '{ALL}', with commas: "
            f"8,16,{ALL}."
        )
    return int(word)
