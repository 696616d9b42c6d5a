"""`toolkit predict --data`: a fine-tuned model at the rows of a table, such as the days of stations.

What the folder holds:
    predictions.csv   what the model states of each row
    notes.txt         every row that is left out, and why, one sentence a line
"""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from toolkit.evaluate import outputs
from toolkit.examples import cut_examples
from toolkit.files import whole_folder, write_text
from toolkit.origin import Origin, fields_of, timely_labels
from toolkit.parts import check_store
from toolkit.predict import PredictOptions, PredictResult, chosen_thresholds, in_words, refuse_full
from toolkit.saved import load_adapted
from toolkit.task import Task
from toolkit.told import Told

CREATED = {"predictions.csv", "notes.txt"}
KNOWN = ("time", "group", "latitude", "longitude")


def predict_rows(
    task: Task, run: Path, origin: Origin, out: Path, told: Told, options: PredictOptions
) -> PredictResult:
    """Run the model of a run folder at the rows of `origin` and write the folder `out`, whole or not at all.

    What is to be predicted may be unknown (NaN) there. Raises `UserError` for a model, fields or rows that cannot be
    used, and for a folder that holds something.
    """
    refuse_full(out, options.overwrite, CREATED)
    told.stage("opening the model, the fields and the rows")
    saved, parts = load_adapted(run, task)
    store = fields_of(task, origin, saved.card.spec.grid_degrees if saved.card else None)
    if saved.card:
        check_store(task, saved.card, store)
    rows, left_out = timely_labels(task, origin, store)
    examples = cut_examples(task, store, rows, np.ones(len(rows), bool), seed=0)
    told.stage(f"looking at {len(examples)} rows")
    thresholds = chosen_thresholds(saved, options, task.threshold_limits)
    stated = task.keep(task.decode(outputs(parts, examples), examples), thresholds)
    notes = tuple(f"{count} rows are left out: {why}" for why, count in (left_out | examples.left_out).items())
    known = [name for name in KNOWN if name in examples.truth and name not in stated]
    about = examples.truth.set_index("example")[known]
    table = pd.concat([about.loc[stated["example"]].set_axis(stated.index), stated.drop(columns="example")], axis=1)
    with whole_folder(out) as folder:
        task.export(table).to_csv(folder / "predictions.csv", index=False, float_format="%.7g")
        said = (f"rows: {origin.labels}", f"fields: {origin.world or 'none'}", f"model: {run}", *in_words(thresholds))
        write_text(folder / "notes.txt", "\n".join((*said, *notes)) + "\n")
        if out.exists():
            shutil.rmtree(out)
    times = rows["time"].nunique() if "time" in rows else 0
    return PredictResult(out, times, len(table), thresholds, notes)
