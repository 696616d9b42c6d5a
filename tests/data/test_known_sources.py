import pytest

from toolkit.data.known_sources import known_file
from toolkit.errors import UserError


def test_known_files_have_names() -> None:
    """A known file is found by name, and a near miss is named."""
    assert known_file("hurdat2-atlantic").startswith("https://www.nhc.noaa.gov/data/hurdat/hurdat2-")
    with pytest.raises(UserError, match="Did you mean 'hurdat2-atlantic'"):
        known_file("hurdat2-atlantik")
