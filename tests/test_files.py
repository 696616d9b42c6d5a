import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from toolkit.errors import UserError
from toolkit.files import made_once, sha256, whole_file, whole_folder, write_json, write_text


def test_a_file_appears_whole(tmp_path: Path) -> None:
    """Until the block ends the old content stands; then the new one, in folders made for it, readable by all."""
    path = tmp_path / "new" / "folder" / "file.txt"
    write_text(path, "old")
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == ".txt"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(path.parent) == ["file.txt"]  # noqa: PTH208


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    """Until the block ends there is no folder; an empty one that was there is replaced."""
    path = tmp_path / "new" / "folder"
    path.mkdir(parents=True)
    with whole_folder(path) as temporary:
        (temporary / "inside").write_text("text")
        assert not any(path.iterdir())
    assert [entry.name for entry in path.iterdir()] == ["inside"]
    assert [entry.name for entry in path.parent.iterdir()] == ["folder"]


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_a_failure_leaves_what_was_there(whole: Callable, tmp_path: Path) -> None:
    """When the block fails nothing appears, nothing is left behind, and the error goes on."""
    path = tmp_path / "path"
    if whole is whole_file:
        path.write_text("old")
    before = sorted(tmp_path.iterdir())

    def fails() -> None:
        with whole(path) as temporary:
            (temporary if whole is whole_file else temporary / "inside").write_text("half")
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fails()
    assert sorted(tmp_path.iterdir()) == before
    assert whole is whole_folder or path.read_text() == "old"


def test_json_has_no_nan(tmp_path: Path) -> None:
    """JSON is indented and ends with a newline; NaN is refused and leaves no file."""
    write_json(tmp_path / "a.json", {"name": [1, "é"]})
    assert (tmp_path / "a.json").read_bytes().decode() == '{\n  "name": [\n    1,\n    "\\u00e9"\n  ]\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    """Text is UTF-8 with its own line ends."""
    write_text(tmp_path / "text", "é\r\n\n")
    assert (tmp_path / "text").read_bytes() == b"\xc3\xa9\r\n\n"


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    """The hash of a file is the hash of its bytes."""
    content = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_what_many_want_is_made_once(tmp_path: Path) -> None:
    """Of several that want a file at once, one makes it and the others wait; later ones find it there."""
    made = []

    def make() -> None:
        made.append(1)
        time.sleep(0.1)
        write_text(tmp_path / "cache" / "file", "whole")

    def wanted(_: int) -> str:
        made_once(tmp_path / "cache" / "file", make)
        return (tmp_path / "cache" / "file").read_text()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(wanted, range(6))) == {"whole"}
    assert made == [1]


def test_what_could_not_be_made_is_tried_again(tmp_path: Path) -> None:
    """An error while making goes to the caller and leaves the way free for the next one."""

    def fails() -> None:
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        made_once(tmp_path / "file", fails)
    made_once(tmp_path / "file", lambda: write_text(tmp_path / "file", "whole"))
    assert (tmp_path / "file").read_text() == "whole"


def test_the_folder_one_is_in_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be another one afterwards; a folder that is meant through a link is replaced where it lies."""
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with whole_folder(tmp_path / "link") as temporary:
        (temporary / "inside").touch()
    assert (tmp_path / "there" / "inside").exists()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UserError, match="is the folder you are in"), whole_folder(Path()):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "link", "there"]
