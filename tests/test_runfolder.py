import os
from pathlib import Path

import pytest
import yaml

from toolkit.errors import UserError
from toolkit.runfolder import check_folder, check_settings, how_to_resume, open_run, write_environment


def test_a_run_begins_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder that the user is in, or that a link leads to, is the same folder afterwards."""
    here, link = tmp_path / "here", tmp_path / "link"
    here.mkdir()
    link.symlink_to(here)
    monkeypatch.chdir(here)
    before = os.stat(here).st_ino  # noqa: PTH116
    assert not open_run(Path(), {"seed": 1}, resume=False, overwrite=False)
    (here / "checkpoints").mkdir()
    (here / "to").symlink_to(tmp_path)
    assert not open_run(link, {"seed": 2}, resume=False, overwrite=True)
    assert (here.stat().st_ino, os.listdir(here)) == (before, ["config.yaml"])  # noqa: PTH208
    assert yaml.safe_load(Path("config.yaml").read_text()) == {"seed": 2}
    assert tmp_path.is_dir()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """Neither where the folder should be, nor on the way there."""
    (tmp_path / "results.txt").touch()
    for folder in (tmp_path / "results.txt", tmp_path / "results.txt" / "deeper"):
        with pytest.raises(UserError, match=r"results\.txt is a file: name a folder"):
            check_folder(folder, resume=False, overwrite=False)


def test_other_settings_are_told(tmp_path: Path) -> None:
    """All that differ, those that are missing too; a folder without a run has none."""
    check_settings(tmp_path, {"seed": 1})
    open_run(tmp_path / "run", {"seed": 1, "lr": 0.1}, resume=False, overwrite=False)
    with pytest.raises(UserError, match=r"run began with other settings\. .*:\nlr: 0\.1 -> none\nseed: 1 -> 2$"):
        check_settings(tmp_path / "run", {"seed": 2})
    check_settings(tmp_path / "run", {"seed": 1, "lr": 0.1})


def test_what_follows_from_a_setting_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A world's hash, which the pretexts change, is told of where nothing else is; options are named as a user does."""
    monkeypatch.chdir(tmp_path)

    def told(**other: object) -> list[str]:
        world = {"path": str(tmp_path / "one"), "sha256": "7c"}
        began = {"worlds": [world], "pretext": {"masked": 1.0, "order": 0.5}, "held_out": [], "threads": 0}
        open_run(tmp_path / "run", began, resume=False, overwrite=(tmp_path / "run").exists())
        with pytest.raises(UserError) as refused:
            check_settings(tmp_path / "run", began | other)
        return str(refused.value).splitlines()[1:]

    one, two = ({"path": str(tmp_path / name), "sha256": "99"} for name in ("one", "two"))
    assert told(worlds=[one], pretext={"masked": 1.0}) == ["--pretext.order: 0.5 -> none"]
    assert told(worlds=[one, two]) == ["--world: one -> one, two"]
    assert told(worlds=[one]) == ["--world: one holds other data than it did"]
    assert told(held_out=[two]) == ["held_out: none -> two"]
    assert told(threads=None) == ["threads: 0 -> none"]


def test_no_other_folder_is_emptied(tmp_path: Path) -> None:
    """A folder of the user's with a config.yaml of its own, or without one, is no run, however it is asked for."""
    (tmp_path / "mine.csv").touch()
    for text in (None, "a: 1"):
        if text:
            (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(UserError, match="not a run folder"):
            check_folder(tmp_path, resume=False, overwrite=True)
    open_run(tmp_path / "run", {"seed": 1}, resume=False, overwrite=False)
    check_folder(tmp_path / "run", resume=False, overwrite=True)


def test_a_run_says_how_it_goes_on(tmp_path: Path) -> None:
    """By the command it was begun with, whose words are quoted; without one, by what is known of it."""
    folder = tmp_path / "a run"
    folder.mkdir()
    assert how_to_resume(folder) == f"toolkit finetune TASK --out '{folder}' --resume"
    write_environment(folder, ["toolkit", "finetune", "ozone", "--out", "a run", "--overwrite"])
    assert how_to_resume(folder) == "toolkit finetune ozone --out 'a run' --resume"
