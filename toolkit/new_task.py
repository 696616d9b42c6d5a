"""`toolkit tasks new NAME`: a task that runs, with its test, to begin one's own from."""

import keyword
import re
from importlib import resources
from pathlib import Path

from toolkit.errors import UserError
from toolkit.files import write_text
from toolkit.plugins import task_names

PLACEHOLDER = "NAME"


def write_new(name: str, out: Path | None = None) -> tuple[Path, Path]:
    """Write the task file (NAME.py, or `out`) and beside it its test; return both paths.

    `UserError` for a name that cannot be one or is taken, and where either file is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(f"'{name}' cannot be the name of a task. Use small letters, digits and _, a letter first.")
    if name in task_names():
        raise UserError(f"There is a task '{name}' already (see `toolkit tasks list`). Choose another name.")
    task = out or Path(f"{name}.py")
    if task.suffix != ".py":
        raise UserError(f"{task} is not a Python file: give --out a name that ends in .py.")
    test = task.with_name(f"test_{task.name}")
    for path in (task, test):
        if path.exists():
            raise UserError(f"{path} is there already and is not overwritten. Name another file with --out.")
    for path, template in ((task, "task.py.txt"), (test, "test_task.py.txt")):
        text = (resources.files("toolkit") / "templates" / template).read_text("utf-8")
        write_text(path, text.replace(f"{PLACEHOLDER}.py", task.name).replace(PLACEHOLDER, name))
    return task, test
