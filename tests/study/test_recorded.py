import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.errors import UserError
from toolkit.metrics import Metric, Scores, Statistic
from toolkit.study.plan import Cell, Folders, Trial
from toolkit.study.recorded import choice, finished, read_scores, tried, write_scores


@pytest.fixture
def metrics() -> tuple[Metric, ...]:
    """Two metrics of one statistic, and one of another."""
    count, size = (Statistic(name, lambda *_: pytest.fail("nothing is computed")) for name in ("count / all", "size"))
    made = (("hits", count, "hit"), ("misses", count, "missed"), ("size", size, "0"))
    return tuple(Metric(name, "1", "lower", name, of, lambda sums, c=c: sums[c]) for name, of, c in made)


@pytest.fixture
def scores(metrics: tuple[Metric, ...]) -> Scores:
    """Sums of three groups with odd names, numbers of every size among them."""
    groups = pd.Index(["AL012004", "background 2004-08-01", "São / Tomé"], name="group")
    rng = np.random.default_rng(0)
    count = pd.DataFrame(rng.integers(0, 9, (3, 2)).astype(float), groups, ["hit", "missed"])
    size = pd.DataFrame(10.0 ** rng.uniform(-300, 300, (3, 1)), groups, ["0"])
    return Scores(metrics, {"count / all": count, "size": size})


def test_scores_come_back_as_they_were(scores: Scores, tmp_path: Path) -> None:
    """To the last bit, with their groups and columns; so do all metrics."""
    write_scores(tmp_path / "scores.npz", scores)
    back = read_scores(tmp_path / "scores.npz", scores.metrics)
    for name, sums in scores.sums.items():
        pd.testing.assert_frame_equal(back.sums[name], sums, check_exact=True, check_index_type=False)
    assert back.values() == scores.values()
    assert [path.name for path in tmp_path.iterdir()] == ["scores.npz"]


def test_scores_that_cannot_be_read_are_an_error(scores: Scores, tmp_path: Path) -> None:
    """Cut off, empty, flipped, something else, without a statistic, not there: the folder to remove is named."""
    write_scores(path := tmp_path / "cell" / "scores.npz", scores)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 255
    for damaged in (whole[: len(whole) // 2], b"", bytes(flipped), b"scores"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=f"cannot be read .*: remove {path.parent} and resume"):
            read_scores(path, scores.metrics)
    write_scores(path, Scores(scores.metrics[:2], {"count / all": scores.sums["count / all"]}))
    assert read_scores(path, scores.metrics[:2]).values()
    with pytest.raises(UserError, match="cannot be read"):
        read_scores(path, scores.metrics)
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        read_scores(path, scores.metrics)


def _write(folders: Folders, one: Cell | Trial, **content: object) -> None:
    folders.result(one).parent.mkdir(parents=True, exist_ok=True)
    folders.result(one).write_text(json.dumps(content))


def test_the_lowest_validation_loss_chooses(plan_readings, tmp_path: Path) -> None:
    """For all seeds, of those that could be tried; nothing where none could, and the first where there is one."""
    study, folders, cell = plan_readings(tries=3)[0], Folders(tmp_path), Cell("probe", "random", 4, 1)
    assert choice(study, folders, cell) is None
    for number, loss in ((0, 0.5), (2, 0.25)):
        _write(folders, study.trials(cell)[number], validation=loss)
    assert tried(study, folders, cell) == {0: 0.5, 2: 0.25}
    assert choice(study, folders, cell) == 2
    _write(folders, study.trials(cell)[1], validation=0.1)
    assert choice(study, folders, cell) == choice(study, folders, Cell("probe", "random", 4, 0)) == 1
    assert choice(study, folders, Cell("probe", "random", 12, 0)) is None
    assert choice(plan_readings(tries=1)[0], folders, cell) == 0


def test_what_is_finished_is_found(plan_readings, tmp_path: Path) -> None:
    """Trials and cells of this study with what was written of them; a folder without a result is not finished."""
    study, folders = plan_readings()[0], Folders(tmp_path)
    trial, cell, begun = study.work[0], study.cells[0], study.cells[1]
    _write(folders, trial, seconds=1.5)
    _write(folders, cell, seconds=2.5)
    _write(folders, Cell("probe", "another", 4, 0), seconds=9)
    folders.of(begun).mkdir(parents=True)
    assert dict(finished(study, folders)) == {trial: {"seconds": 1.5}, cell: {"seconds": 2.5}}
