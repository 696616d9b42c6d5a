"""What a task says of itself is held against what is installed."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.config import FinetuneSettings
from toolkit.conformance.declared import inputs
from toolkit.conformance.subject import Subject
from toolkit.origin import Origin
from toolkit.task import Task


def test_a_pretext_that_does_not_load_stops_no_check(
    sound: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random_backbone: Path
) -> None:
    """The readouts are those of the pretexts that load, with the near miss of one that there is not."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "odd_package", raising=False)
    (tmp_path / "odd_package.py").write_text("import no_such_module")
    about = tmp_path / "odd_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: odd_package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[toolkit.pretexts]\nodd = odd_package:PRETEXT\n")
    settings = FinetuneSettings(task="sound", backbone=str(random_backbone))
    task = replace(sound, readouts=("next_frames", "next_frame"))
    (problem,) = inputs(Subject(task, settings, Origin(None), False))
    assert problem.place == "readout next_frame"
    assert "Did you mean 'next_frames'?" in problem.wrong
