"""What a run folder holds, read and checked before anything is drawn."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pandas as pd
import yaml
from pydantic import BeforeValidator, TypeAdapter, ValidationError

from toolkit.errors import UserError, unknown
from toolkit.report.figure import RunTables
from toolkit.runfolder import how_to_resume
from toolkit.split import Apart
from toolkit.stats import LEVEL

FILES = (
    "config.yaml", "env.json", "split.json", "metrics.jsonl", "results.json", "predictions.csv", "truth.csv"
)  # fmt: skip
SCRATCH_CURVE = "scratch/metrics.jsonl"

_Kind = TypeVar("_Kind")

Number = Annotated[float, BeforeValidator(lambda value: float("nan") if value is None else value)]
"""A number; null, which stands for an undefined one, is read as NaN."""


@dataclass(frozen=True)
class Score:
    """A metric's value and its 95 % interval over the test groups, in `unit`; NaN is undefined."""

    value: Number
    low: Number
    high: Number
    unit: str
    better: Literal["higher", "lower"]
    meaning: str = ""


@dataclass(frozen=True)
class Difference:
    """The run's score minus another's, with its 95 % interval.

    `p_holm` is the probability of such a difference by chance, corrected for the number of others; NaN where there is
    only one other.
    """

    value: Number
    low: Number
    high: Number
    excludes_zero: bool
    p_holm: Number = float("nan")

    @property
    def is_corrected_away(self) -> bool:
        """Whether the difference is more than chance by itself, but not as one of several."""
        return self.excludes_zero and self.p_holm > 1 - LEVEL


@dataclass(frozen=True)
class Comparison:
    """The same network trained another way on the same labels."""

    method: str
    metrics: Mapping[str, Score]
    differences: Mapping[str, Difference]


@dataclass(frozen=True)
class Model:
    """How many numbers the network has, and how many of them were trained."""

    parameters: int
    trainable: int


@dataclass(frozen=True)
class Results:
    """results.json. `labels` counts the labelled groups; `groups` is what the task calls them, in the plural.

    `backbone` is None where nothing was pretrained. `baseline_differences` may lack baselines: older runs have none.
    `contributions` are the primary score as it is, and where fields, and columns, are those of other examples.
    """

    task: str
    method: str
    backbone: str | None
    labels: int
    seed: int
    metrics: Mapping[str, Score]
    baselines: Mapping[str, Mapping[str, Number]]
    model: Model
    primary: str
    seconds: Mapping[str, Number]
    notes: tuple[str, ...] = ()
    comparison: Comparison | None = None
    groups: str = "groups"
    baseline_differences: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    contributions: Mapping[str, Number] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """One part of the split: its groups, first and last time of its rows in each year, how many rows and windows."""

    groups: tuple[str, ...]
    spans: tuple[tuple[datetime, datetime], ...]
    rows: int
    windows: int

    @property
    def years(self) -> tuple[int, ...]:
        """The years that have rows."""
        return tuple(first.year for first, _ in self.spans)


@dataclass(frozen=True)
class Split:
    """split.json: which groups and times are in which part, and what is said to hold between them."""

    seed: int
    apart: Apart
    parts: Mapping[str, Part]
    sha256: str


@dataclass(frozen=True)
class World:
    """The world that a run looked at, as its configuration names it."""

    path: str
    simulated: bool
    sha256: str


@dataclass(frozen=True)
class LabelFile:
    """The file or folder of labels that a run read in place of the world's own, as its configuration names it."""

    path: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run folder. The curves have a row per training step; `scratch_curve` is None where there is none."""

    folder: Path
    world: World | None
    data: LabelFile | None
    env: Mapping[str, Any]
    split: Split
    curve: pd.DataFrame
    scratch_curve: pd.DataFrame | None
    tables: RunTables

    @property
    def results(self) -> Results:
        """The scores of the run."""
        return self.tables.results

    @property
    def simulated(self) -> bool:
        """Whether the world is a simulated one."""
        return self.world is not None and self.world.simulated


def read_run(folder: Path) -> Run:
    """Read a finished run folder; raises UserError naming every file that is missing, or the first that is wrong."""
    if not folder.is_dir():
        raise UserError(f"No run folder '{folder}'. Give the folder that `toolkit finetune` wrote.")
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise UserError(
            f"{folder} lacks {', '.join(missing)}: the run is not finished. Go on with it: {how_to_resume(folder)}"
        )
    config = _mapping(folder / "config.yaml")
    results = _checked(Results, _mapping(folder / "results.json"), folder / "results.json")
    if results.primary not in results.metrics:
        raise unknown(f"metric in {folder / 'results.json'}", results.primary, results.metrics)
    scratch = folder / SCRATCH_CURVE
    return Run(
        folder=folder,
        world=_looked_at(World, config, "world", folder),
        data=_looked_at(LabelFile, config, "data", folder),
        env=_mapping(folder / "env.json"),
        split=_checked(Split, _mapping(folder / "split.json"), folder / "split.json"),
        curve=_curve(folder / "metrics.jsonl"),
        scratch_curve=_curve(scratch) if scratch.is_file() else None,
        tables=RunTables(
            config, results, _table(folder / "predictions.csv", "example"), _table(folder / "truth.csv", "group")
        ),
    )


def _looked_at(kind: type[_Kind], config: Mapping[str, Any], name: str, folder: Path) -> _Kind | None:
    content = config.get(name)
    return None if content is None else _checked(kind, content, folder / "config.yaml", name)


def _mapping(path: Path) -> dict[str, Any]:
    """Read a YAML or JSON file that holds a mapping."""
    try:
        content = yaml.safe_load(path.read_text("utf-8")) if path.suffix == ".yaml" else json.loads(path.read_bytes())
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds {type(content).__name__}, expected named values.")
    return content


def _checked(kind: type[_Kind], content: Any, path: Path, within: str = "") -> _Kind:
    """Return `content` as a `kind`; UserError names every entry that is missing or wrong."""
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        where = [".".join(map(str, (within, *e["loc"]) if within else e["loc"])) for e in error.errors()]
        said = [f"{place}: {e['msg'].lower()}" for place, e in zip(where, error.errors(), strict=True)]
        raise UserError(f"{path}: {'; '.join(said)}.") from error


def _curve(path: Path) -> pd.DataFrame:
    """Read one JSON object a line, each with a step and a loss."""
    rows = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            rows.append({"step": float("nan"), "loss": float("nan")} | json.loads(line))
        except (ValueError, TypeError) as error:
            raise UserError(f"{path}, line {number} is not a JSON object: '{line[:80]}'.") from error
    table = pd.DataFrame(rows, columns=None if rows else ["step", "loss"])
    if table[["step", "loss"]].isna().any(axis=None):
        raise UserError(f"{path}: every line needs 'step' and 'loss'.")
    return table


def _table(path: Path, key: str) -> pd.DataFrame:
    """Read a CSV file that has the column `key`; names of groups stay text, `time` becomes a time."""
    try:
        table = pd.read_csv(path, dtype={"group": "str"})
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from error
    if key not in table:
        raise UserError(f"{path} has no column '{key}'; it has {', '.join(table.columns)}.")
    if table.empty:  # its columns hold text then, for want of numbers
        table = table.astype(dict.fromkeys(table.columns.difference(["group", "time"]), float))
    return table.assign(time=pd.to_datetime(table["time"])) if "time" in table else table
