from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from toolkit.config import FinetuneSettings, PretrainSettings, configured, template
from toolkit.errors import UserError


def test_later_sources_replace_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task's defaults give way to the file, the file to the environment, that to KEY=VALUE, and all to flags."""
    file = tmp_path / "settings.yaml"
    file.write_text("task: rain\nseed: 1\nepochs: 1\nlr: 0.1\nbatch_size: 1\n")
    monkeypatch.setenv("TOOLKIT_EPOCHS", "2")
    monkeypatch.setenv("TOOLKIT_LR", "0.2")
    monkeypatch.setenv("TOOLKIT_BATCH_SIZE", "2")
    defaults = {"seed": 0, "lora_rank": 3, "epochs": 9}
    given = {"batch_size": 4, "method": None}
    settings = configured(FinetuneSettings, file, ["lr=0.3", "batch_size=3"], given, defaults)
    assert (settings.lora_rank, settings.seed, settings.epochs, settings.lr, settings.batch_size) == (3, 1, 2, 0.3, 4)
    assert settings.method == "lora"


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "There is no configuration file"), ("a: [", "is not YAML"), ("just words", "holds no settings")],
)
def test_a_file_that_holds_no_settings_is_told(tmp_path: Path, content: str | None, said: str) -> None:
    """A file that is missing, broken or no mapping is an error that names it."""
    file = tmp_path / "settings.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match=said):
        configured(FinetuneSettings, file)


def test_what_is_needed_is_told() -> None:
    """A setting without default that is nowhere given is named."""
    with pytest.raises(UserError, match=r"'worlds' is needed: .* by --world FOLDER; `toolkit data world FOLDER` makes"):
        configured(PretrainSettings, None)


def test_a_pretext_without_weight_is_refused() -> None:
    """A weight of zero or less is an error that names the pretext: leave it out instead."""
    with pytest.raises(UserError, match=r"'pretext\.masked' is 0: input should be greater than 0"):
        configured(PretrainSettings, None, ["worlds=[a]", "pretext={masked: 0, nextframe: 1}"])


def test_no_is_a_precision(tmp_path: Path) -> None:
    """What YAML takes for false is the word that was written, in a file and as KEY=VALUE; true stays an error."""
    (tmp_path / "a.yaml").write_text("worlds: [a]\nprecision: no\n")
    assert configured(PretrainSettings, tmp_path / "a.yaml").precision == "no"
    assert configured(PretrainSettings, None, ["worlds=[a]", "precision=no"]).precision == "no"
    with pytest.raises(UserError, match="'precision' is True"):
        configured(PretrainSettings, None, ["worlds=[a]", "precision=yes"])


def test_settings_survive_a_file(tmp_path: Path) -> None:
    """What a run writes as its configuration gives the same settings when it is read again."""
    before = configured(PretrainSettings, None, ["worlds=[a, b]", "pretext={masked: 2}", "frames=[-12, 0]"])
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(before.model_dump(mode="json")))
    assert configured(PretrainSettings, tmp_path / "a.yaml") == before


def test_what_was_looked_at_is_read_as_its_path(tmp_path: Path) -> None:
    """A world and labels written with their hashes, as run folders have them, count as their paths alone."""
    world = {"path": "worlds/a", "simulated": True, "sha256": "0"}
    data = {"path": "labels.csv", "sha256": "0"}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"task": "rain", "world": world, "data": data}))
    settings = configured(FinetuneSettings, tmp_path / "a.yaml")
    assert (settings.world, settings.data) == (Path("worlds/a"), Path("labels.csv"))
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"task": "rain", "world": None, "data": None}))
    assert configured(FinetuneSettings, tmp_path / "c.yaml").data is None
    (tmp_path / "b.yaml").write_text(yaml.safe_dump({"worlds": [world]}))
    assert configured(PretrainSettings, tmp_path / "b.yaml").worlds == (Path("worlds/a"),)


@pytest.mark.parametrize(
    ("model", "filled"), [(FinetuneSettings, {"task": "a"}), (PretrainSettings, {"worlds": ["a"]})]
)
def test_the_template_states_every_default(tmp_path: Path, model: type, filled: dict) -> None:
    """A template names every setting, and read back it gives the defaults."""
    (tmp_path / "a.yaml").write_text(template(model, filled))
    assert configured(model, tmp_path / "a.yaml") == model(**filled)
    assert set(yaml.safe_load((tmp_path / "a.yaml").read_text())) == set(model.model_fields)


OPTIONS: dict[str, tuple[Any, Any]] = {
    "lead": (int, 1),
    "leads": (tuple[int, ...], (1, 2)),
    "day": (Literal["eu", "epa"], "eu"),
    "place": (Path | None, None),
}


def chosen(*overrides: str, file: Path | None = None, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """The options that a task with four of them ends up with."""
    settings = configured(FinetuneSettings, file, ["task=rain", *overrides], given, options=OPTIONS)
    return settings.options


def test_options_have_their_defaults_and_types() -> None:
    """A task's options stand beside the settings; what is given is read as the type each wants."""
    assert chosen() == {"lead": 1, "leads": [1, 2], "day": "eu", "place": None}
    given = chosen("lead=3", "leads=[4, 5]", "day=epa", "place=here/there", "lr=0.5")
    assert given == {"lead": 3, "leads": [4, 5], "day": "epa", "place": "here/there"}


def test_later_sources_replace_earlier_options(tmp_path: Path) -> None:
    """Recorded options give way to those that the file names among its settings, and these to KEY=VALUE."""
    file = tmp_path / "settings.yaml"
    file.write_text("options: {lead: 5, leads: [9], day: epa}\nlead: 6\nleads: [8]\n")
    assert chosen("lead=7", file=file) == {"lead": 7, "leads": [8], "day": "epa", "place": None}


def test_options_survive_a_file(tmp_path: Path) -> None:
    """What a run writes as its configuration gives the same options when it is read again."""
    before = configured(FinetuneSettings, None, ["task=rain", "lead=4", "leads=[3]"], options=OPTIONS)
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(before.model_dump(mode="json")))
    assert configured(FinetuneSettings, tmp_path / "a.yaml", options=OPTIONS) == before
    assert configured(FinetuneSettings, tmp_path / "a.yaml") == before


def test_everything_wrong_with_options_and_settings_is_told_at_once() -> None:
    """A wrong type, a misspelt option, a misspelt setting and a wrong one are in one message, each with its remedy."""
    with pytest.raises(UserError) as refused:
        chosen("lead=soon", "leds=[1]", "dya=eu", "sed=1", "lr=-1", "day=us", "nonsense=1")
    lines = str(refused.value).splitlines()
    assert lines[0].startswith("'lead' is 'soon': input should be a valid integer")
    assert lines[1] == "'day' is 'us': input should be 'eu' or 'epa'."
    assert {line for line in lines[2:] if "Known" not in line} == {
        "'lr' is -1: input should be greater than 0.",
        "No setting 'leds'. Did you mean 'leads'?",
        "No setting 'dya'. Did you mean 'day'?",
        "No setting 'sed'. Did you mean 'seed'?",
    }
    (unknown,) = (line for line in lines if "Known" in line)
    assert unknown.startswith("No setting 'nonsense'. Known: seed, ")
    assert unknown.endswith("lead, leads, day, place.")


@pytest.mark.parametrize("value", ["soon", "[1, soon]"])
def test_what_fits_none_of_several_types_is_told_once(value: str) -> None:
    """The error names the option, all of the value, and what it may be, as one would write it."""
    options = {"lead": (int | tuple[int, ...], 1)}
    with pytest.raises(UserError) as refused:
        configured(FinetuneSettings, None, ["task=rain", f"lead={value}"], options=options)
    wanted = "a whole number or a list, such as lead=[1,2]"
    assert str(refused.value) == f"'lead' is {yaml.safe_load(value)!r}: it should be {wanted}."


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (OPTIONS, r"No option of the task 'leed'\. Did you mean 'lead'"),
        ({}, r"No option of the task 'leed'\. Known: none"),
    ],
)
def test_recorded_options_that_are_no_more_are_told(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    """A file's `options` are checked against those that the task has."""
    (tmp_path / "a.yaml").write_text("task: rain\noptions: {leed: 3}\n")
    with pytest.raises(UserError, match=said):
        configured(FinetuneSettings, tmp_path / "a.yaml", options=options)


def test_an_option_may_not_shadow_a_setting() -> None:
    """A task whose option has the name of a setting is told to rename it."""
    with pytest.raises(UserError, match=r"The task's option 'seed' has the name of a setting\. Rename it"):
        configured(FinetuneSettings, None, ["task=rain"], options={"seed": (int, 1)})


def test_what_is_no_option_of_a_task_without_any_is_no_setting() -> None:
    """Without options the names of settings alone are known."""
    with pytest.raises(UserError, match="No setting 'lead'"):
        configured(FinetuneSettings, None, ["task=rain", "lead=1"])


@pytest.mark.parametrize(
    ("word", "said"),
    [("lr=[1", "lr=.1 is not YAML"), ("backbone=@x", "Quote what is meant as text"), ("backbone=a: b: c", "not YAML")],
)
def test_a_value_that_cannot_be_read_is_told(word: str, said: str) -> None:
    """No word of the command line ends in a traceback."""
    with pytest.raises(UserError, match=said):
        configured(FinetuneSettings, None, (word,), {"task": "hurricane"})


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Neither a folder, nor bytes that are no text, nor keys that are no names are settings."""
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "keys.yaml").write_text("1: 2\n")
    for name, said in (("", "cannot be read"), ("bytes.yaml", "cannot be read"), ("keys.yaml", "holds no settings")):
        with pytest.raises(UserError, match=said):
            configured(FinetuneSettings, tmp_path / name)


def test_options_are_named() -> None:
    """What is no {option: value} is told by what it is."""
    with pytest.raises(UserError, match="'options' is 5"):
        configured(FinetuneSettings, None, ("options=5",), {"task": "extremes"}, options={"lead": (int, 0)})


@pytest.mark.parametrize("name", ["", "../evil", "/tmp/there", "checkpoints", ".hidden", "a b"])
def test_a_backbone_has_a_plain_name(name: str) -> None:
    """It names a folder in the run's own, which is not to lie elsewhere or to be one that the run has already."""
    with pytest.raises(UserError, match=r"'name' is .*letters, digits, dots and dashes"):
        configured(PretrainSettings, None, (), {"worlds": ["w"], "name": name})
    assert configured(PretrainSettings, None, (), {"worlds": ["w"], "name": "größe-1.b"}).name == "größe-1.b"
