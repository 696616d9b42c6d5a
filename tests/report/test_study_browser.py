"""The page of a study in the hands of a reader: a real browser points, presses, sorts, prints and downloads."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from toolkit.report.study import downloads, write_study_pages
from toolkit.study.table import StudyTable

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")]
Open = Callable[..., Any]
SHIFTS = """new Promise(done => {
  let sum = 0;
  new PerformanceObserver(list => list.getEntries().forEach(entry => { sum += entry.value; }))
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 150);
})"""


@pytest.fixture(scope="module")
def address(study: StudyTable, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the page is, alone in its folder."""
    written = write_study_pages(tmp_path_factory.mktemp("study"), study)
    alone = tmp_path_factory.mktemp("alone") / "page.html"
    alone.write_bytes(written.read_bytes())
    return alone.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=BROWSER, args=[*sandbox, "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Open]:
    """A function that opens the page; in the end nothing may have left the file nor gone to the console."""
    contexts, requests, complaints = [], [], []

    def opened(width: int = 1280, **settings: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if url != address and not url.startswith("blob:")] == []


def point_at(page: Any, name: str, labels: int) -> Any:
    """Return the marker of a line at a budget."""
    return page.locator(f'.point[aria-label^="{name}, {labels} storms"]')


def column(page: Any, table: str, number: int) -> list[str]:
    """Return what the visible rows of a table say in a column."""
    cells = page.locator(f"#{table}-table tbody tr:visible > :nth-child({number})")
    return [re.sub(r"\s+", " ", text).strip() for text in cells.all_inner_texts()]


def test_pointing_tells_method_labels_value_and_seeds(open_page: Open, study: StudyTable) -> None:
    """The words beside the pointer are those of the point beneath it, with its unit and interval."""
    page = open_page()
    assert page.locator("#tip").is_hidden()
    page.locator("#chart").scroll_into_view_if_needed()
    point_at(page, "From scratch", 8).hover(force=True)
    (curve,) = (c for c in study.metrics[study.primary].curves if c.line.method == "scratch")
    value, low, high = (curve.points[1].value, curve.points[1].low, curve.points[1].high)
    told = page.locator("#tip").inner_text().replace("\N{NO-BREAK SPACE}", " ").splitlines()
    assert told == ["From scratch", f"{value:.0f} km [{low:.0f}, {high:.0f}]", "8 storms, 5 seeds"]
    page.keyboard.press("Tab")
    page.mouse.move(1, 1)
    assert page.locator("#tip").is_hidden()


def test_points_can_be_reached_with_keys_alone(open_page: Open) -> None:
    """One stop of the tab key; arrows go along the line and across lines; Escape takes the words away."""
    page = open_page()
    page.locator(".legend button").last.focus()
    page.keyboard.press("Tab")
    assert "Probe, general-vit\n" in page.locator("#tip").inner_text()
    page.keyboard.press("ArrowRight")
    assert "8 storms" in page.locator("#tip").inner_text()
    page.keyboard.press("ArrowUp")
    assert "8 storms" in page.locator("#tip").inner_text()
    assert "Probe" not in page.locator("#tip").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()
    assert page.locator('.point[tabindex="0"]').count() == 1


def test_a_press_on_a_name_hides_its_line(open_page: Open) -> None:
    """By mouse and by key; the button says whether it is pressed, and guide and axis follow what is left."""
    page = open_page()
    button = page.locator(".legend button", has_text=re.compile(r"^\s*From scratch\s*$"))
    line, guide = page.locator(f'g.line[data-line="{button.get_attribute("data-line")}"]'), page.locator(".guide")
    other = point_at(page, "Vorticity maximum + persistence", 4)
    before = other.bounding_box()["y"]
    assert guide.count() > 0
    button.click()
    assert (line.count(), guide.count(), button.get_attribute("aria-pressed")) == (0, 0, "false")
    assert other.bounding_box()["y"] < before
    button.press("Enter")
    assert (line.count(), button.get_attribute("aria-pressed")) == (1, "true")
    assert guide.count() > 0


def test_the_axes_switch(open_page: Open) -> None:
    """Doublings of labels are equally far apart on a logarithmic axis, equal steps on a linear one; so are values."""
    page = open_page()

    def across(labels: int) -> float:
        return float(point_at(page, "From scratch", labels).bounding_box()["x"])

    def ratio() -> float:
        return (across(32) - across(16)) / (across(16) - across(8))

    assert ratio() == pytest.approx(1, abs=0.02)
    page.get_by_label("Log labels").uncheck()
    assert ratio() == pytest.approx(2, abs=0.02)
    height = point_at(page, "From scratch", 32).bounding_box()["y"]
    page.get_by_label("Log values").check()
    assert point_at(page, "From scratch", 32).bounding_box()["y"] < height


def test_another_metric_changes_the_chart_and_the_tables(open_page: Open, study: StudyTable) -> None:
    """Axis, meaning and rows are those of the metric that was chosen."""
    page = open_page()
    page.locator("#metric").select_option("csi")
    assert page.locator("#chart").get_by_text("CSI (higher is better)").is_visible()
    assert page.locator("#meaning").inner_text().lower() == study.metrics["csi"].meaning
    assert set(page.locator(".chosen-metric").all_inner_texts()) == {"CSI"}
    assert len(column(page, "points", 2)) == sum(len(curve.points) for curve in study.metrics["csi"].curves)
    assert float(column(page, "points", 4)[0].split(" [")[0]) < 1


def test_heads_sort_their_table(open_page: Open, study: StudyTable) -> None:
    """Once upwards, once more downwards, by number and not by digits; what is undefined stays last; Enter does it."""
    page = open_page()
    page.locator("#metric").select_option("intensity_error")
    head = page.locator("#points-table th", has_text="Value")
    head.locator("button").click()
    defined = sorted(p.value for c in study.metrics["intensity_error"].curves for p in c.points if p.value is not None)
    seen = column(page, "points", 4)
    assert [float(text.split()[0]) for text in seen[: len(defined)]] == [pytest.approx(v, abs=0.06) for v in defined]
    assert set(seen[len(defined) :]) == {"undefined"}
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, "points", 4)[0] == seen[len(defined) - 1]
    assert column(page, "points", 4)[-1] == "undefined"
    page.locator("#points-table th button", has_text="Method").click()
    assert column(page, "points", 2) == sorted(column(page, "points", 2))
    assert head.get_attribute("aria-sort") == "none"


@pytest.mark.parametrize("name", ["study.csv", "labels_saved.json"])
def test_downloads_hold_the_files_byte_for_byte(open_page: Open, study: StudyTable, name: str) -> None:
    """The page alone is enough: the files need not be beside it."""
    page = open_page(accept_downloads=True)
    with page.expect_download() as started:
        page.get_by_role("link", name=name).click()
    assert started.value.suggested_filename == name
    assert Path(started.value.path()).read_bytes() == downloads(study)[name].encode()


@pytest.mark.parametrize("scripted", [True, False])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_never_scrolls_sideways(open_page: Open, width: int, scripted: bool) -> None:
    """Wide tables scroll in frames of their own, words beside a point stay within the chart, and nothing jumps."""
    page = open_page(width, java_script_enabled=scripted, has_touch=width < 500)
    if scripted:
        point_at(page, "LoRA + steering flow, general-vit", 125).tap() if width < 500 else None
        assert page.evaluate(SHIFTS) == pytest.approx(0, abs=0.001)
    sizes = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert sizes[0] <= sizes[1] == width


def test_on_paper_everything_is_unfolded(open_page: Open) -> None:
    """The chart and whole tables are there, controls are not; the paper is white for a reader of dark pages too."""
    page = open_page(700, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.locator("#chart svg").bounding_box()["height"] > 200
    assert page.locator(".controls").is_hidden()
    assert page.locator(".downloads").is_hidden()
    for frame in page.locator(".long").all():
        assert frame.evaluate("node => node.scrollHeight <= node.clientHeight + 1")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--surface')") == "#ffffff"
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_without_a_script_the_picture_and_all_tables_are_there(open_page: Open, study: StudyTable) -> None:
    """What only a script could do is not shown."""
    page = open_page(java_script_enabled=False)
    assert page.locator("figure.static svg.wide").is_visible()
    assert page.locator(".live").is_hidden()
    points = sum(len(curve.points) for metric in study.metrics.values() for curve in metric.curves)
    assert page.locator("#points-table tbody tr:visible").count() == points
    assert page.get_by_role("link", name="study.csv").get_attribute("href") == "study.csv"


@pytest.mark.parametrize(("scheme", "surface"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(21, 31, 40)")])
def test_the_page_follows_the_readers_scheme(open_page: Open, scheme: str, surface: str) -> None:
    """Cards are light or dark as asked."""
    page = open_page(color_scheme=scheme)
    assert page.locator(".live").evaluate("node => getComputedStyle(node).backgroundColor") == surface
