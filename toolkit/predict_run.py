"""`toolkit predict`: over whole fields where a task needs nothing else, at the rows of a table where it does."""

from pathlib import Path

from toolkit.data.prepare import field_file
from toolkit.errors import UserError
from toolkit.origin import Origin
from toolkit.predict import PredictOptions, PredictResult, predict_fields
from toolkit.predict_rows import predict_rows
from toolkit.task import Task
from toolkit.told import Told


def predict_run(
    task: Task, run: Path, fields: str | None, data: Path | None, out: Path, told: Told, options: PredictOptions
) -> PredictResult:
    """Run the model of a run folder and write the folder `out`; `UserError` says what the task needs and lacks."""
    if task.inputs.columns and data is None:
        raise UserError(f"The task {task.name} sees columns beside the fields: name a table of rows with --data.")
    if task.sees_fields and fields is None:
        raise UserError(f"The task {task.name} looks at fields: name them with --fields.")
    if data is not None and not task.inputs.columns:
        raise UserError(f"The task {task.name} looks at fields alone, everywhere: leave --data out.")
    if fields is not None and task.inputs.columns and not Path(fields).exists():
        raise UserError(
            f"There are no fields {fields}: with --data they are a file, a Zarr or a folder on this machine."
        )
    if fields is None or task.inputs.columns:
        return predict_rows(task, run, Origin(Path(fields) if fields else None, data), out, told, options)
    return predict_fields(run, field_file(Path(fields)) if Path(fields).is_dir() else fields, out, task, told, options)
