from pathlib import Path

import pytest

from toolkit.config import FinetuneSettings
from toolkit.errors import UserError
from toolkit.study.ladder import LADDER, TUNED, ladder
from toolkit.study.plan import CLASSICAL, METHODS

NETWORKS = [method for method in METHODS if method != CLASSICAL]
USUAL = FinetuneSettings(task="", lr=0.004, epochs=3.0)


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_every_method_has_as_many_settings(tries: int) -> None:
    """All different, of those a ladder may have, and there for methods that may be added later."""
    rungs = ladder(("probe", CLASSICAL), USUAL, tries)
    assert sorted(rungs) == sorted(NETWORKS)
    for own in rungs.values():
        assert len(own) == tries
        assert all(rung not in own[:k] for k, rung in enumerate(own))
        assert {key for rung in own for key in rung} <= set(TUNED)


def test_settings_are_tried_around_the_usual_ones() -> None:
    """A task's own learning rate and epochs are what the steps of the ladder multiply."""
    for method, own in ladder(NETWORKS, USUAL, 2).items():
        for rung, step in zip(own, LADDER[method], strict=False):
            assert rung["lr"] == pytest.approx(0.004 * step.rate)
            assert rung["epochs"] == pytest.approx(3 * step.epochs)


def test_scratch_has_the_longest_training_of_all() -> None:
    """What has all to learn is not held to the schedule of what has learned."""
    rungs = ladder(NETWORKS, USUAL, 2)
    longest = {method: max(rung["epochs"] for rung in own) for method, own in rungs.items()}
    assert max(longest, key=lambda method: longest[method]) == "scratch"


def test_a_file_replaces_the_settings_of_its_methods(tmp_path: Path) -> None:
    """Numbers are numbers however YAML reads them; methods that it does not name keep theirs."""
    file = tmp_path / "ladder.yaml"
    file.write_text("lora: [{lr: 1e-3, lora_rank: 4}, {epochs: 7}, {}]")
    rungs = ladder(NETWORKS, USUAL, 2, file)
    assert rungs["lora"] == ({"lr": 0.001, "lora_rank": 4}, {"epochs": 7.0})
    assert rungs["full"] == ladder(NETWORKS, USUAL, 2)["full"]


def test_more_tries_than_settings_are_an_error(tmp_path: Path) -> None:
    """Of the methods that are asked for; how many there are is said of each."""
    file = tmp_path / "ladder.yaml"
    file.write_text("probe: [{}]\nfull: []")
    with pytest.raises(UserError, match=r"--tries 2 asks for more .* there are: 1 for probe, 0 for full\. .*--ladder"):
        ladder(("probe", "lora", "full", CLASSICAL), USUAL, 2, file)
    assert len(ladder(("lora", CLASSICAL), USUAL, 2, file)["lora"]) == 2


def test_a_file_is_told_of_all_that_is_wrong_at_once(tmp_path: Path) -> None:
    """Unknown methods and settings with the near miss, values that cannot be, and what is no setting."""
    file = tmp_path / "ladder.yaml"
    file.write_text("lorra: [{}]\nclassical: [{}]\nprobe: [{lrr: 1}, {lr: -1, epochs: many}, 3]\nfull: [{seed: 1}]")
    with pytest.raises(UserError) as raised:
        ladder(("probe",), USUAL, 1, file)
    lines = str(raised.value).splitlines()
    assert lines[0] == f"{file}:"
    for line, said in zip(
        lines[1:],
        (
            "No method 'lorra'. Did you mean 'lora'?",
            "No method 'classical'. Known: full, lora, probe, scratch.",
            "probe: No setting to try 'lrr'. Did you mean 'lr'?",
            "probe: 'lr' is -1: ",
            "probe: 'epochs' is 'many': ",
            "probe: 3 is not SETTING: VALUE.",
            "full: No setting to try 'seed'. Known: batch_size, ",
        ),
        strict=True,
    ):
        assert line.startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [("probe: [", "is not YAML"), ("probe: {lr: 1}", "should hold lines of METHOD: "), ("", "should hold lines of")],
)
def test_a_file_that_is_no_ladder_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    """What it should hold is said."""
    file = tmp_path / "ladder.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=said):
        ladder(("probe",), USUAL, 1, file)
    with pytest.raises(UserError, match=r"There is no file .*gone\.yaml"):
        ladder(("probe",), USUAL, 1, tmp_path / "gone.yaml")
