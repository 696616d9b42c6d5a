"""The page in a real browser, where there is one."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from tasks.hurricane.figures import FIGURES
from toolkit.report.page import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--virtual-time-budget=2000",
)  # fmt: skip
MEASURE = """<!doctype html><iframe src="report.html" style="width:{width}px; height:900px"></iframe>
<p id="wide"></p><script>
onload = () => {{ const page = document.querySelector("iframe").contentDocument.documentElement;
wide.textContent = "scrolls " + page.scrollWidth + " of " + page.clientWidth; }}
</script>"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")]


@pytest.fixture(scope="module")
def page(finished_run: Path) -> Path:
    """The page of a finished run."""
    return write_report(finished_run, FIGURES)


def browse(profile: Path, address: Path, *options: str) -> str:
    """Open a file in a new browser without a window and return what it prints."""
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    command = [str(BROWSER), *QUIET, *sandbox, f"--user-data-dir={profile}", *options, address.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_never_scrolls_sideways(page: Path, tmp_path: Path, width: int) -> None:
    """Only the table of scores may be wider than a phone, in a frame of its own."""
    frame = page.with_name(f"frame_{width}.html")
    frame.write_text(MEASURE.format(width=width))
    seen = browse(tmp_path, frame, "--allow-file-access-from-files", "--dump-dom")
    found = re.search(r"scrolls (\d+) of (\d+)", seen)
    assert found is not None
    assert int(found[1]) <= int(found[2])


@pytest.mark.parametrize(("scheme", "bright"), [(1, True), (0, False)], ids=["light", "dark"])
def test_the_page_follows_the_readers_scheme(page: Path, tmp_path: Path, scheme: int, bright: bool) -> None:
    """The ground is light or dark as asked, and something is drawn on it."""
    shot = tmp_path / "page.png"
    options = (f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={shot}", "--window-size=1280,3000")
    browse(tmp_path / "profile", page, *options)
    image = matplotlib.image.imread(shot)[..., :3]
    assert (np.median(image) > 0.5) == bright
    assert image.std() > 0.02


def test_the_page_can_be_printed(page: Path, tmp_path: Path) -> None:
    """A PDF of some pages comes out."""
    printed = tmp_path / "page.pdf"
    browse(tmp_path / "profile", page, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    assert printed.read_bytes().startswith(b"%PDF")
