"""From the folders of a study to its table, and the files for other tools: study.csv and labels_saved.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from toolkit.backbones.card import backbone_folder, read_card
from toolkit.config import FinetuneSettings
from toolkit.evaluate import plain_values
from toolkit.files import write_json, write_text
from toolkit.known_weather import known_weather
from toolkit.metrics import Scores
from toolkit.origin import identity
from toolkit.runfolder import as_begun
from toolkit.split import FEWEST_VALIDATION_GROUPS, TEST, VALIDATION_SHARE
from toolkit.study.cells import SCORES, completed
from toolkit.study.curves import metric_curves
from toolkit.study.ground import Ground
from toolkit.study.plan import FIRST_SEED, SCRATCH, Cell, Folders, Study
from toolkit.study.recorded import choice, read_scores, tried
from toolkit.study.saving import labels_saved_content
from toolkit.study.table import COLUMNS, Line, StudyTable

OfLines = dict[Line, dict[int, dict[int, Scores]]]


def gathered(
    study: Study,
    on: Ground,
    root: Path,
    failed: Mapping[str, str],
    command: Sequence[str],
) -> StudyTable:
    """Read what is finished and compare it; writes study.csv and labels_saved.json."""
    folders, task = Folders(root), on.task
    scores, rows = _read(study, on, folders)
    curves = metric_curves(task.metrics, scores, task.groups)
    table = StudyTable(
        task=task.name,
        primary=task.primary,
        groups=task.groups,
        test_groups=len(on.material.groups(TEST)),
        metrics=curves,
        cells=pd.DataFrame(rows, columns=list(COLUMNS)),
        chosen=tuple(_choices(study, folders)),
        failed=failed,
        about=_about(study, on, root, command),
    )
    write_text(root / "study.csv", table.cells.to_csv(index=False))
    write_json(root / "labels_saved.json", labels_saved_content(curves.values()))
    return table


def line_of(cell: Cell, study: Study) -> Line:
    """Return whose curve a cell is a point of."""
    if cell.method in study.baselines:
        return Line(cell.method, "", "classical")
    return Line(cell.method, cell.backbone, "scratch" if cell.method == SCRATCH else "pretrained")


def _read(study: Study, on: Ground, folders: Folders) -> tuple[OfLines, list[tuple[Any, ...]]]:
    """Return the scores of all finished cells by line, and the rows of the tidy table.

    Both have the lines in the order of the study, a completion's after that of scratch, and few labels first.
    """
    of_line: dict[Line, list[tuple[Cell, str]]] = {}
    for cell in sorted(study.cells, key=lambda cell: cell.labels):
        for line, file in _files(cell, study, on).items():
            of_line.setdefault(line, []).append((cell, file))
    scores: OfLines = {}
    rows: list[tuple[Any, ...]] = []
    units = {metric.name: metric.unit for metric in on.task.metrics}
    for line, parts in of_line.items():
        for cell, file in parts:
            if not folders.is_finished(cell):
                continue
            took = json.loads(folders.result(cell).read_text())
            found = read_scores(folders.of(cell) / file, on.task.metrics)
            scores.setdefault(line, {}).setdefault(cell.labels, {})[cell.seed] = found
            about = (on.task.name, line.method, line.backbone, cell.labels, on.task.groups, cell.seed)
            spent = (took["seconds"], took["peak_mb"])
            rows += [(*about, name, value, units[name], *spent) for name, value in plain_values(found).items()]
    return scores, rows


def _files(cell: Cell, study: Study, on: Ground) -> dict[Line, str]:
    """Return the files of a cell's scores, by whose they are."""
    completions = on.task.completions if cell.method == SCRATCH else ()
    return {line_of(cell, study): SCORES} | {Line(f"{SCRATCH} + {n}", "", "scratch"): completed(n) for n in completions}


def _choices(study: Study, folders: Folders) -> list[dict[str, Any]]:
    """Return what was tried for each method and budget, and what validation chose."""
    found = {}
    for cell in study.cells:
        if cell.seed != FIRST_SEED or cell.method not in study.methods:
            continue
        if (number := choice(study, folders, cell)) is None:
            continue
        losses = tried(study, folders, cell)
        trials = [{"settings": dict(r), "validation": losses.get(k)} for k, r in enumerate(study.ladder[cell.method])]
        about = {"method": cell.method, "backbone": cell.backbone, "labels": cell.labels}
        found[cell.method, cell.backbone, cell.labels] = about | {"trials": trials, "chosen": number}
    return [found[key] for key in sorted(found)]


def _beside(on: Ground) -> str:
    """Say which labels a budget does not count."""
    return (
        f"Beside the labels that are counted every method has {on.task.groups} to validate on, one for every "
        f"{VALIDATION_SHARE} of the budget, {FEWEST_VALIDATION_GROUPS} at least, and all there are where the budget is "
        "all; settings are chosen on those of the first seed."
    )


def _steps(settings: FinetuneSettings) -> str:
    """Say what bounds a training, whatever its epochs."""
    least, most = settings.least_steps, settings.limit_batches
    steps = f"{min(least, most):,} to {most:,}" if most else f"at least {least:,}"
    return f"Every training takes {steps} steps, unless what was tried says otherwise."


def _known(study: Study, on: Ground) -> list[str]:
    """Say which weather of the test part a backbone has seen before."""
    if not on.task.sees_fields:
        return []
    times = on.material.labels["time"][on.material.rows(TEST)]
    cards = (read_card(backbone_folder(name)) for name in study.backbones.values())
    return [f"{sentence}." for card in cards for sentence in known_weather(card, on.material.made_by, times)]


def _about(study: Study, on: Ground, root: Path, command: Sequence[str]) -> dict[str, Any]:
    world = on.origin.world
    recorded = identity(on.task, on.origin, on.material.store)["world"] or {}
    return {
        "command": as_begun(command),
        "world": world.name if world else None,
        "data": on.origin.data.name if on.origin.data else None,
        "simulated": bool(recorded.get("simulated")),
        "seeds": study.seeds,
        "budgets": list(study.budgets),
        "backbones": list(study.backbones),
        "notes": [_beside(on), _steps(study.settings), *_known(study, on)],
        "subsets_sha256": json.loads(Folders(root).subsets.read_text())["sha256"],
    }
