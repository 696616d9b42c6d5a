"""Strict and offline: the settings every test runs under."""

from pathlib import Path

import pytest

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real files, which the project does not carry; tests that need it are skipped without it."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real data files beside the checkout (../shared/data)")
    return REAL_DATA
