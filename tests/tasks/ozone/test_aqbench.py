"""AQ-Bench: the real file, and a small one in its exact layout."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.ozone.aqbench import COORDINATES, PREDICTORS, TARGETS, is_aqbench, predictors, read_aqbench
from toolkit.errors import UserError
from toolkit.finetune_run import run_finetune
from toolkit.runfolder import RunFolder
from toolkit.task_settings import task_and_settings
from toolkit.told import Told

HEADER = (
    "id,country,htap_region,climatic_zone,lon,lat,alt,relative_alt,type,type_of_area,water_25km,"
    "evergreen_needleleaf_forest_25km,evergreen_broadleaf_forest_25km,deciduous_needleleaf_forest_25km,"
    "deciduous_broadleaf_forest_25km,mixed_forest_25km,closed_shrublands_25km,open_shrublands_25km,"
    "woody_savannas_25km,savannas_25km,grasslands_25km,permanent_wetlands_25km,croplands_25km,"
    "urban_and_built-up_25km,cropland-natural_vegetation_mosaic_25km,snow_and_ice_25km,"
    "barren_or_sparsely_vegetated_25km,wheat_production,rice_production,nox_emissions,no2_column,population_density,"
    "max_population_density_5km,max_population_density_25km,nightlight_1km,nightlight_5km,max_nightlight_25km,"
    "o3_average_values,o3_daytime_avg,o3_nighttime_avg,o3_median,o3_perc25,o3_perc75,o3_perc90,o3_perc98,o3_dma8eu,"
    "o3_avgdma8epax,o3_drmdmax1h,o3_w90,o3_aot40,o3_nvgt070,o3_nvgt100,dataset"
)
LAND = ",".join(["5.5"] * 17)
ROWS = (
    f"3336,Germany,EUR,cool_moist,8.3,54.9,12,3,background,rural,{LAND},0.6,0,0.67,2.27,953,953,1017,46,20.73,56,"
    "33.4,34.7,-999,35.3,25.9,41.2,46.4,54.8,53.5,38.8,50.7,86.1,10197.4,2,-999,test",
    f"40,Japan,EAS,warm_moist,140.1,35.6,30,1,industry,urban,{LAND},0,0.1,9.5,-999,4000,4100,9000,63,63,63,"
    "28.1,33.0,24.0,27.0,15.0,40.0,50.0,70.0,60.0,40.0,55.0,300,12000,20,1,train",
)


def write(folder: Path, *rows: str, header: str = HEADER) -> Path:
    """A file with this header and these rows."""
    path = folder / "aqbench.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_the_layout_is_read(tmp_path: Path) -> None:
    """Numbers are numbers, words are words, -999 is missing, and a station's number is text."""
    path = write(tmp_path, *ROWS)
    table, left_out = read_aqbench(path)
    assert is_aqbench(path)
    assert left_out == {}
    assert list(table) == ["group", *COORDINATES, *PREDICTORS, *TARGETS, "dataset"]
    first, second = table.iloc[0], table.iloc[1]
    assert first[["group", "latitude", "longitude", "type_of_area", "dataset"]].tolist() == [
        "3336",
        54.9,
        8.3,
        "rural",
        "test",
    ]
    assert np.isnan(first["o3_nighttime_avg"])
    assert np.isnan(second["no2_column"])
    assert (first["o3_aot40"], second["population_density"]) == (10197.4, 4000)


@pytest.mark.slow
def test_the_network_is_trained_again_with_the_validation_stations(tmp_path: Path) -> None:
    """First on the training stations, until validation says when; then for as many epochs on both, without it."""
    rng = np.random.default_rng(0)
    rows = []
    for number, part in enumerate(["train"] * 96 + ["val"] * 32 + ["test"] * 16):
        fields = ROWS[1].split(",")
        fields[0], fields[6], fields[-1] = str(number), f"{rng.uniform(0, 3000):.0f}", part
        fields[HEADER.split(",").index("o3_average_values")] = f"{20 + float(fields[6]) / 150:.2f}"
        rows.append(",".join(fields))
    options = {"data": write(tmp_path, *rows), "batch_size": 16, "epochs": 5, "least_steps": 30, "baselines": False}
    task, settings = task_and_settings("ozone", None, (), options)
    folder = tmp_path / "run"
    run_finetune(task, settings, RunFolder(folder, False, False, ()), Told())
    first, again = (pd.read_json(path / "metrics.jsonl", lines=True) for path in (folder, folder / "refit"))
    best = first["step"][first["validation"].idxmin()] + 1
    assert len(again) == round(best * 128 / 96)
    assert "validation" not in again


def test_where_a_station_is_predicts_only_if_asked_for() -> None:
    """34 predictors, none of them a coordinate; two more on demand; fifteen statistics in ppb, ppb h and days."""
    assert len(PREDICTORS) == 34
    assert not {*COORDINATES, "lon", "lat"} & set(predictors(coordinates=False))
    assert predictors(coordinates=True) == (*PREDICTORS, *COORDINATES)
    assert pd.Series([target.unit for target in TARGETS.values()]).value_counts().to_dict() == {
        "ppb": 11,
        "ppb h": 2,
        "days": 2,
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (",953,953,", ",many,953,", r"line 2: 'many' in the column 'population_density' is not a number"),
        (",test", ",holdout", r"line 2: dataset 'holdout' is none of train, val, test"),
        ("40,Japan", "3336,Japan", r"lines 2 and 3 contradict each other about 3336: country Germany and Japan"),
    ],
)
def test_bad_rows_are_an_error_that_says_where(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Each names file, line and value."""
    with pytest.raises(UserError, match=said):
        read_aqbench(write(tmp_path, *(row.replace(old, new) for row in ROWS)))


def test_it_is_known_by_semicolons_and_quotes_too(tmp_path: Path) -> None:
    """As spreadsheets save it."""
    quoted = ",".join(f'"{name}"' for name in HEADER.split(","))
    for header, separator in ((HEADER, ";"), (quoted, ",")):
        path = write(tmp_path, *(row.replace(",", separator) for row in ROWS), header=header.replace(",", separator))
        assert is_aqbench(path)
        assert len(read_aqbench(path)[0]) == 2


def test_a_repeated_row_is_counted(tmp_path: Path) -> None:
    """It is left out and said."""
    table, left_out = read_aqbench(write(tmp_path, *ROWS, ROWS[0]))
    assert (len(table), left_out) == (2, {"rows that are there twice": 1})


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """With the near miss; such a file is still known by its header, a table of stations is not."""
    path = write(tmp_path, *ROWS, header=HEADER.replace("o3_median", "o3_mean"))
    assert is_aqbench(path)
    with pytest.raises(UserError, match=r"No column of .*aqbench\.csv 'o3_median'"):
        read_aqbench(path)
    assert not is_aqbench(write(tmp_path, "A,2020-07-01,3", header="station,date,mda8_ppb"))
    assert not is_aqbench(tmp_path)


def test_the_real_file(real_data: Path) -> None:
    """5,577 stations, the official split, every predictor known, and as many gaps as the file has -999."""
    path = real_data / "ozone" / "AQbench_dataset.csv"
    table, left_out = read_aqbench(path)
    assert is_aqbench(path)
    assert left_out == {}
    assert table["dataset"].value_counts().to_dict() == {"train": 3348, "test": 1115, "val": 1114}
    assert table["group"].is_unique
    assert table[list(PREDICTORS)].notna().all(axis=None)
    assert table["o3_average_values"].notna().all()
    assert table[list(TARGETS)].isna().sum().sum() == (pd.read_csv(path) == -999).sum().sum()
    assert table["o3_average_values"].between(0, 80).all()
