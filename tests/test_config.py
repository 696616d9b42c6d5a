from pathlib import Path

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
    with pytest.raises(UserError, match="'worlds' is needed"):
        configured(PretrainSettings, None)


def test_a_pretext_without_weight_is_refused() -> None:
    """A weight of zero or less is an error that names the pretext: leave it out instead."""
    with pytest.raises(UserError, match=r"'pretext\.masked' is 0: input should be greater than 0"):
        configured(PretrainSettings, None, ["worlds=[a]", "pretext={masked: 0, nextframe: 1}"])


def test_settings_survive_a_file(tmp_path: Path) -> None:
    """What a run writes as its configuration gives the same settings when it is read again."""
    before = configured(PretrainSettings, None, ["worlds=[a, b]", "pretext={masked: 2}", "frames=[-12, 0]"])
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(before.model_dump(mode="json")))
    assert configured(PretrainSettings, tmp_path / "a.yaml") == before


def test_a_recorded_world_is_read_as_its_path(tmp_path: Path) -> None:
    """A world written with its hash, as run folders have it, counts as the path alone."""
    world = {"path": "worlds/a", "simulated": True, "sha256": "0"}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"task": "rain", "world": world}))
    assert configured(FinetuneSettings, tmp_path / "a.yaml").world == Path("worlds/a")
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
