import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml

from tasks.hurricane.baselines import BASELINES
from toolkit.backbones.weights import load_backbone
from toolkit.data.world_identity import made_by
from toolkit.predict import PredictResult
from toolkit.runfolder import MARK, write_environment


def _listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_run_folder_holds_everything_and_can_be_read_again(command, finished: Path, tiny_world: Path) -> None:
    """A finished run has all its files, says which world it saw, and its own config.yaml is valid for another run."""
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "config.yaml", "env.json", "split.json", "metrics.jsonl", "checkpoints", "adapter", "head.safetensors",
        "model.json", "predictions.csv", "truth.csv", "results.json", "report.html", "plots", "scratch",
    }  # fmt: skip
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert config["world"]["path"] == str(tiny_world.resolve())
    assert config["world"]["simulated"] is True
    assert command("config", "validate", finished / "config.yaml").exit_code == 0


@pytest.mark.slow
def test_evaluation_of_a_saved_run_gives_its_own_scores(command, finished: Path) -> None:
    """The model that was saved, loaded again, scores on its test part exactly as it did at the end of training."""
    answer = command("evaluate", finished, "--json", "-q")
    assert answer.exit_code == 0, answer.stderr
    metrics = json.loads(answer.stdout)["metrics"]
    assert metrics == json.loads((finished / "results.json").read_text())["metrics"]
    assert json.loads((finished / "evaluation.json").read_text())["metrics"] == metrics
    assert "position_error_24h" in command("evaluate", finished, "-q").stdout


@pytest.mark.slow
@pytest.mark.parametrize("method", ["probe", "full", "scratch"])
def test_every_method_ends_with_a_report_and_a_model(command, finetune, tmp_path: Path, method: str) -> None:
    """The other methods too write a report, and a model that scores the same when it is loaded again."""
    folder = tmp_path / "run"
    answer = finetune("--method", method, "--no-compare", "--no-baselines", "--out", folder, "--json")
    assert answer.exit_code == 0, answer.stderr
    assert (folder / "report.html").is_file()
    again = json.loads(command("evaluate", folder, "--json", "-q").stdout)
    assert again["metrics"] == json.loads(answer.stdout)["metrics"]


@pytest.mark.slow
def test_a_finished_run_resumes_to_the_same_results(finetune, finished: Path, tmp_path: Path) -> None:
    """`--resume` on a finished run trains nothing further and states the same scores."""
    folder = shutil.copytree(finished, tmp_path / "run")
    answer = finetune("--no-baselines", "--out", folder, "--resume", "--json")
    assert answer.exit_code == 0, answer.stderr
    assert json.loads(answer.stdout)["metrics"] == json.loads((finished / "results.json").read_text())["metrics"]
    assert (folder / "head.safetensors").read_bytes() == (finished / "head.safetensors").read_bytes()
    other = finetune("--no-baselines", "--out", folder, "--resume", "seed=1")
    assert other.exit_code == 1
    assert "seed: 0 -> 1" in other.stderr


@pytest.mark.slow
def test_the_report_is_written_again_byte_for_byte(command, finished: Path) -> None:
    """`toolkit report` makes the page from the run folder alone, the same one."""
    before = (finished / "report.html").read_bytes()
    (finished / "report.html").unlink()
    assert command("report", finished).stdout == f"Report: {finished / 'report.html'}\n"
    assert (finished / "report.html").read_bytes() == before


@pytest.mark.slow
def test_the_table_compares_with_scratch_and_baselines(finetune, tmp_path: Path) -> None:
    """At the end the command prints each metric with its interval beside scratch and the best baseline."""
    answer = finetune("--out", tmp_path / "run")
    assert answer.exit_code == 0, answer.stderr
    head, *lines = answer.stdout.splitlines()
    assert head.split() == ["metric", "lora", "95", "%", "interval", "unit", "better", "scratch", "best", "baseline"]
    row = next(line for line in lines if line.startswith("mean_centre_error"))
    assert "[" in row
    assert "km" in row
    assert row.endswith(")")
    assert lines[-1] == f"Report: {tmp_path / 'run' / 'report.html'}"


@pytest.mark.slow
def test_a_model_runs_over_whole_fields(command, finished: Path, tiny_world: Path, tmp_path: Path) -> None:
    """`toolkit predict` writes a table of detections for fields that it was never cut from."""
    with xr.open_zarr(tiny_world / "fields.zarr", consolidated=False) as fields:
        fields.isel(time=slice(0, 2)).to_netcdf(tmp_path / "two.nc")
    answer = command("predict", finished, "--fields", tmp_path / "two.nc", "--out", tmp_path / "out", "--json", "-q")
    assert answer.exit_code == 0, answer.stderr
    assert json.loads(answer.stdout)["times"] == 2
    assert (tmp_path / "out" / "detections.csv").read_text().startswith("time,latitude,longitude,probability")


@pytest.mark.slow
def test_a_dry_run_says_what_it_takes_and_writes_nothing(finetune, tmp_path: Path) -> None:
    """`--dry-run` gives windows, steps, parameters, memory and time; the output folder does not appear."""
    answer = finetune("--out", tmp_path / "run", "--dry-run", "--json")
    assert answer.exit_code == 0, answer.stderr
    said = json.loads(answer.stdout)
    assert set(said["windows"]) == {"train", "validation", "test"}
    assert said["steps"] == {"lora": 4, "scratch": 4}
    assert 0 < said["trainable"] < said["parameters"]
    assert said["seconds"] > 4 * said["seconds_per_step"] > 0
    assert said["peak_memory_bytes"] > 2**20
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_pretrained_backbone_loads_and_its_recipe_makes_it_again(command, tiny_world: Path, tmp_path: Path) -> None:
    """`toolkit pretrain` writes a backbone folder whose recipe.yaml, given back, gives the same weights."""
    shape = ("dim=16", "depth=1", "heads=2", "--max-steps", "3", "--batch-size", "4", "--threads", "1", "-q")
    words = ("--world", tiny_world, "--pretext", "masked=0.5", "--pretext", "lagrangian", "--name", "tiny")
    answer = command("pretrain", *shape, *words, "--out", tmp_path / "a", "--json")
    assert answer.exit_code == 0, answer.stderr
    folder = Path(json.loads(answer.stdout)["backbone"])
    assert folder == tmp_path / "a" / "tiny"
    backbone = load_backbone(folder)
    assert backbone.card.pretexts == {"masked": 0.5, "lagrangian": 1.0}
    assert backbone.card.readouts == ("displacement_24h",)
    assert str(tiny_world.parent) not in (folder / "config.json").read_text() + (folder / "recipe.yaml").read_text()
    again = command("pretrain", "-c", folder / "recipe.yaml", "--world", tiny_world, "--out", tmp_path / "b", "-q")
    assert again.exit_code == 0, again.stderr
    assert (tmp_path / "b" / "tiny" / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    refused = command("pretrain", "-c", folder / "recipe.yaml", "--world", tiny_world, "--out", tmp_path / "b", "-q")
    assert refused.exit_code == 1
    assert "--resume" in refused.stderr
    shutil.rmtree(tmp_path / "b" / "tiny")
    resumed = ("-c", folder / "recipe.yaml", "--world", tiny_world, "--out", tmp_path / "b", "--resume", "-q")
    assert command("pretrain", *resumed).exit_code == 0
    assert (tmp_path / "b" / "tiny" / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_a_misspelt_task_names_the_near_miss(command) -> None:
    """An unknown task ends in one line that says which one was meant."""
    answer = command("finetune", "huricane")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr == "Error: No task 'huricane'. Did you mean 'hurricane'?\n"


def test_all_wrong_settings_are_told_before_anything_begins(finetune, tmp_path: Path) -> None:
    """Flags, overrides and file are judged together, in one message, before a folder is made."""
    answer = finetune("lora_rnk=4", "--lr", "0", "--method", "lorra", "--out", tmp_path / "run")
    assert (answer.exit_code, answer.stdout) == (1, "")
    for said in ("Did you mean 'lora_rank'?", "'lr' is 0", "'method' is 'lorra'"):
        assert said in answer.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--world", "nowhere"), "There is no world folder nowhere. Make one with `toolkit data world nowhere`."),
        (("--world", "."), ". is not a world folder"),
        (("--backbone", "shalow"), "No backbone 'shalow'."),
        (("--labels", "5000"), "--labels 5000 asks for more than the 12 labelled groups"),
        (("--device", "cuda"), "There is no CUDA device"),
        (("--precision", "fp16"), "fp16 needs a CUDA device"),
        (("--resume", "--overwrite"), "give one of them"),
        (("--method", "scratch", "--lora-rank", "4"), "--lora-rank is for --method lora, not scratch: leave it out."),
        (("not-a-setting",), "'not-a-setting' is not KEY=VALUE"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    """A missing world, an unknown backbone, too many labels and the like are one error each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    answer = finetune("--out", tmp_path / "run", *words)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("Error: ")
    assert said in answer.stderr
    assert not (tmp_path / "run" / "results.json").exists()


def test_a_folder_that_holds_something_is_left_alone(finetune, tmp_path: Path) -> None:
    """Without --resume or --overwrite nothing in a folder changes; a folder that is no run is never overwritten."""
    (tmp_path / "thesis.txt").write_text("mine")
    for words, said in (
        ((), "--resume to go on"),
        (("--overwrite",), "not a run folder"),
        (("--resume",), "no run to resume"),
    ):
        answer = finetune("--out", tmp_path, *words)
        assert answer.exit_code == 1
        assert said in answer.stderr
    assert _listing(tmp_path) == {"thesis.txt": b"mine"}


@pytest.mark.parametrize("damage", ["units", "truncated"])
def test_a_broken_world_is_refused_before_the_folder_is_made(
    finetune, tiny_world: Path, tmp_path: Path, damage: str
) -> None:
    """Winds in kilograms and a Zarr whose pieces are cut short end in one error, and no run folder appears."""
    world = shutil.copytree(tiny_world, tmp_path / "world")
    if damage == "units":
        metadata = next(world.glob("fields.zarr/u_component_of_wind/zarr.json"))
        metadata.write_text(metadata.read_text().replace("m s**-1", "kg"))
    else:
        pieces = [path for path in world.glob("fields.zarr/u_component_of_wind/c/**/*") if path.is_file()]
        pieces[0].write_bytes(pieces[0].read_bytes()[:100])
    answer = finetune("--world", world, "--out", tmp_path / "run")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("Error: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_fields_of_a_finer_grid_are_brought_to_the_backbones(
    command, finetune, shipped_world: Path, tiny_world: Path, tmp_path: Path
) -> None:
    """A world of 1.4 degrees is trained and scored on by a backbone of 2.8, and so is one on the backbone's grid."""
    run = tmp_path / "run"
    answer = finetune("--world", shipped_world, "--no-compare", "--no-baselines", "--out", run, "--json")
    assert answer.exit_code == 0, answer.stderr
    again = json.loads(command("evaluate", run, "--json", "-q").stdout)
    assert again["metrics"] == json.loads(answer.stdout)["metrics"]
    assert again["world"]["path"] == str(shipped_world)
    other = json.loads(command("evaluate", run, "--world", tiny_world, "--json", "-q").stdout)
    assert other["world"]["path"] == str(tiny_world)
    assert other["windows"] > 0


@pytest.mark.parametrize("name", ["evaluate", "report"])
def test_a_folder_that_is_no_run_is_refused(command, tmp_path: Path, name: str) -> None:
    """Commands on a finished run say what is missing in a folder that is none, and in one that is not there."""
    assert "config.yaml is missing" in command(name, tmp_path).stderr
    for content, said in (("seed: [", "config.yaml is not YAML"), ("seed: 0", "does not say which task it is of")):
        (tmp_path / "config.yaml").write_text(content)
        assert said in command(name, tmp_path).stderr
    answer = command(name, tmp_path / "nothing")
    assert answer.exit_code == 1
    assert "There is no run folder" in answer.stderr
    (tmp_path / "config.yaml").write_text("task: hurricane\nladder: {}\n")
    write_environment(tmp_path, ["toolkit", "study", "hurricane"])
    said = f"{tmp_path} is a study, not a run: its report is {tmp_path / 'report.html'}, which is written again by "
    assert command(name, tmp_path).stderr == f"Error: {said}toolkit study hurricane --resume\n"
    file = tmp_path / "config.yaml"
    assert f"{file} is a file of a run: give its folder, {tmp_path}." in command(name, file).stderr


def test_thresholds_are_numbers_with_or_without_a_name(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--threshold` may be repeated with names; what is no number is refused before the model is looked for."""
    asked: list[dict[str, float]] = []

    def predict(*given: Any) -> PredictResult:
        asked.append(given[-1].thresholds)
        return PredictResult(tmp_path, 0, 0, {}, ())

    monkeypatch.setattr("toolkit.predict_run.predict_run", predict)
    (tmp_path / "config.yaml").write_text("task: hurricane")
    words = ("predict", tmp_path, "--out", tmp_path / "out", "-q")
    assert command(*words, "--threshold", "0.3").exit_code == 0
    assert command(*words, "--threshold", "heat=.2", "--threshold", "blocking=1").exit_code == 0
    refused = command(*words, "--threshold", "heat=much")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "--threshold heat=much is no number, nor NAME=NUMBER" in refused.stderr
    assert asked == [{"": 0.3}, {"heat": 0.2, "blocking": 1.0}]


def test_a_weight_that_is_no_number_is_told(command, tiny_world: Path, tmp_path: Path) -> None:
    """`--pretext NAME=WEIGHT` and the pretext's name are checked before any field is read."""
    words = ("pretrain", "--world", tiny_world, "--out", tmp_path / "run", "-q")
    assert "'pretext.masked' is 'much'" in command(*words, "--pretext", "masked=much").stderr
    assert "Did you mean 'masked'?" in command(*words, "--pretext", "maskd").stderr
    assert not (tmp_path / "run").exists()


def test_several_processes_share_training_and_nothing_else(
    command, finetune, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Under a launcher all commands but pretrain and finetune are refused, and so is a dry run."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    for answer in (command("evaluate", tmp_path), command("backbones"), finetune("--dry-run")):
        assert (answer.exit_code, answer.stdout) == (1, "")
        assert "is done by one process, not by 2" in answer.stderr
    assert "'max_steps' is 0" in command("pretrain", "--world", tmp_path, "--max-steps", "0").stderr


@pytest.mark.slow
def test_what_cannot_begin_leaves_the_run_before_it_as_it_was(finetune, tmp_path: Path) -> None:
    """A budget or a backbone that does not fit is told before --overwrite removes anything, or a folder is made."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(MARK + "seed: 0")
    (run / "results.json").write_text("{}")
    before = _listing(run)
    for words, said in ((("--labels", "9999"), "9999"), (("--backbone", "fluid-vit"), "fluid-vit")):
        answer = finetune(*words, "--out", run, "--overwrite")
        assert (answer.exit_code, said in answer.stderr) == (1, True)
        assert finetune(*words, "--out", tmp_path / "new").exit_code == 1
    assert _listing(run) == before
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_what_could_not_be_fitted_and_what_was_seen_before_are_notes(
    finetune, tiny_world: Path, random_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model and the other baselines are scored all the same; weather known from the pretraining is told."""

    def fails(*_: object) -> None:
        raise ValueError("too few storms")

    monkeypatch.setitem(BASELINES, "matched template + wind patterns", fails)
    described = shutil.copytree(random_backbone, tmp_path / "seen") / "config.json"
    world = made_by(tiny_world) | {"path": "tiny", "from": "2001-01-01", "to": "2099-12-31"}
    described.write_text(json.dumps(json.loads(described.read_text()) | {"data": {"worlds": [world]}}))
    answer = finetune("--no-compare", "--backbone", tmp_path / "seen", "--out", tmp_path / "run", "--json")
    assert answer.exit_code == 0, answer.stderr
    results, page = json.loads(answer.stdout), (tmp_path / "run" / "report.html").read_text()
    assert set(results["baselines"]) == set(BASELINES) - {"matched template + wind patterns"}
    for said in (
        "the baseline matched template + wind patterns could not be fitted: ValueError: too few storms",
        "on tiny, 2001-01-01 to 2099-12-31: 100% of the test part is weather that it has seen",
    ):
        assert any(said in note for note in results["notes"])
        assert said in page
