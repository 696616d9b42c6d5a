"""The sentences of a study: how many labels pretraining saved, by the primary metric, and what that does not show."""

import re
from collections.abc import Iterable

from toolkit.report.numbers import UNDEFINED, counted, decimals, interval, or_nan, quantity
from toolkit.report.study_looks import COMPLETED, completion
from toolkit.report.words import SIMULATED, Tile, in_sentence, method_title, metric_title, rough
from toolkit.study.table import Curve, Line, MetricCurves, Point, Saving, StudyTable

ALL_THE_SAME = 1.05
"""Fewer times fewer labels than this are none fewer."""
_TIMES = re.compile(r"(?:at least )?[\d.,]+ times")
_HOW = {"probe": "a probe on {}", "lora": "LoRA on {}", "full": "full fine-tuning of {}"}


def line_title(line: Line) -> str:
    """Return "LoRA, general-vit" or "From scratch + steering flow"; the name of a baseline as it is."""
    if line.kind == "classical":
        return line.name[:1].upper() + line.name[1:]
    method, plus, added = line.method.partition(COMPLETED)
    title = f"{method_title(method)}{plus}{added}"
    return f"{title}, {line.backbone}" if line.backbone else title


def done_by(line: Line) -> str:
    """Return what was done, as it stands within a sentence: "LoRA on general-vit", "training from scratch"."""
    if line.kind == "classical":
        return line.name
    method, added = line.method.partition(COMPLETED)[0], completion(line)
    how = "training from scratch" if line.kind == "scratch" else _HOW.get(method, f"{method} of {{}}")
    return how.format(line.backbone) + (f" with {added}" if added else "")


def lead_saving(metric: MetricCurves) -> Saving | None:
    """Return the most that a pretrained line saves over training from scratch, both completed by the same or nothing.

    Where no pretrained line reaches its score, the first that was tried. None where the study does not compare them.
    """
    pairs = [s for s in metric.savings if s.ours.kind == "pretrained" and s.theirs.kind == "scratch"]
    alike = [s for s in pairs if completion(s.ours) == completion(s.theirs)]
    plain = [s for s in alike if not completion(s.ours)]
    return max(plain or alike or pairs, key=lambda saving: saving.saved or 0.0, default=None)


def saved_parts(saving: Saving) -> tuple[str, str]:
    """Return the words of a saving in two: "at least 31 times", and the interval or doubt that follows."""
    found = _TIMES.match(saving.words)
    if found is None:
        return saving.words, ""
    return found[0], saving.words[found.end() :].strip(", ").replace(" ", "\N{NO-BREAK SPACE}")


def saved_times(saving: Saving) -> str:
    """Return "16 times fewer labels [9, 31]", "no fewer labels [0.8, 1.3]", or that the score was not reached."""
    times, doubt = saved_parts(saving)
    if saving.saved is None:
        return saving.words
    between = " " if doubt.startswith(("[", "(")) else ", "
    return f"{_fewer(saving, times)}{between * bool(doubt)}{doubt}"


def title(table: StudyTable) -> str:
    """Return the answer as a heading, of the primary metric alone."""
    saving = lead_saving(table.metrics[table.primary])
    if saving is None:
        return f"Scores against labels: {table.task.replace('_', ' ')}"
    theirs = counted(saving.full, table.groups)
    if not saving.known:
        return f"Not known: how many labels {done_by(saving.ours)} saves against {done_by(saving.theirs)}"
    if saving.saved is None:
        return f"No pretrained method is as good as {done_by(saving.theirs)} with {theirs}"
    times = _fewer(saving, saved_parts(saving)[0])
    needs = f"{counted(_needed(saving), table.groups)}{' or fewer' if saving.at_least else ''}"
    return f"With {needs} {done_by(saving.ours)} is as good as {done_by(saving.theirs)} with {saving.full:,}: {times}"


def lead(table: StudyTable) -> list[str]:
    """Return the same in sentences that bear numbers: interval, scores, the fewest labels, and the other opponents."""
    metric = table.metrics[table.primary]
    name, saving = in_sentence(metric_title(metric.metric)), lead_saving(metric)
    if saving is None:
        return [f"The study measures {name} by the number of labelled {table.groups}; {metric.better} is better."]
    curves = {curve.line: curve for curve in metric.curves}
    score = scored(metric, last_point(curves.get(saving.theirs)))
    told = [f"Trained on {counted(saving.full, table.groups)}, {done_by(saving.theirs)} has a {name} of {score}."]
    if not saving.known:
        told.append("No seed has a score of it that can be compared with that of a pretrained method at every budget.")
    elif saving.saved is None:
        told.append(f"With all its labels, {done_by(saving.ours)} has not reached that: no labels were saved.")
    else:
        told.append(_needs(saving, table.groups))
    told += _with_fewest(table, metric, saving)
    return told


def tiles(table: StudyTable) -> list[Tile]:
    """Return the few numbers to take away."""
    metric, found = table.metrics[table.primary], []
    led = lead_saving(metric)
    if led is not None:
        others = [s for s in metric.savings if s.ours == led.ours and s.theirs.kind != "pretrained" and s.known]
        strongest = min((s for s in others if s != led), key=lambda saving: saving.saved or 0.0, default=None)
        for saving in (led, strongest):
            if saving is not None:
                against = f"Labels saved against {saving.theirs.name}"
                found.append(Tile(against, _short(saving), f"{done_by(saving.ours)} {saved_parts(saving)[1]}".rstrip()))
        curve = next((c for c in metric.curves if c.line == led.ours and c.points), None)
        if curve is not None:
            fewest, most = (counted(curve.points[k].labels, table.groups) for k in (0, -1))
            value, note = scored(metric, curve.points[0], limits=False), scored(metric, curve.points[-1])
            found.append(Tile(f"{metric_title(metric.metric)} with {fewest}", value, f"{note} with {most}"))
    note = f"{counted(len(metric.curves), 'lines')}, {counted(seeds_of(table), 'seeds')} each"
    return [*found, Tile("Scored on", counted(table.test_groups, f"test {table.groups}"), note)]


def limits(table: StudyTable) -> list[str]:
    """Return what the numbers do not show, then the notes of the study itself."""
    draw = (
        ", which draw the labels and the random weights; with all labels there is one draw of them, and the interval "
        "is for these"
    )
    one = "; one seed does not tell how far with other labels and random weights"
    told = [
        f"The intervals tell how far a score would vary with other {drawn_over(table)}"
        f"{draw if seeds_of(table) > 1 else one}. "
        "They do not hold what another world or another backbone would change.",
        *rough(table.test_groups, table.groups),
        f"The {table.groups} that are needed are read off between budgets, along the logarithm of their number; where "
        "more labels did worse, neighbouring budgets count as one. Where a line is there with its fewest labels, the "
        "study cannot tell how many fewer would do.",
        "The heading takes the best of the pretrained lines on the same test, so it is a little flattered. "
        f"Only {metric_title(table.primary)} was chosen beforehand.",
        "Differences hold together for one metric (Holm's correction), not over all metrics.",
    ]
    if table.failed:
        told.append("Scores with failed cells are means of fewer seeds.")
    if table.about.get("simulated"):
        told.insert(
            0,
            SIMULATED,
        )
    return [*told, *map(str, table.about.get("notes", ()))]


def places(metric: MetricCurves) -> int:
    """Return how many decimals the numbers of a metric have."""
    return decimals(or_nan(v) for c in metric.curves for p in c.points for v in (p.value, p.low, p.high))


def scored(metric: MetricCurves, point: Point | None, limits: bool = True) -> str:
    """Return a point's value with its unit and its interval."""
    if point is None or point.value is None:
        return UNDEFINED
    many = places(metric)
    ends = interval(or_nan(point.low), or_nan(point.high), many) if limits else ""
    return f"{quantity(point.value, many, metric.unit)} {ends}".rstrip()


def last_point(curve: Curve | None) -> Point | None:
    """Return the point with the most labels that has a value."""
    return next((point for point in reversed(curve.points if curve else ()) if point.value is not None), None)


def seeds_of(table: StudyTable) -> int:
    """Return how many seeds the points of the primary metric have at most."""
    curves = table.metrics[table.primary].curves
    return max((len(point.seeds) for curve in curves for point in curve.points), default=0)


def drawn_over(table: StudyTable, count: int | None = None) -> str:
    """Return over what intervals are: "62 test storms and seeds"; one seed says nothing of others."""
    groups = f"test {table.groups}" if count is None else counted(count, f"test {table.groups}")
    return groups + " and seeds" * (seeds_of(table) > 1)


def _needed(saving: Saving) -> int:
    return max(1, round(saving.needed or 0))


def _needs(saving: Saving, groups: str) -> str:
    """Say how many labels ours needs, how many times fewer that is, and what its interval leaves open."""
    about = "at most" if saving.at_least else "about"
    first = f"For that, {done_by(saving.ours)} needs {about} {counted(_needed(saving), groups)}: {saved_times(saving)}"
    if saving.low is None:
        return f"{first}; the interval does not rule out that it needs more than all labels."
    if saving.low <= 1:
        return f"{first}, which could be none."
    return f"{first}{'; the study has no fewer labels to tell how many more' * (saving.high is None)}."


def _with_fewest(table: StudyTable, metric: MetricCurves, saving: Saving) -> Iterable[str]:
    """Say how both do with the fewest labels that both have."""
    ours, theirs = (
        {p.labels: p for c in metric.curves if c.line == line for p in c.points if p.value is not None}
        for line in (saving.ours, saving.theirs)
    )
    if shared := sorted(ours.keys() & theirs.keys()):
        a, b = (scored(metric, points[shared[0]]) for points in (ours, theirs))
        fewest = counted(shared[0], table.groups)
        yield f"With only {fewest} it has {a}, {done_by(saving.theirs)} {b}; {metric.better} is better."


def _fewer(saving: Saving, times: str) -> str:
    same = saving.saved is not None and saving.saved < ALL_THE_SAME and not saving.at_least
    return "no fewer labels" if same else f"{times} fewer labels"


def _short(saving: Saving) -> str:
    if saving.saved is None:
        return "not reached" if saving.known else saving.words
    return saved_parts(saving)[0].replace("at least ", "≥\N{NO-BREAK SPACE}").replace(" times", "×")
