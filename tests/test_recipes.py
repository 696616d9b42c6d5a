import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from toolkit.backbones.weights import load_backbone
from toolkit.config import PretrainSettings, configured
from toolkit.errors import UserError
from toolkit.pretexts.draw import draw
from toolkit.pretexts.known import pretext_names
from toolkit.pretrain import Pretraining
from toolkit.pretrain_dry_run import estimate_pretraining
from toolkit.pretrain_run import made_ready, run_pretrain
from toolkit.recipes import recipe_files, settings_file
from toolkit.runfolder import RunFolder
from toolkit.told import Told

SMALL = (
    "dim=16", "depth=1", "heads=2", "batch_size=4", "max_steps=2", "first_steps=0", "precision=no", "device=cpu",
    "workers=0", "threads=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def era5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Zarr as ERA5 comes: winds of two years' first five days, 3-hourly, on a 2.8-degree grid."""
    rng, latitude, longitude = np.random.default_rng(3), np.linspace(90, -90, 65), np.arange(128) * 2.8125
    time = np.concatenate(
        [np.datetime64(f"{year}-08-01", "ns") + np.arange(40) * np.timedelta64(3, "h") for year in (2001, 2002)]
    )
    hours = (time - time[0]) / np.timedelta64(1, "h")
    fields = {}
    for name in ("u_component_of_wind", "v_component_of_wind"):
        wind = rng.normal(0, 0.3, (len(time), 1, 65, 128))
        for m in rng.integers(1, 9, 6):
            phase = m * np.radians(longitude) - rng.uniform(0, 0.2) * hours[:, None, None]
            wind[:, 0] += 4 * rng.normal() * np.cos(phase) * np.cos(m * np.radians(latitude))[:, None] ** 2
        fields[name] = (("time", "level", "latitude", "longitude"), wind.astype(np.float32), {"units": "m s**-1"})
    coordinates = {"time": time, "level": ("level", [850], {"units": "hPa"}), "latitude": latitude}
    folder = tmp_path_factory.mktemp("era5")
    xr.Dataset(fields, coordinates | {"longitude": longitude}).to_zarr(folder / "fields.zarr", consolidated=False)
    return folder


def small(name: str, world: Path) -> PretrainSettings:
    """A recipe on a small world: a smaller network, windows and batches, two steps, everything else as it is."""
    file = recipe_files()[name]
    side = 64 if "backbone: resnet" in file.read_text() else 32
    settings = configured(PretrainSettings, file, [f"worlds=[{world}]", f"window=[{side}, {side}]", *SMALL])
    if missing := settings.pretext.keys() - set(pretext_names()):
        pytest.skip(f"no pretext {', '.join(missing)} is installed")
    return settings


def test_every_pretext_has_a_recipe() -> None:
    """What comes with the toolkit can be trained at full size by name, and there is one for several together."""
    assert set(recipe_files()) >= {"combined", *pretext_names()}


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_files())
def test_a_recipe_trains(name: str, era5: Path, tmp_path: Path) -> None:
    """Every recipe, made small, takes its steps on fields as ERA5 has them and ends with a backbone."""
    folder = run_pretrain(small(name, era5), RunFolder(tmp_path / "run", False, False, ()), Told())
    assert folder is not None
    steps = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == [0, 1]
    assert load_backbone(folder).card.name == f"{name}-era5"


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_files())
def test_a_recipe_hides_patches_from_who_looks_for_them(name: str, era5: Path) -> None:
    """Where it hides any, its loss goes by which they are; otherwise they would be drawn for nothing."""
    ready = made_ready(small(name, era5), Told())
    views = draw(ready.windows, ready.recipe, ready.normalisation, 2, 0)
    model = Pretraining(ready.recipe, 0).eval()
    others = replace(views, seen=torch.zeros_like(views.seen), hidden=~views.hidden)
    with torch.no_grad():
        assert not ready.recipe.hidden or model(views) != model(others)


def test_atmodist_is_that_of_the_papers() -> None:
    """The numbers of its recipe are the published ones; the weight makes of the loss the cross-entropy itself."""
    settings = configured(PretrainSettings, recipe_files()["atmodist"], ["worlds=[a]"])
    assert (settings.optimizer, settings.lr, settings.batch_size, settings.gradient_norm) == ("sgd", 0.1, 128, 5.0)
    assert (settings.first_steps, settings.first_batches) == (20 * 2000, 2000)
    assert settings.plateau_steps == 20 * (58440 - 31) * 23 // 31 // 128
    assert settings.max_steps == settings.first_steps + 60 * settings.plateau_steps
    assert settings.pretext["atmodist"] == pytest.approx(np.log(23), abs=1e-4)
    assert (settings.variables, settings.window) == (("divergence", "vorticity"), (160, 160))


@pytest.mark.slow
def test_a_recipe_can_be_estimated(era5: Path) -> None:
    """A dry run of AtmoDist's recipe knows the encoder's published size and the tail's."""
    expected = estimate_pretraining(small("atmodist", era5), Told())
    assert expected is not None
    assert (expected.encoder, expected.encoder + expected.modules["atmodist"]) == (2_271_920, 2_741_552)


def test_a_recipe_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is a recipe's where there is no such file; a path stays what it is, and a near miss is told."""
    monkeypatch.chdir(tmp_path)
    assert settings_file(Path("dino")) == recipe_files()["dino"]
    assert settings_file(None) is None
    for path in (Path("dino.yaml"), Path("folder/dino")):
        assert settings_file(path) == path
    with pytest.raises(UserError, match=r"No file or recipe 'atmodits'\. Did you mean 'atmodist'\?"):
        settings_file(Path("atmodits"))
    Path("dino").write_text("name: own\n")
    assert settings_file(Path("dino")) == Path("dino")
