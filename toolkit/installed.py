"""What installed packages offer by entry points: tasks, pretexts, backbones, all through the same door."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any, TypeVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from toolkit.errors import UserError, unknown

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Installed:
    """What an entry point names: the object, its package and version, and its place there."""

    thing: Any
    package: str
    version: str
    point: EntryPoint


def installed_names(kind: str) -> tuple[str, ...]:
    """Return the names that installed packages give to things of a kind, such as "task", without loading any."""
    return tuple(sorted({point.name for point in entry_points(group=_group(kind))}))


def load_installed(kind: str, name: str) -> Installed:
    """Load the thing of a kind that is installed under `name`.

    Raises `UserError` for an unknown name, one that two packages claim, and a package that does not load, with the
    extra that is missing where one is.
    """
    if name not in (names := installed_names(kind)):
        raise unknown(kind, name, names)
    points = list(entry_points(group=_group(kind), name=name))
    if len({point.value for point in points}) > 1:
        claims = " and ".join(sorted(f"{p.dist.name if p.dist else 'unknown'} ({p.value})" for p in points))
        path = ", or give the path of its file" if kind == "task" else ""
        raise UserError(f"Two packages define a {kind} '{name}': {claims}. Uninstall one{path}.")
    point = points[0]
    try:
        thing = point.load()
    except Exception as error:  # a plug-in is somebody else's code
        raise UserError(
            f"The {kind} '{name}' ({point.value}) does not load: {said(error)}.{remedy(point, error)}"
        ) from error
    package, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "unknown")
    return Installed(thing, package, version, point)


def loaded_all(kind: str, load: Callable[[str], Thing]) -> tuple[dict[str, Thing], tuple[str, ...]]:
    """Load every installed thing of a kind by its name; return those that load, and a sentence for every other."""
    things, broken = {}, []
    for name in installed_names(kind):
        try:
            things[name] = load(name)
        except UserError as error:
            broken.append(str(error))
    return things, tuple(broken)


def required(package: Distribution) -> Iterator[tuple[Requirement, str]]:
    """Yield what a package requires on this machine, with the extra that brings it; "" where none need be asked for."""
    extras = ("", *(package.metadata.get_all("Provides-Extra") or ()))
    for needed in map(Requirement, package.requires or ()):
        for extra in extras:
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                yield needed, extra
                break


def remedy(point: EntryPoint, error: BaseException | None) -> str:
    """Say which extra of the plug-in's package brings the module that an error misses, where one does; else ""."""
    if not isinstance(error, ModuleNotFoundError) or not point.dist:
        return ""
    missing = canonicalize_name((error.name or "").split(".")[0])
    for needed, extra in required(point.dist):
        if extra and canonicalize_name(needed.name) == missing:
            return f" It comes with an extra: pip install '{point.dist.name}[{extra}]'."
    return ""


def said(error: Exception) -> str:
    """Return kind and words of an error without a full stop."""
    return f"{type(error).__name__}: {error}".rstrip(".")


def _group(kind: str) -> str:
    return f"toolkit.{kind}s"
