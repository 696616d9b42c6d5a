import json
from pathlib import Path

import pytest

from toolkit.backbones.card import shipped

pytestmark = pytest.mark.slow


def test_the_picture_is_written_and_what_it_shows_is_told(
    command, random_backbone: Path, tiny_world: Path, tmp_path: Path
) -> None:
    """The command writes the PNG and says, as JSON, where the windows are; the same words give the same bytes."""
    words = ("features", random_backbone, "--world", tiny_world, "--layer", "blocks.0", "--windows", "30", "-q")
    asked = ("--channel", "5", "--channel", "2", "--json")
    answer = command(*words, *asked, "--out", tmp_path / "a.png")
    assert answer.exit_code == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert (told["layer"], told["drawn"], told["picture"]) == ("blocks.0", 30, str(tmp_path / "a.png"))
    assert [channel["channel"] for channel in told["channels"]] == [5, 2]
    for channel in told["channels"]:
        found = [window["activation"] for window in channel["windows"]]
        assert found == sorted(found, reverse=True)
        assert channel["made"]["activation"] > channel["made"]["before"]
    again = command(*words, *asked, "--out", tmp_path / "b.png")
    assert json.loads(again.stdout)["channels"] == told["channels"]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_without_a_channel_it_is_a_sheet_of_the_last_layer(
    command, random_backbone: Path, tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has the most selective channels; the picture is named after the backbone and the layer."""
    monkeypatch.chdir(tmp_path)
    answer = command("features", random_backbone, "--world", tiny_world, "--windows", "20", "-q")
    assert answer.exit_code == 0, answer.stderr
    head, *rows, picture = answer.stdout.splitlines()
    assert head.split() == ["channel", "selectivity", "mean", "deviation", "strongest", "at", "made"]
    assert len(rows) == 8
    assert picture == "Picture: random-norm.png"
    assert (tmp_path / "random-norm.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--layer", "block.1"), "No layer 'block.1'. Did you mean 'blocks.1'?"),
        (("--channel", "99"), "has the channels 0 to 15, so there is no 99"),
        (("--out", "a.pdf"), "give it a name that ends in .png"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    command, random_backbone: Path, tiny_world: Path, words: tuple[str, ...], said: str
) -> None:
    """An unknown layer or channel and a picture that is no PNG are one error each."""
    answer = command("features", random_backbone, "--world", tiny_world, "--windows", "2", "-q", *words)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("Error: ")
    assert said in answer.stderr


def test_a_world_of_another_grid_is_refused(command, tiny_world: Path) -> None:
    """A world of 2.8 degrees does not fit the backbone of 1.4 that comes with the toolkit, which says so."""
    answer = command("features", next(iter(shipped())), "--world", tiny_world, "-q")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "the grid spacing is 2.8125 degrees, it was trained at 1.40625; regrid the fields" in answer.stderr
