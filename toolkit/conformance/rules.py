"""The rules in their order, and how a task is checked by all of them."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from toolkit.conformance.compared import baselines, completions
from toolkit.conformance.declared import description, inputs, metric_list
from toolkit.conformance.labelled import apart, blind_columns, blind_split, columns, labels, parts, sample
from toolkit.conformance.modelled import encode, head, loss
from toolkit.conformance.problems import Problem, Stopped, at
from toolkit.conformance.scoring import chunks, perfect, scores, truth
from toolkit.conformance.stated import blind_decode, decode
from toolkit.conformance.subject import Subject
from toolkit.conformance.trained import methods

State = Literal["ok", "FAILED", "not run"]


@dataclass(frozen=True)
class Rule:
    """A rule: its name, the function that finds what breaks it, and the rules without which it cannot be asked."""

    name: str
    check: Callable[[Subject], Iterable[Problem]]
    needs: tuple[str, ...] = ()

    @property
    def holds(self) -> str:
        """What holds where the rule is kept, in a sentence."""
        return (self.check.__doc__ or "").strip().partition("\n")[0]


RULES = (
    Rule("description", description),
    Rule("metric list", metric_list),
    Rule("inputs", inputs),
    Rule("sample", sample),
    Rule("labels", labels, ("inputs", "sample")),
    Rule("parts", parts, ("labels",)),
    Rule("apart", apart, ("parts",)),
    Rule("columns", columns, ("parts",)),
    Rule("encode", encode, ("parts",)),
    Rule("head", head, ("columns",)),
    Rule("loss", loss, ("encode", "head")),
    Rule("decode", decode, ("head",)),
    Rule("blind decode", blind_decode, ("decode",)),
    Rule("blind columns", blind_columns, ("decode",)),
    Rule("blind split", blind_split, ("decode",)),
    Rule("truth", truth, ("parts",)),
    Rule("scores", scores, ("decode", "truth", "metric list")),
    Rule("chunks", chunks, ("scores",)),
    Rule("perfect", perfect, ("scores",)),
    Rule("baselines", baselines, ("scores",)),
    Rule("completions", completions, ("scores",)),
    Rule("methods", methods, ("loss",)),
)
"""All rules; each comes after those it needs."""


@dataclass(frozen=True)
class Outcome:
    """What became of a rule: whether it is kept, the problems where it is not, and the seconds that took."""

    rule: Rule
    state: State
    problems: tuple[Problem, ...] = ()
    seconds: float = 0.0


def outcomes(subject: Subject) -> Iterator[Outcome]:
    """Yield what becomes of each rule; one that needs a rule that is not kept is not run."""
    kept: set[str] = set()
    for rule in RULES:
        if not kept.issuperset(rule.needs):
            yield Outcome(rule, "not run")
            continue
        began = time.perf_counter()
        problems = _problems(rule, subject)
        kept |= set() if problems else {rule.name}
        yield Outcome(rule, "FAILED" if problems else "ok", problems, time.perf_counter() - began)


def _problems(rule: Rule, subject: Subject) -> tuple[Problem, ...]:
    """Return what breaks a rule; warnings, of which few windows cause many, are none of it."""
    found: list[Problem] = []
    try:
        with at(rule.name), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for problem in rule.check(subject):
                found.append(problem)  # noqa: PERF402 - those before an exception are kept
    except Stopped as stopped:
        found.append(stopped.problem)
    return tuple(found)
