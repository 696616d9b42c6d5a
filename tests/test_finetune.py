"""What a run is cut from: the parts of its labels."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from toolkit.config import FinetuneSettings
from toolkit.errors import UserError
from toolkit.finetune import load_data
from toolkit.origin import Origin
from toolkit.task import Task


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_part_without_rows_is_named(small_task: Task, tiny_world: Path, random_backbone: Path, part: str) -> None:
    """Labels of which none falls into a part are refused with the part's name."""
    settings = FinetuneSettings(task="hurricane", backbone=str(random_backbone))

    def split(labels: pd.DataFrame) -> pd.Series:
        return small_task.split(labels).replace(part, "")

    with pytest.raises(UserError, match=f"No labelled row falls into the {part} part"):
        load_data(replace(small_task, split=split), Origin(tiny_world), settings)
