"""What data sets call the kinds of extreme events."""

import pytest

from toolkit.data.label_kinds import KINDS, OTHERS, SYNONYMS, kind_called, kind_in_folder
from toolkit.errors import UserError


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Atmospheric River (AR)", "filament"),
        ("Tropical Cyclone (TC)", "tropical_cyclone"),
        ("Blocking Event (BE)", "blocking"),
        ("Athmospheric river", "filament"),
        ("TC", "tropical_cyclone"),
        ("heat_wave", "heat"),
        ("severe_convection", None),
        ("Background", None),
    ],
)
def test_names_of_real_data_sets_are_known(name: str, kind: str | None) -> None:
    """ClimateNet's, ClimateNetLarge's and ExtremeWeatherBench's names find their kind, or none."""
    assert kind_called(name) == kind


def test_every_kind_is_called_by_its_own_name_and_no_name_stands_for_two() -> None:
    """The table of synonyms is a function that leaves the kinds as they are."""
    assert tuple(SYNONYMS) == KINDS
    assert [kind_called(kind) for kind in KINDS] == list(KINDS)
    names = [name for names in (*SYNONYMS.values(), OTHERS) for name in names]
    assert len(names) == len(set(names))


def test_a_name_that_nobody_knows_is_refused_with_the_near_miss() -> None:
    """A slip of the pen is not a new kind of event."""
    with pytest.raises(
        UserError, match=r"No class of extreme events 'tropical_cylcone'. Did you mean 'tropical_cyclone'"
    ):
        kind_called("tropical_cylcone")


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("AR", "filament"), ("TC_labels_cleaned", "tropical_cyclone"), ("blocking_labels", "blocking"), ("train", None)],
)
def test_folders_name_kinds(folder: str, kind: str | None) -> None:
    """The folders that ClimateNetLarge's files lie in are enough to know what they mark."""
    assert kind_in_folder(folder) == kind
