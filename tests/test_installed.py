"""Pretexts of other packages, by the door through which tasks and backbones come too."""

import sys
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest

from toolkit.errors import UserError
from toolkit.installed import installed_names, load_installed, loaded_all, required
from toolkit.pretexts.known import pretext_named

Install = Callable[..., None]
PRETEXT_FILE = """
from dataclasses import replace
from toolkit.pretexts.nextframe import nextframe

NEXT = nextframe()

def own(weight: float = 1.0, kinds: tuple[str, ...] = ()):
    return replace(NEXT, name="own", summary=repr((weight, kinds)))

PRETEXT = replace(NEXT, name="own")
other = replace(NEXT, name="other")
three = 3

def broken():
    return 1 / 0
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package with one module and one entry point, for this test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("first", "second"):
        monkeypatch.delitem(sys.modules, module, raising=False)

    def install(thing: str, package: str = "first", content: str = PRETEXT_FILE, needs: str = "") -> None:
        (tmp_path / f"{package}.py").write_text(content)
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n{needs}")
        (about / "entry_points.txt").write_text(f"[toolkit.pretexts]\nown = {package}:{thing}\n")

    return install


def test_an_installed_pretext_is_found_beside_the_toolkit_s_own(install: Install) -> None:
    """By its name, with package and version."""
    install("PRETEXT")
    assert {"own", "masked"} <= set(installed_names("pretext"))
    found = load_installed("pretext", "own")
    assert (found.package, found.version, found.point.value) == ("first", "1.0", "first:PRETEXT")
    assert pretext_named("own").name == "own"
    with pytest.raises(UserError, match="The pretext 'own' has no options; given: weight"):
        pretext_named("own", {"weight": 2})


def test_a_function_s_parameters_are_the_pretext_s_options(install: Install) -> None:
    """They are validated; what does not fit is named."""
    install("own")
    assert pretext_named("own").summary == "(1.0, ())"
    assert pretext_named("own", {"weight": "2", "kinds": ["a"]}).summary == "(2.0, ('a',))"
    with pytest.raises(UserError, match=r"No option of the pretext 'own' 'wieght'\. Did you mean 'weight'\?"):
        pretext_named("own", {"wieght": 2})


def test_what_a_package_requires_has_its_extra(install: Install) -> None:
    """The first extra that brings it, none where it is always there; what other machines need is left out."""
    lines = ("always", 'other; os_name == "none"', 'either; extra == "a" or extra == "b"', 'quick; extra == "b"')
    needs = "Provides-Extra: a\nProvides-Extra: b\n" + "".join(f"Requires-Dist: {line}\n" for line in lines)
    install("PRETEXT", needs=needs)
    found = [(needed.name, extra) for needed, extra in required(distribution("first"))]
    assert found == [("always", ""), ("either", "a"), ("quick", "b")]


def test_one_that_does_not_load_stops_no_other(install: Install) -> None:
    """All others are loaded, and a sentence says what is wrong."""
    install("broken")
    pretexts, broken = loaded_all("pretext", pretext_named)
    assert set(pretexts) == set(installed_names("pretext")) - {"own"}
    assert len(broken) == 1
    assert "The pretext 'own' (first:broken) cannot be made" in broken[0]


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        ("other", r"The pretext 'own' \(first:other\) calls itself 'other'"),
        ("three", r"The pretext 'own' \(first:three\) cannot be made"),
        ("broken", "cannot be made: ZeroDivisionError: division by zero"),
        ("absent", "The pretext 'own' .* does not load: AttributeError"),
    ],
)
def test_a_broken_one_is_told(install: Install, thing: str, said: str) -> None:
    """With its name, its place and the reason."""
    install(thing)
    with pytest.raises(UserError, match=said):
        pretext_named("own")


def test_a_missing_extra_is_named(install: Install) -> None:
    """Where a module is missing that an extra of the package brings, the extra is told."""
    marker = 'python_version > "3" and extra == "fast"'
    needs = f"Provides-Extra: fast\nRequires-Dist: no-such-module; {marker}\n"
    install("PRETEXT", content="import no_such_module", needs=needs)
    with pytest.raises(UserError, match=r"It comes with an extra: pip install 'first\[fast\]'"):
        pretext_named("own")


def test_two_packages_with_one_name_are_both_named(install: Install) -> None:
    """A name that two packages claim is an error, rather than a choice by order."""
    install("PRETEXT")
    install("PRETEXT", package="second")
    with pytest.raises(UserError, match=r"Two packages define a pretext 'own': first \(first:PRETEXT\) and second"):
        load_installed("pretext", "own")
