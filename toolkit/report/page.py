"""The page itself: everything a run folder says, as plots/*.png and one report.html that needs no network."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from toolkit.errors import UserError
from toolkit.files import sha256, write_text
from toolkit.report import charts, words
from toolkit.report.figure import Figure, RunTables
from toolkit.report.numbers import number, share
from toolkit.report.read import FILES, Run, read_run
from toolkit.report.svg import inline_svg, write_png
from toolkit.report.tables import DOUBTFUL_STAR, STAR, score_table
from toolkit.report.templates import HERE, WIDTHS, environment
from toolkit.report.theme import DARK, LIGHT, style


@dataclass(frozen=True)
class Drawn:
    """A figure on the page: its name in plots/ and its SVGs, or why it could not be drawn."""

    name: str
    title: str
    caption: str
    svg: Markup
    failure: str = ""


def write_report(run_folder: Path, figures: Sequence[Figure] = ()) -> Path:
    """Write plots/*.png and report.html into a finished run folder and return the path of the page.

    `figures` are the task's own. One that fails is named on the page with its error and stops nothing else.
    The same folder gives the same bytes. Raises UserError where the folder lacks a file or holds a wrong one.
    """
    run = read_run(run_folder)
    general = _general_figures(run)
    taken: set[str] = set()
    for figure in (*general, *figures):
        if (name := _slug(figure.title)) in taken:
            raise UserError(f"Two figures of the report are called '{figure.title}'. Rename one of them.")
        taken.add(name)
    at_a_glance, *rest = (_draw(figure, run) for figure in general)
    page = (
        _environment()
        .get_template("template.html")
        .render(
            title=words.title(run.results),
            at_a_glance=at_a_glance,
            general_figures=[drawn for drawn in rest if drawn],
            task_figures=[drawn for figure in figures if (drawn := _draw(figure, run))],
            **_content(run),
        )
    )
    path = run_folder / "report.html"
    write_text(path, page)
    return path


def _general_figures(run: Run) -> list[Figure]:
    """Return the figures every report has, as a task would define them."""
    curves = {words.method_title(run.results.method): run.curve}
    if run.scratch_curve is not None:
        curves[words.method_title("scratch")] = run.scratch_curve
    return [
        Figure(
            f"{words.metric_title(run.results.primary)} by method",
            "The primary score of every method, the best on top. Bars are 95 % intervals over the test "
            f"{run.results.groups}; baselines are given without.",
            lambda tables: charts.primary_score(tables.results),
        ),
        Figure(
            "Learning curves",
            "The training loss as means of neighbouring steps, shaded where the middle 80 % of them lie. The "
            "validation score is that of windows which were not trained on; the large marker is the step whose weights "
            "were kept.",
            lambda _: charts.learning_curves(curves),
        ),
    ]


def _draw(figure: Figure, run: Run) -> Drawn | None:
    """Draw a figure at both widths and as a file; None where it has nothing to show."""
    name = _slug(figure.title)
    try:
        svgs = list(_svgs(figure, run.tables, name, run.folder / "plots" / f"{name}.png"))
    except Exception as error:  # a task's figure is somebody else's code, and the scores are worth a page without it
        return Drawn(name, figure.title, figure.caption, Markup(), f"{type(error).__name__}: {error}")
    return Drawn(name, figure.title, figure.caption, Markup("".join(svgs))) if svgs else None


def _svgs(figure: Figure, tables: RunTables, name: str, png: Path) -> Iterator[str]:
    for width in WIDTHS:
        with style(width):
            drawing = figure.draw(tables)
            if drawing is None:
                return
            yield inline_svg(drawing, f"{name}-{width}-", f"{name}-title {name}-caption", width)
            if width == "wide":
                write_png(drawing, png)


def _content(run: Run) -> dict[str, Any]:
    """Return what the template says in words and tables."""
    results = run.results
    apart, leakage = words.leakage(run.split, results.groups)
    trained = results.model.trainable / max(results.model.parameters, 1)
    return {
        "results": results,
        "headline": words.headline(results),
        "tiles": words.tiles(results),
        "table": score_table(results),
        "star": STAR,
        "doubtful_star": DOUBTFUL_STAR,
        "split": run.split,
        "apart": apart,
        "leakage": leakage,
        "limits": words.limits(run),
        "used": words.used(results),
        "trained_share": share(results.model.trainable, results.model.parameters),
        "trained_percent": round(100 * trained, 3),
        "method": words.method_title(results.method),
        "simulated": run.simulated,
        "provenance": _provenance(run),
        "configuration": dict(_flat(run.tables.config)),
        "hashes": {name: sha256(run.folder / name) for name in FILES},
        "command": _command(run),
        "light": LIGHT,
        "dark": DARK,
        "css": Markup((HERE / "style.css").read_text("utf-8")),
    }


def _provenance(run: Run) -> dict[str, str]:
    """Return what was run, on what, with what, for how long."""
    results = run.results
    told: dict[str, str] = {
        "Task": results.task,
        "Method": words.method_title(results.method),
        "Backbone": results.backbone or "none, random weights",
        "Labels": f"{results.labels:,} {results.groups}",
        "Seed": str(results.seed),
        **_looked_at(run),
        "Split SHA-256": run.split.sha256,
        "Time taken": words.durations(results),
    }
    return told | {_sentence_case(name): text for name, text in _flat(run.env) if name != "command"}


def _looked_at(run: Run) -> dict[str, str]:
    told: dict[str, str] = {}
    if run.world:
        kind = "simulated" if run.world.simulated else "real"
        told |= {"World": f"{run.world.path} ({kind})", "World SHA-256": run.world.sha256}
    if run.data:
        told |= {"Labels' file": run.data.path, "Labels' file SHA-256": run.data.sha256}
    return told


def _command(run: Run) -> str:
    """Return the command line that made the run, as env.json has it; empty where it has none."""
    command = run.env.get("command", "")
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command)


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted name, text) of every value of a nested mapping."""
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{name}", "not set" if value is None else str(value)


def _sentence_case(name: str) -> str:
    plain = name.removeprefix("versions.").replace("_", " ").replace(".", " ")
    return plain if name.startswith("versions.") else plain[:1].upper() + plain[1:]


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_") or "figure"


def _environment() -> Environment:
    filled = environment()
    filled.filters["integer"] = lambda value: number(value, 0)
    return filled
