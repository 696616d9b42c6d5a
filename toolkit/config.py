"""Run configuration: one validated object per command; file < environment < command line.

Environment variables are TOOLKIT_<KEY> in capitals, such as TOOLKIT_SEED. All errors are reported at once.
"""

import inspect
import json
import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator

from toolkit.errors import UserError

ENVIRONMENT_PREFIX = "TOOLKIT_"
TAKEN = ("checkpoints", "config.yaml", "env.json", "metrics.jsonl")
"""Names in the folder of a run that are not for a backbone."""
KINDS: Mapping[Any, str] = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}
Weight = Annotated[float, Field(gt=0)]


class Settings(BaseModel):
    """What every training command shares."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    seed: int = Field(0, ge=0, le=2**24, description="seed of everything drawn at random")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["no", "bf16", "fp16"] = "no"
    batch_size: int = Field(32, gt=0)
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    warmup_share: float = Field(0.05, ge=0, lt=1, description="share of the steps over which the learning rate rises")
    threads: int = Field(0, ge=0, description="processor threads; 0 leaves torch's own choice")

    @field_validator("precision", mode="before")
    @classmethod
    def _word(cls, precision: Any) -> Any:
        return "no" if precision is False else precision  # YAML takes the word for false


class FinetuneSettings(Settings):
    """`toolkit finetune TASK`."""

    task: str
    world: Path | None = Field(None, description="world folder; none makes the small simulated world in the cache")
    data: Path | None = Field(None, description="file or folder of labels, in place of the world's own")
    options: dict[str, Any] = Field({}, description="the task's own options")
    method: Literal["probe", "lora", "full", "scratch"] = "lora"
    backbone: str = "general-vit"
    labels: int | None = Field(None, gt=0, description="labelled groups (storms, stations) to train on; none takes all")
    epochs: float = Field(2.5, gt=0)
    least_steps: int = Field(200, gt=0, description="steps even where the epochs are over sooner")
    validations: int = Field(2, gt=0, description="how often the weights are validated; the best are kept")
    weight_decay: float = Field(0.05, ge=0)
    lora_rank: int = Field(8, gt=0)
    lora_alpha: int = Field(16, gt=0)
    lora_blocks: int = Field(
        2, gt=0, description="how many of the backbone's last blocks LoRA updates; all where it has fewer"
    )
    compare: bool = Field(True, description="train from scratch too, on the same labels, and report the difference")
    baselines: bool = Field(True, description="fit the task's classical baselines and report them")
    limit_batches: int | None = Field(None, gt=0, description="train for so many steps at most")

    @field_validator("world", "data", mode="before")
    @classmethod
    def _path(cls, recorded: Any) -> Any:
        return named_path(recorded)


class PretrainSettings(Settings):
    """`toolkit pretrain`."""

    worlds: tuple[Path, ...] = Field(
        min_length=1, description="worlds to train on, by --world FOLDER; `toolkit data world FOLDER` makes one"
    )
    held_out: tuple[Path, ...] = Field((), description="worlds that are only scored at the end, for the card")
    pretext: dict[str, Weight] = Field({"masked": 0.5, "nextframe": 1.0, "lagrangian": 1.0, "vortexfate": 0.5})
    options: dict[str, dict[str, Any]] = Field({}, description="options of the pretexts, {pretext: {option: value}}")
    name: str = Field("backbone", description="name of the backbone, and of its folder in the run's")
    variables: tuple[str, ...] = ("vorticity", "divergence")
    frames: tuple[int, ...] = (-6, 0)
    window: tuple[int, int] = (32, 32)
    hidden: float = Field(0.6, ge=0, le=1, description="largest share of patches hidden from what pretexts share")
    backbone: str = Field(
        "vit",
        description="its kind: vit, resnet, timm:NAME or an installed one; a vit has patch, dim, depth and heads",
    )
    patch: int = Field(4, gt=0)
    dim: int = Field(128, gt=0)
    depth: int = Field(6, gt=0)
    heads: int = Field(4, gt=0)
    max_steps: int = Field(6000, gt=0)
    checkpoint_every: int = Field(250, gt=0)
    batch_size: int = Field(64, gt=0)
    accumulate: int = Field(1, gt=0, description="batches whose gradients are added up for a step")
    optimizer: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = Field(0.05, ge=0)
    gradient_norm: float = Field(1.0, gt=0, description="longer gradients are shortened to this")
    decay: Literal["cosine", "plateau"] = Field("cosine", description="how the learning rate falls")
    plateau_steps: int = Field(1000, gt=0, description="steps of a stretch over which a plateau is looked for")
    average: float = Field(0.0, ge=0, lt=1, description="momentum of the mean of the weights; 0 keeps the last ones")
    first_steps: int = Field(0, ge=0, description="steps of a first phase, which goes over the same few batches")
    first_batches: int = Field(2000, gt=0, description="batches of the first phase")
    workers: int = Field(1, ge=0, description="processes that draw batches ahead")
    compiled: bool = Field(False, description="go through torch.compile")
    checkpointing: bool = Field(False, description="compute activations twice rather than keep them")
    tensorboard: bool = Field(False, description="write the numbers for TensorBoard too")

    @field_validator("name")
    @classmethod
    def _folder_of_its_own(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w.-]*", name) or name in TAKEN:
            raise ValueError(f"it should be letters, digits, dots and dashes, and none of {', '.join(TAKEN)}")
        return name

    @field_validator("worlds", "held_out", mode="before")
    @classmethod
    def _paths(cls, recorded: Any) -> Any:
        return named_path(recorded)


def named_path(recorded: Any) -> Any:
    """Return a world, worlds or data as they were named, from what a run's config.yaml records of them."""
    if isinstance(recorded, list | tuple):
        return [named_path(part) for part in recorded]
    return recorded["path"] if isinstance(recorded, Mapping) and "path" in recorded else recorded


Model = TypeVar("Model", bound=Settings)
Options = Mapping[str, tuple[Any, Any]]


def configured(
    model: type[Model],
    file: Path | None,
    overrides: Sequence[str] = (),
    given: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
    options: Options | None = None,
) -> Model:
    """Return validated settings: those of a YAML file, then the environment, then KEY=VALUE overrides and flags.

    `given` holds the command line's flags; those that are None were not used. `defaults` are a task's own, which all
    others replace. `options` {name: (type, default)} are a task's: KEY=VALUE and the file may name them among the
    settings, and they end in the setting `options`. Raises one `UserError` with everything that is wrong.
    """
    values = dict(defaults or {}) | unchecked_values(model, file, overrides)
    values |= {key: value for key, value in (given or {}).items() if value is not None}
    problems: list[str] = []
    known = list(model.model_fields)
    if options is not None:
        known += options
        own = _of_task(values, model, options)
        chosen = create_model("Options", __config__=ConfigDict(extra="forbid"), **options)  # type: ignore[call-overload]
        try:
            values["options"] = chosen(**own).model_dump(mode="json")
        except ValidationError as error:
            problems += _problems(chosen, list(options), own, error, "option of the task")
    try:
        settings = model(**values)
    except ValidationError as error:
        problems += _problems(model, known, values, error, "setting")
    if problems:
        raise UserError("\n".join(problems))
    return settings


def check_free(command: str, overrides: Sequence[str], taken: Sequence[str], head: str = "") -> None:
    """Raise `UserError` for KEY=VALUE whose KEY a command sets itself; `head` is what the user wrote before it."""
    for key in (word.partition("=")[0] for word in overrides):
        if key in taken:
            raise UserError(f"'{head}{key}' is set by `toolkit {command}` itself; see its --help.")


def unchecked_values(model: type[Settings], file: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """Return what a file, the environment and KEY=VALUE say, not checked yet; `UserError` for what cannot be read."""
    values = from_file(file) if file else {}
    for key in model.model_fields:
        variable = ENVIRONMENT_PREFIX + key.upper()
        if (value := os.environ.get(variable)) is not None:
            values[key] = _parsed(variable, value)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise UserError(f"'{override}' is not KEY=VALUE, such as seed=1.")
        values[key] = _parsed(key, value)
    return values


def _parsed(key: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"{key}={value} is not YAML: {error}. Quote what is meant as text: {key}='\"...\"'.") from None


def _of_task(values: dict[str, Any], model: type[Settings], options: Options) -> dict[str, Any]:
    """Take the task's options out of the settings: those of a recorded `options`, then those named among them."""
    if shadowed := sorted(set(options) & set(model.model_fields)):
        raise UserError(f"The task's option '{shadowed[0]}' has the name of a setting. Rename it.")
    recorded = values.pop("options", None) or {}
    if not isinstance(recorded, Mapping):
        raise UserError(f"'options' is {recorded!r}: it should be {{option: value}}.")
    return dict(recorded) | {name: values.pop(name) for name in options if name in values}


def template(model: type[Settings], filled: Mapping[str, Any]) -> str:
    """Return a commented YAML file with every setting of a command: those in `filled`, else the defaults."""
    lines = [
        "# Every setting may be left out. KEY=VALUE on the command line and TOOLKIT_KEY in the environment go first."
    ]
    defaults = model.model_construct().model_dump(mode="json", warnings=False)
    for key, field in model.model_fields.items():
        line = f"{key}: {json.dumps(filled.get(key, defaults.get(key)))}"
        lines.append(f"{line}  # {field.description}" if field.description else line)
    return "\n".join(lines) + "\n"


def from_file(file: Path) -> dict[str, Any]:
    """Return what a YAML file of settings holds, not checked yet; `UserError` where it cannot be read as one."""
    try:
        content = yaml.safe_load(file.read_text())
    except FileNotFoundError:
        raise UserError(f"There is no configuration file {file}. Write one with `toolkit config init`.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as a file of settings: {error}.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError(f"{file} holds no settings: it should be lines of KEY: VALUE.")
    return content


def _problems(
    model: type[BaseModel], known: Sequence[str], given: Mapping[str, Any], error: ValidationError, kind: str
) -> list[str]:
    lines = []
    for problem in error.errors():
        first, key = problem["loc"][0], ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = get_close_matches(key, known, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known) or 'none'}."
            lines.append(f"No {kind} '{key}'. {hint}")
        elif problem["type"] == "missing":
            about = model.model_fields[str(first)].description
            lines.append(f"'{key}' is needed{f': {about}' if about else ''}.")
        elif first in model.model_fields and _is_one_of_several(wanted := model.model_fields[str(first)].annotation):
            lines.append(f"'{first}' is {given[str(first)]!r}: it should be {_in_words(str(first), wanted)}.")
        else:
            lines.append(f"'{key}' is {problem['input']!r}: {problem['msg'].lower()}.")
    return list(dict.fromkeys(lines))  # of several types each has a problem of its own


def _in_words(key: str, wanted: Any) -> str:
    """Return what kinds of values there may be, as a user would give them."""
    said = []
    for kind in get_args(wanted):
        if get_origin(kind) in (tuple, list):
            said.append(f"a list, such as {key}=[1,2]" if int in get_args(kind) else "a list")
        elif kind is not NoneType:
            said.append(KINDS.get(kind) or inspect.formatannotation(kind))
    return " or ".join(said)


def _is_one_of_several(wanted: Any) -> bool:
    """Whether a value may have several types, None aside."""
    return get_origin(wanted) in (Union, UnionType) and len(set(get_args(wanted)) - {NoneType}) > 1
