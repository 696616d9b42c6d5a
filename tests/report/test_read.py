"""Reading a run folder, and every way in which it can be wrong."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolkit.errors import UserError
from toolkit.report.read import FILES, LabelFile, read_run

Rewrite = Callable[[Path, Callable[[dict[str, Any]], object]], None]


def test_a_finished_run_is_read_whole(finished_run: Path) -> None:
    """Every file of the folder arrives in its place."""
    run = read_run(finished_run)
    assert run.results.labels == 64
    assert run.world is not None
    assert run.world.simulated
    assert run.simulated
    assert run.data is None
    assert run.split.apart.gap_days == 5
    assert run.split.parts["train"].years == (2001, 2002)
    assert len(run.curve) == 600
    assert run.scratch_curve is not None
    assert set(run.tables.truth["group"]) == set(run.split.parts["test"].groups)
    assert str(run.tables.truth["time"].dtype).startswith("datetime64")


def test_a_run_without_a_comparison_is_whole_too(run_folder: Path, rewrite: Rewrite) -> None:
    """Neither the curve from scratch nor its scores are required."""
    (run_folder / "scratch" / "metrics.jsonl").unlink()
    rewrite(run_folder / "results.json", lambda content: content.pop("comparison"))
    run = read_run(run_folder)
    assert run.scratch_curve is None
    assert run.results.comparison is None


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(run_folder: Path, name: str) -> None:
    """Each of the required files is missed by name."""
    (run_folder / name).unlink()
    with pytest.raises(UserError, match=name):
        read_run(run_folder)


def test_all_missing_files_are_named_at_once(run_folder: Path) -> None:
    """Two missing files make one error."""
    (run_folder / "env.json").unlink()
    (run_folder / "truth.csv").unlink()
    with pytest.raises(UserError, match=r"env\.json, truth\.csv"):
        read_run(run_folder)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A wrong path is told from an unfinished run."""
    with pytest.raises(UserError, match="No run folder"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.yaml", "results.json"])
@pytest.mark.parametrize(("text", "said"), [("{", "cannot be read"), ("[1]", "holds list")])
def test_a_file_that_holds_no_mapping_is_named(run_folder: Path, name: str, text: str, said: str) -> None:
    """Broken YAML and JSON, and JSON of another kind, are refused."""
    (run_folder / name).write_text(text)
    with pytest.raises(UserError, match=f"{name} {said}"):
        read_run(run_folder)


def test_every_wrong_entry_is_named_at_once(run_folder: Path, rewrite: Rewrite) -> None:
    """A missing unit and a word for a number are told by their places."""

    def spoil(content: dict[str, Any]) -> None:
        del content["metrics"]["pod"]["unit"]
        content["labels"] = "many"

    rewrite(run_folder / "results.json", spoil)
    with pytest.raises(UserError, match=r"labels: .*metrics\.pod\.unit: field required"):
        read_run(run_folder)


def test_a_configuration_without_a_world_is_refused(run_folder: Path) -> None:
    """Whether the world is simulated must be known."""
    (run_folder / "config.yaml").write_text("world: {path: here, sha256: abc}")
    with pytest.raises(UserError, match=r"config\.yaml: world\.simulated: field required"):
        read_run(run_folder)


def test_a_run_on_a_table_alone_has_no_world(run_folder: Path) -> None:
    """A task that looks at no fields was given a file of labels, and nothing of it is simulated."""
    config = yaml.safe_load((run_folder / "config.yaml").read_text())
    config |= {"world": None, "data": {"path": "stations.csv", "sha256": "abc"}}
    (run_folder / "config.yaml").write_text(yaml.safe_dump(config))
    run = read_run(run_folder)
    assert run.world is None
    assert run.data == LabelFile("stations.csv", "abc")
    assert not run.simulated
    assert not run.tables.simulated


def test_parts_without_times_have_no_years(run_folder: Path, rewrite: Rewrite) -> None:
    """Rows without a time leave no span."""
    rewrite(run_folder / "split.json", lambda content: content["parts"]["train"].update(spans=[]))
    assert read_run(run_folder).split.parts["train"].years == ()


def test_a_primary_metric_that_was_not_scored_has_a_near_miss(run_folder: Path, rewrite: Rewrite) -> None:
    """The primary metric must be one of the metrics."""
    rewrite(run_folder / "results.json", lambda content: content.update(primary="mean_center_error"))
    with pytest.raises(UserError, match="Did you mean 'mean_centre_error'"):
        read_run(run_folder)


def test_null_is_an_undefined_score(run_folder: Path, rewrite: Rewrite) -> None:
    """JSON has no NaN; null stands for it."""
    rewrite(run_folder / "results.json", lambda content: content["metrics"]["pod"].update(value=None))
    assert math.isnan(read_run(run_folder).results.metrics["pod"].value)


@pytest.mark.parametrize(("line", "said"), [("{half", "line 601"), ('{"step": 600}', "'step' and 'loss'")])
def test_a_broken_line_of_a_curve_is_named(run_folder: Path, line: str, said: str) -> None:
    """A cut line and a line without a loss are refused."""
    with (run_folder / "metrics.jsonl").open("a") as stream:
        stream.write(line)
    with pytest.raises(UserError, match=said):
        read_run(run_folder)


@pytest.mark.parametrize(("text", "said"), [("", "cannot be read"), ("a,b\n1,2\n", "no column 'example'")])
def test_a_table_without_its_column_is_named(run_folder: Path, text: str, said: str) -> None:
    """An empty file and a file about something else are refused."""
    (run_folder / "predictions.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        read_run(run_folder)


def test_names_of_groups_that_look_like_numbers_stay_names(run_folder: Path) -> None:
    """A station called 007 keeps its zeros."""
    (run_folder / "truth.csv").write_text("example,group,latitude,longitude\n0,007,10.0,20.0\n")
    assert read_run(run_folder).tables.truth["group"].tolist() == ["007"]


def test_a_table_without_rows_has_numbers(run_folder: Path) -> None:
    """What states nothing of any window can be drawn all the same."""
    file = run_folder / "predictions.csv"
    file.write_text(file.read_text().splitlines()[0] + "\n")
    table = read_run(run_folder).tables.predictions
    assert table.empty
    assert table["latitude"].dtype == float
