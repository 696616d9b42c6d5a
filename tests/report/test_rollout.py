"""The picture of rollouts."""

from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toolkit.report import maps
from toolkit.report.rollout import STYLE, write_rollout_figure

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Draw without the mask of the land, which takes seconds to unpack, and keep the figures."""
    kept: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(maps, "_draw_land", lambda *_: None)

    def keep(figure: Figure, *args: Any, **named: Any) -> None:
        kept.append(figure)
        save(figure, *args, **named)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def written(folder: Path, growth: float, gap: bool = False) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """A folder as a pretext leaves it, with errors that grow so much a step; a gap leaves a start without interval."""
    hours = 6 * np.arange(1, 9)
    tables = []
    for number, method in enumerate(STYLE):
        rmse = (number + 1) * 0.1 * growth ** np.arange(8)
        half = np.full(8, np.nan) if gap else 0.1 * rmse
        tables.append(pd.DataFrame({"hours": hours, "method": method, "rmse": rmse, "low": rmse - half}))
        tables[-1]["high"] = rmse + half
    table = pd.concat(tables)
    table.to_csv(folder / "rollout.csv", index=False)
    truth, predicted = np.random.default_rng(0).normal(size=(2, 3, 33, 64)).astype(np.float16)
    if gap:
        truth[:, 5:9, 10:20] = np.nan
    np.savez_compressed(
        folder / "rollout.npz", latitude=np.linspace(90, -90, 33), longitude=np.arange(64) * 5.625,
        hours=np.array([6, 24, 48]), truth=truth, predicted=predicted, variable="a$", time="2001-01-02T06:00",
    )  # fmt: skip
    return table, truth, predicted


def panels(figure: Figure) -> list[Axes]:
    """The axes that show a field."""
    return [axes for axes in figure.axes if axes.get_images()]


@pytest.mark.parametrize(("growth", "scale"), [(1.05, "linear"), (1.5, "log")])
def test_the_curves_are_those_of_the_table(tmp_path: Path, figures: list[Figure], growth: float, scale: str) -> None:
    """A line and a band per method, in its own colour and marker; large growth is shown on a logarithmic axis."""
    table, _, _ = written(tmp_path, growth)
    assert write_rollout_figure(tmp_path) == tmp_path / "rollout.png"
    axes = figures[0].axes[0]
    assert axes.get_yscale() == scale
    assert len(axes.collections) == 3
    for line, (method, rows) in zip(axes.get_lines(), table.groupby("method", sort=False), strict=True):
        np.testing.assert_allclose(line.get_xydata(), rows[["hours", "rmse"]])
        assert str(line.get_label()).startswith(str(method))
        assert (line.get_color(), line.get_marker()) == STYLE[str(method)]
    assert matplotlib.image.imread(tmp_path / "rollout.png").shape[1] == 1800


def test_maps_share_a_scale_and_differ_by_the_error(tmp_path: Path, figures: list[Figure]) -> None:
    """A line of three maps per lead time, north up: what came, what was predicted, and that less this."""
    _, truth, predicted = written(tmp_path, 1.2, gap=True)
    write_rollout_figure(tmp_path, coastlines=True)
    found = panels(figures[0])
    assert len(found) == 9
    assert [axes.get_ylabel() for axes in found[::3]] == ["+6 h", "+24 h", "+48 h"]
    shown = [axes.get_images()[0] for axes in found]
    assert len({(image.norm.vmin, image.norm.vmax) for image in shown}) == 1
    assert shown[0].norm.vmin == -shown[0].norm.vmax
    for k in range(3):
        true, said, error = (image.get_array().filled(np.nan) for image in shown[3 * k : 3 * k + 3])
        np.testing.assert_array_equal(true, truth[k].astype(np.float32))
        np.testing.assert_array_equal(said, predicted[k].astype(np.float32))
        np.testing.assert_array_equal(error, said - true)
    assert shown[0].origin == "upper"
    assert shown[0].get_extent() == pytest.approx((-2.8125, 357.1875, -92.8125, 92.8125))
    assert figures[0].subfigs[1]._suptitle.get_text() == r"One of them: a\$ after 2001-01-02 06:00 UTC"


def test_without_rollouts_there_is_no_picture(tmp_path: Path) -> None:
    """A pretext that could not be stepped leaves nothing to draw."""
    assert write_rollout_figure(tmp_path) is None
    assert not list(tmp_path.iterdir())
