"""The page: whole, self-contained, safe and always the same."""

import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.figure
import pandas as pd
import pytest
import yaml

from tasks.hurricane.figures import FIGURES
from toolkit.errors import UserError
from toolkit.report import theme
from toolkit.report.figure import Figure, RunTables
from toolkit.report.page import write_report
from toolkit.report.read import Results

pytestmark = pytest.mark.slow

Rewrite = Callable[[Path, Callable[[dict[str, Any]], object]], None]
VOID = {"meta", "link", "br", "img", "hr", "input", "path", "use"}


class Outline(HTMLParser):
    """What a page is made of: its elements, their attributes, the visible words, and whether all are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element, and that it is open."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that closes itself."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last, which must be this one."""
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep the words of the page and leave its style out."""
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(finished_run: Path) -> str:
    """The page of a finished run, with the task's figures."""
    return write_report(finished_run, FIGURES).read_text("utf-8")


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    """What that page is made of."""
    return Outline(page)


def text_of(outline: Outline) -> str:
    """Return the words of a page with single, ordinary spaces."""
    return re.sub(r"\s+", " ", " ".join(outline.words))


def blank(_: RunTables) -> matplotlib.figure.Figure:
    """Draw an empty figure."""
    return theme.panels(1)[0]


def test_every_element_is_closed_and_every_identifier_is_unique(outline: Outline) -> None:
    """The page is well formed, and what points somewhere arrives."""
    assert outline.open == []
    named = Counter(attributes["id"] for _, attributes in outline.elements if "id" in attributes)
    assert [name for name, count in named.items() if count > 1] == []
    pointed = [name for _, a in outline.elements for name in (a.get("aria-labelledby") or "").split()]
    assert pointed
    assert set(pointed) <= set(named)


def test_the_page_loads_nothing(page: str, outline: Outline) -> None:
    """No script, no link, no address in any attribute or style; the page forbids it to itself as well."""
    assert not outline.of("script")
    assert not outline.of("link")
    addresses = [a[k] for _, a in outline.elements for k in ("src", "href", "srcset", "data", "action") if k in a]
    assert all(str(address).startswith("#") for address in addresses)
    assert "://" not in page
    assert "@import" not in page
    assert not re.findall(r"url\((?!#)", page)
    assert any("default-src 'none'" in (meta.get("content") or "") for meta in outline.of("meta"))


def test_every_metric_and_every_method_is_in_the_table(outline: Outline, results: Results) -> None:
    """Scores, intervals, units and baselines can all be read."""
    said = text_of(outline)
    for name in ("Mean centre error", "POD", "FAR", "CSI", "Intensity error", "24 h position error"):
        assert name in said
    for words in ("LoRA", "From scratch", *results.baselines, "183 [159, 210]", "0.871 (best)", "km, lower is better"):
        assert words in said
    assert "better, more than chance" in said
    assert "could be chance" in said


def test_every_row_says_what_its_metric_measures(outline: Outline, results: Results) -> None:
    """The meaning is text of the table, there on paper too."""
    said = text_of(outline)
    assert all(score.meaning in said for score in results.metrics.values())
    assert "* after Holm's correction for 3 baselines, (*) only before it." in said


def test_results_of_an_older_run_make_a_page(run_folder: Path, rewrite: Rewrite) -> None:
    """Without meanings and differences from the baselines the page is whole, and does not speak of them."""

    def age(content: dict[str, Any]) -> None:
        del content["baseline_differences"]
        for scores in (content["metrics"], content["comparison"]["metrics"]):
            for score in scores.values():
                del score["meaning"]

    rewrite(run_folder / "results.json", age)
    outline = Outline(write_report(run_folder).read_text("utf-8"))
    said = text_of(outline)
    assert outline.open == []
    assert "Holm" not in said
    assert "lies outside its interval" in said


def test_undefined_scores_are_a_word(outline: Outline) -> None:
    """The baseline that states no intensity is undefined, and NaN appears nowhere."""
    said = text_of(outline)
    assert "undefined" in said
    assert not re.search(r"\bnan\b|\bNone\b", said, re.IGNORECASE)


def test_tables_and_figures_can_be_heard(outline: Outline) -> None:
    """Header cells have a scope, figures a name, the page a language and one main heading."""
    assert all("scope" in attributes for attributes in outline.of("th"))
    assert all(a.get("role") == "img" and a.get("aria-labelledby") for a in outline.of("svg"))
    assert outline.of("html")[0]["lang"] == "en"
    assert len(outline.of("h1")) == 1
    assert len(outline.of("main")) == 1


def test_split_limits_provenance_and_repetition_are_told(outline: Outline) -> None:
    """What a sceptical reader asks for is on the page."""
    said = text_of(outline)
    for words in (
        "No two parts share storms. The nearest times of two parts are 186 days apart.",
        "The world is simulated",
        "98,816 of 5,312,448 weights, 1.86 %",
        "9f2c" * 16,
        "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        "toolkit finetune hurricane --labels 64 --out 'runs/storms 64'",
        "toolkit finetune hurricane --config config.yaml --out repeated",
        "schedule.learning_rates.head",
        "3 min 51 s",
    ):
        assert words in said


def test_every_figure_is_on_the_page_and_a_file(finished_run: Path, outline: Outline, page: str) -> None:
    """Each has a wide and a narrow form on the page and a PNG in plots/."""
    assert len(list((finished_run / "plots").glob("*.png"))) == 2 + len(FIGURES)
    assert Counter(a["class"] for a in outline.of("svg")) == {"wide": 5, "narrow": 5}
    assert all(figure.title in page for figure in FIGURES)


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(run_folder: Path, finished_run: Path, page: str) -> None:
    """Nothing on the page or in the plots depends on when or where it was written."""
    assert write_report(run_folder, FIGURES).read_text("utf-8") == page
    for plot in (run_folder / "plots").iterdir():
        assert plot.read_bytes() == (finished_run / "plots" / plot.name).read_bytes()


def test_hostile_names_are_shown_and_not_obeyed(run_folder: Path, rewrite: Rewrite) -> None:
    """Markup in a backbone, baseline, note, storm or version stays text."""
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> $\\frac{1}"

    def spoil(content: dict[str, Any]) -> None:
        content["backbone"] = hostile
        content["baselines"] = {hostile: {"mean_centre_error": 300.0}}
        content["notes"] = [hostile]

    rewrite(run_folder / "results.json", spoil)
    rewrite(run_folder / "env.json", lambda content: content.update({hostile: hostile, "command": [hostile]}))
    truth = pd.read_csv(run_folder / "truth.csv")
    truth.assign(group=hostile).to_csv(run_folder / "truth.csv", index=False)
    outline = Outline(write_report(run_folder, FIGURES[:1]).read_text("utf-8"))
    assert outline.open == []
    assert not outline.of("script")
    assert not outline.of("img")
    assert not any(name.startswith("on") for _, attributes in outline.elements for name in attributes)
    assert "could not be drawn" not in text_of(outline)
    assert "<script>alert(1)</script>" in text_of(outline)


def test_a_figure_that_fails_is_named_and_stops_nothing(run_folder: Path) -> None:
    """The error is on the page, and the other figures are."""

    def broken(_: RunTables) -> None:
        raise KeyError("wind_kt")

    figures = (Figure("Broken", "Never seen.", broken), Figure("Blank", "An empty frame.", blank))
    said = text_of(Outline(write_report(run_folder, figures).read_text("utf-8")))
    assert "This figure could not be drawn: KeyError: 'wind_kt'" in said
    assert (run_folder / "plots" / "blank.png").is_file()


def test_a_figure_with_nothing_to_show_is_left_out(run_folder: Path) -> None:
    """None is no figure, and no section is made for it."""
    said = text_of(Outline(write_report(run_folder, (Figure("Absent", "", lambda _: None),)).read_text("utf-8")))
    assert "Absent" not in said
    assert "What it got right and wrong" not in said


def test_two_figures_of_one_name_are_refused(run_folder: Path) -> None:
    """The second would overwrite the first one's file."""
    with pytest.raises(UserError, match="Two figures of the report are called 'Blank!'"):
        write_report(run_folder, (Figure("Blank", "", blank), Figure("Blank!", "", blank)))
    assert not (run_folder / "report.html").exists()


def test_an_unfinished_run_gets_no_page(run_folder: Path) -> None:
    """A missing file is named, and nothing is written."""
    (run_folder / "results.json").unlink()
    with pytest.raises(UserError, match=r"results\.json"):
        write_report(run_folder)
    assert not (run_folder / "report.html").exists()
    assert not (run_folder / "plots").exists()


def test_a_bare_run_has_a_page_too(run_folder: Path, rewrite: Rewrite) -> None:
    """No comparison, no baselines, no validation and an undefined score still make a page without NaN."""

    def strip(content: dict[str, Any]) -> None:
        del content["comparison"]
        content |= {"baselines": {}, "baseline_differences": {}, "method": "scratch", "backbone": None}
        content["metrics"] = {"csi": {"value": None, "low": None, "high": None, "unit": "1", "better": "higher"}}
        content["primary"] = "csi"

    rewrite(run_folder / "results.json", strip)
    (run_folder / "scratch" / "metrics.jsonl").unlink()
    (run_folder / "metrics.jsonl").write_text('{"step": 0, "loss": 1.0}\n')
    outline = Outline(write_report(run_folder).read_text("utf-8"))
    said = text_of(outline)
    assert outline.open == []
    assert "CSI of undefined from 64 labelled storms" in said
    assert "Difference" not in said
    assert not re.search(r"\bnan\b", said, re.IGNORECASE)


def test_a_run_on_a_table_alone_names_its_file(run_folder: Path, rewrite: Rewrite) -> None:
    """Without a world the page speaks of the labels' file, of no simulation and of no years."""
    config = yaml.safe_load((run_folder / "config.yaml").read_text())
    config |= {"world": None, "data": {"path": "stations.csv", "sha256": "5ca1ab1e"}}
    (run_folder / "config.yaml").write_text(yaml.safe_dump(config))

    def timeless(content: dict[str, Any]) -> None:
        content["apart"] = {"groups": True, "gap_days": None, "blocks_degrees": None}
        for part in content["parts"].values():
            part["spans"] = []

    rewrite(run_folder / "split.json", timeless)
    said = text_of(Outline(write_report(run_folder).read_text("utf-8")))
    assert "Labels' file stations.csv Labels' file SHA-256 5ca1ab1e" in said
    assert "No two parts share storms. This was checked" in said
    assert "simulated" not in said


def test_a_leak_is_on_the_page(run_folder: Path, rewrite: Rewrite) -> None:
    """A storm in two parts takes the green tick away."""
    rewrite(run_folder / "split.json", lambda content: content["parts"]["train"]["groups"].append("AL012004"))
    page = write_report(run_folder).read_text("utf-8")
    assert '<p class="failure">1 storms are in more than one part' in page
