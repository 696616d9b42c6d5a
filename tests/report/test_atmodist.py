import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from toolkit.pretexts.atmodist_examine import distance_table
from toolkit.pretexts.lag_answers import accuracy, confusion, predictability
from toolkit.pretexts.lag_curves import FIELD_DISTANCES, Curves
from toolkit.pretexts.lags import Lags
from toolkit.report import theme
from toolkit.report.atmodist import distances, write_figures

LAGS = Lags(4, 6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tables of random answers and of curves that grow."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 4, 4))
    growing = np.array([1.0, 2.0, 2.5, 3.0]) + 0.1 * rng.normal(size=(50, 4))
    fields = {"l2": growing, "l1": growing / 2, "psnr": 30 - growing, "ssim": 1 - growing / 10}
    curves = Curves(LAGS, growing**2, fields)
    where = pd.DataFrame({"latitude": rng.uniform(-58, 58, 50), "longitude": rng.uniform(0, 360, 50)})
    where = where.assign(month=8, hour=rng.choice([0, 6, 12, 18], 50))
    tables = {
        "confusion": confusion(logits, LAGS),
        "accuracy": accuracy(logits, LAGS),
        "distance": distance_table(curves),
        "predictability": predictability(logits[:, 2], 2, where),
    }
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "scale.json").write_text(json.dumps({name: curves.scale(name) for name in FIELD_DISTANCES}))
    chance = {"top_1": 0.25, "top_3": 0.75, "top_1_over_chance": 1.0, "top_3_over_chance": 1.0}
    ratio = {"slope_ratio": 2.0, "slope_ratio_low": 1.5, "slope_ratio_high": None}
    (tmp_path / "summary.json").write_text(json.dumps({"classes": 4, "middle_hours": 18} | chance | ratio))
    return tmp_path


@pytest.mark.slow
def test_every_table_has_its_figure(folder: Path) -> None:
    """There is a picture beside each table, with something in it, and no stray file."""
    before = set(folder.iterdir())
    write_figures(folder, coastlines=False)
    made = {path.name: imread(path) for path in set(folder.iterdir()) - before}
    assert set(made) == {"confusion.png", "accuracy.png", "distance.png", "predictability.png"}
    assert all(picture[..., :3].std() > 0.01 for picture in made.values())


def test_curves_meet_at_the_middle_lag(folder: Path) -> None:
    """In the last panel every curve is 1 at the middle lag; a ratio without bound is said in words."""
    numbers = json.loads((folder / "summary.json").read_text())
    scale = json.loads((folder / "scale.json").read_text())
    with theme.style("wide"):
        *_, words, growth = distances(pd.read_csv(folder / "distance.csv"), scale, numbers).axes
    assert len(growth.lines) == 5
    assert all(line.get_ydata()[2] == pytest.approx(1) for line in growth.lines)
    assert "2.00 (1.50 to no bound)" in words.texts[0].get_text()
