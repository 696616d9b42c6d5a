"""The page of a study and its words: what it claims, that it is whole and safe, and what it hands out."""

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from toolkit.report.study import downloads, page, write_study_pages
from toolkit.report.study_tables import CONTRASTS, POINTS, SAVED, choices, contrast_rows, point_rows, saved_rows
from toolkit.report.study_words import done_by, lead, lead_saving, limits, line_title, saved_times, tiles, title
from toolkit.study.table import Line, Saving, StudyTable

VOID = {"meta", "link", "br", "img", "hr", "input", "path", "use", "line"}
LORA, SCRATCH = Line("lora", "general-vit", "pretrained"), Line("scratch", "", "scratch")
NBSP = "\N{NO-BREAK SPACE}"


class Outline(HTMLParser):
    """A page's elements with their attributes, its visible words, and its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element, and that it is open."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last, which must be this one."""
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep words and scripts apart."""
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)


def saving(needed: float | None, words: str, at_least: bool = False, low: float | None = 9.0) -> Saving:
    """Say that LoRA reaches the score of scratch with 128 storms at `needed`."""
    saved = None if needed is None else 128 / needed
    return Saving(LORA, SCRATCH, 128, needed, at_least, saved, low, 31.0, words)


def with_savings(study: StudyTable, *savings: Saving) -> StudyTable:
    """Return the study with other savings of its primary metric."""
    metric = replace(study.metrics[study.primary], savings=savings)
    return replace(study, metrics={**study.metrics, study.primary: metric})


@pytest.fixture(scope="module")
def text(study: StudyTable) -> str:
    """The page."""
    return page(study)


@pytest.fixture(scope="module")
def outline(text: str) -> Outline:
    """What the page is made of."""
    return Outline(text)


@pytest.mark.parametrize(
    ("found", "heading", "told"),
    [
        (
            saving(8.2, "16 times [9.0, 31]"),
            "With 8 storms LoRA on general-vit is as good as training from scratch with 128: 16 times fewer labels",
            f"LoRA on general-vit needs about 8 storms: 16 times fewer labels [9.0,{NBSP}31].",
        ),
        (
            saving(4.0, "at least 32 times [20, ...)", at_least=True, low=20.0),
            "With 4 storms or fewer LoRA on general-vit is as good as training from scratch with 128: at least 32 "
            "times fewer labels",
            f"needs at most 4 storms: at least 32 times fewer labels [20,{NBSP}...).",
        ),
        (
            saving(None, "not reached with 128 storms", low=None),
            "No pretrained method is as good as training from scratch with 128 storms",
            "LoRA on general-vit has not reached that: no labels were saved.",
        ),
        (
            saving(1.0, "128 times (..., 31]", low=None),
            "With 1 storm LoRA on general-vit is as good as training from scratch with 128: 128 times fewer labels",
            "the interval does not rule out that it needs more than all labels.",
        ),
        (
            saving(126.0, "1.0 times [0.9, 1.3]", low=0.9),
            "With 126 storms LoRA on general-vit is as good as training from scratch with 128: no fewer labels",
            f"no fewer labels [0.9,{NBSP}1.3], which could be none.",
        ),
    ],
)
def test_the_heading_is_the_answer(study: StudyTable, found: Saving, heading: str, told: str) -> None:
    """It says in plain words what was saved, or that nothing was, and the next sentences bear the interval."""
    table = with_savings(study, found)
    assert title(table) == heading
    assert told in " ".join(lead(table))


def test_without_a_comparison_nothing_is_claimed(study: StudyTable) -> None:
    """A study of one line, without anything to compare it with, has a heading and a page."""
    metric = study.metrics[study.primary]
    alone = replace(metric, curves=metric.curves[:1], contrasts=(), savings=())
    table = replace(study, metrics={study.primary: alone}, chosen=(), failed={}, about={})
    assert title(table) == "Scores against labels: hurricane"
    assert "lower is better" in " ".join(lead(table))
    outline = Outline(page(table))
    assert outline.open == []
    assert "No two lines were compared." in outline.words
    assert any("every cell of the study" in words for words in outline.words)


def test_like_is_compared_with_like(study: StudyTable) -> None:
    """The heading sets the best of plain pretrained lines against plain scratch, whatever a completed one saves."""
    chosen = lead_saving(study.metrics[study.primary])
    assert chosen is not None
    assert (chosen.ours.method, chosen.theirs.method) == ("probe", "scratch")
    assert any((other.saved or 0) > (chosen.saved or 0) for other in study.metrics[study.primary].savings)


def test_lines_have_names_for_a_legend_and_for_a_sentence() -> None:
    """Completions are told in both; a baseline keeps its own name."""
    assert line_title(Line("lora + steering flow", "vit", "pretrained")) == "LoRA + steering flow, vit"
    assert done_by(Line("scratch + steering flow", "", "scratch")) == "training from scratch with steering flow"
    assert done_by(Line("probe", "vit", "pretrained")) == "a probe on vit"
    assert line_title(Line("vorticity maximum + persistence", "", "classical")) == "Vorticity maximum + persistence"


def test_doubt_is_said_after_a_comma() -> None:
    """What follows the number is a bracket or a phrase."""
    assert saved_times(saving(8.0, "16 times, not certain")) == f"16 times fewer labels, not{NBSP}certain"


def test_the_page_is_well_formed(outline: Outline) -> None:
    """Every element is closed, every identifier is unique, what is pointed at exists, header cells have a scope."""
    assert outline.open == []
    named = Counter(attributes["id"] for _, attributes in outline.elements if "id" in attributes)
    assert max(named.values()) == 1
    pointed = {name for _, a in outline.elements for name in (a.get("aria-labelledby") or "").split()}
    assert pointed <= named.keys()
    assert all("scope" in attributes for tag, attributes in outline.elements if tag == "th")


def test_the_page_loads_nothing(text: str, outline: Outline) -> None:
    """No address but those of the files beside it; the page forbids all others to itself."""
    addresses = {str(a[k]) for _, a in outline.elements for k in ("src", "href", "srcset", "action") if k in a}
    assert {address for address in addresses if not address.startswith("#")} == {"study.csv", "labels_saved.json"}
    outside = text.replace("http://www.w3.org/2000/svg", "")
    assert "://" not in outside
    assert not re.findall(r"url\((?!#)|@import", text)
    assert any("default-src 'none'" in (a.get("content") or "") for tag, a in outline.elements if tag == "meta")


def test_no_name_breaks_out_of_the_page(text: str, outline: Outline) -> None:
    """Marks in meanings, commands and errors are text, in the tables and in the data alike."""
    assert len(outline.scripts) == 3
    data = json.loads(outline.scripts[1])
    assert data["metrics"]["csi"]["meaning"] == "what csi </script> & means"
    said = " ".join(outline.words)
    assert "--out 'my studies/<h>'" in said
    assert "the loss is <NaN>" in said
    assert "<NaN>" not in text


def test_the_tables_are_there_without_a_script(study: StudyTable, outline: Outline) -> None:
    """Every point, saving and difference of every metric is a row; undefined is a word; NaN and None are nowhere."""
    rows = [a["data-metric"] for tag, a in outline.elements if tag == "tr" and "data-metric" in a]
    expected = {
        name: sum(len(c.points) for c in m.curves) + len(m.contrasts) + len(m.savings)
        for name, m in study.metrics.items()
    }
    assert Counter(rows) == expected
    said = re.sub(r"\s+", " ", " ".join(outline.words))
    assert "undefined" in said
    assert not re.search(r"\bnan\b|\bNone\b", said.replace("<NaN>", ""))
    assert "full, general-vit, 16 storms, seed 3" in said
    assert "trials 2" in said


@pytest.mark.parametrize("name", ["pod", "position_error_24h", "intensity_error"])
def test_rows_have_a_cell_per_column(study: StudyTable, name: str) -> None:
    """Numbers are sorted by themselves, not by how they are written."""
    metric = study.metrics[name]
    for columns, rows in (
        (SAVED, saved_rows(metric, "storms")), (POINTS, point_rows(metric)), (CONTRASTS, contrast_rows(metric)),
    ):  # fmt: skip
        for _, cells in rows:
            assert len(cells) == len(columns)
            assert all(cell.sort is None for cell, column in zip(cells, columns, strict=True) if not column.numeric)
    values = [cells[2].sort for _, cells in point_rows(metric)]
    assert values == [point.value for curve in metric.curves for point in curve.points]


def test_verdicts_follow_the_direction_of_the_metric(study: StudyTable) -> None:
    """Higher is better for detection, lower for an error; what Holm's correction leaves open could be chance."""
    for name, sign in (("pod", 1), ("position_error_24h", -1)):
        metric = study.metrics[name]
        for one, (_, cells) in zip(metric.contrasts, contrast_rows(metric), strict=True):
            assert one.value is not None
            certain = one.p_holm is not None and one.p_holm < 0.05
            expected = ("better" if sign * one.value > 0 else "worse") + ", more than chance"
            assert cells[4].text == (expected if certain else "could be chance")


def test_what_tuning_chose_is_marked(study: StudyTable) -> None:
    """Of the settings tried exactly one was taken; where there was no choice there is no loss."""
    tried = choices(study)
    assert len(tried) == len(study.chosen)
    assert tried[0].chosen == "lr 0.001, epochs 10"
    assert [trial.validation for trial in tried[0].trials] == ["0.731", "0.688"]
    assert all([trial.chosen for trial in choice.trials] == [False, True] for choice in tried)
    alone = {**study.chosen[0], "trials": [{"settings": {}, "validation": None}], "chosen": 0}
    (only,) = choices(replace(study, chosen=(alone,)))
    assert (only.chosen, only.trials[0].validation) == ("as given", "")


def test_limits_name_what_applies(study: StudyTable) -> None:
    """A simulated world, failed cells and the study's own notes are told where there are such."""
    said = " ".join(limits(replace(study, about={**study.about, "notes": ["One storm was left out."]})))
    assert "simulated" in said
    assert "means of fewer seeds" in said
    assert "One storm was left out." in said
    plain = " ".join(limits(replace(study, about={}, failed={})))
    assert "simulated" not in plain
    assert "fewer seeds" not in plain


def test_few_test_groups_are_warned_of(study: StudyTable) -> None:
    """Below ten of them, as on the page of a run; and what seeds cannot tell where every label is used."""
    warning = "There are only 7 storms to resample: the intervals are rough."
    assert warning in limits(replace(study, test_groups=7))
    assert not any("to resample" in told for told in limits(replace(study, test_groups=10)))
    assert any("with all labels there is one draw of them" in told for told in limits(study))


def test_the_page_hands_out_the_study_as_written(study: StudyTable, outline: Outline) -> None:
    """study.csv and labels_saved.json are embedded as they are on disk."""
    files = downloads(study)
    assert json.loads(outline.scripts[1])["files"] == files
    assert files["study.csv"] == study.cells.to_csv(index=False)
    assert len(json.loads(files["labels_saved.json"])) == sum(len(m.savings) for m in study.metrics.values())


@pytest.mark.slow
def test_both_pages_are_written_the_same_each_time(study: StudyTable, tmp_path: Path) -> None:
    """The same study gives the same bytes, and nothing else is left in the folder."""
    for name in "ab":
        assert write_study_pages(tmp_path / name, study) == tmp_path / name / "report.html"
    first, second = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in "ab")
    assert first == second
    assert first.keys() == {"curve.png", "report.html"}


def test_what_is_not_known_is_not_called_unreached(study: StudyTable) -> None:
    """Where no seed has both scores, neither heading nor tile says that pretraining did not help."""
    unknown = replace(saving(None, "not known"), known=False, low=None, high=None)
    told = with_savings(study, unknown)
    assert title(told).startswith("Not known: how many labels LoRA on general-vit saves against training from scratch")
    assert "no labels were saved" not in " ".join(lead(told))
    assert tiles(told)[0].value == "not known"


def test_one_seed_says_nothing_of_others(study: StudyTable) -> None:
    """The page then gives its intervals over the test groups alone."""
    metric = study.metrics[study.primary]
    curves = tuple(
        replace(curve, points=tuple(replace(p, seeds=dict([*p.seeds.items()][:1])) for p in curve.points))
        for curve in metric.curves
    )
    one = replace(study, metrics={**study.metrics, study.primary: replace(metric, curves=curves)})
    assert "test storms and seeds" in page(study)
    assert "storms and seeds" not in page(one)
    assert "one seed does not tell" in " ".join(limits(one))
