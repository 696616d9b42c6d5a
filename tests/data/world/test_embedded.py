from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.data.world import embedded
from toolkit.data.world.write import SIZES, Size
from toolkit.errors import UserError
from toolkit.told import Told


def test_the_embedded_world_is_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first call simulates the small world into the cache and tells how far it is, the second finds it there."""
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    made: list[tuple[Size, int]] = []
    stages: list[str] = []
    shares: list[float] = []
    told = Told(stages.append, share=shares.append)

    def write(folder: Path, size: Size, seed: int, progress: Callable[[float], None]) -> None:
        made.append((size, seed))
        progress(1.0)
        folder.mkdir(parents=True)

    monkeypatch.setattr(embedded, "write_world", write)
    first = embedded.embedded_world(told)
    assert embedded.embedded_world(told) == first
    assert first.parent == tmp_path / "worlds"
    assert made == [(SIZES["small"], 0)]
    assert shares == [1.0]
    assert stages == ["simulating the small world (once; it is kept in the cache)"]


def test_another_generator_makes_another_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The version is the same for the same code, and changes with any file of it."""
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("one")
    monkeypatch.setattr(embedded, "__file__", str(tmp_path / "a.py"))
    before = embedded.generator_version()
    assert embedded.generator_version() == before
    (tmp_path / "b.py").write_text("two")
    assert embedded.generator_version() != before


def test_a_world_of_another_size_lies_beside_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A size that is asked for has a folder of its own; one that there is not is told before anything is made."""
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    made: list[Size] = []
    monkeypatch.setattr(embedded, "write_world", lambda folder, size, *_: made.append(size) or folder.mkdir())
    tiny = embedded.embedded_world(Told(), "tiny")
    assert tiny == embedded.embedded_folder("tiny") != embedded.embedded_folder()
    assert made == [SIZES["tiny"]]
    with pytest.raises(UserError, match="Did you mean 'tiny'"):
        embedded.embedded_world(Told(), "tinny")
