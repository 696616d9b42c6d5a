"""The one exception a user is meant to read: it names the thing, the value and the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in what the toolkit was given; the command line prints its text and exits with 1."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Say that no `kind` is called `name`, with the near miss if there is one and the full list if not."""
    choices = sorted(known)
    near = get_close_matches(name, choices, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(choices) or 'none'}."
    return UserError(f"No {kind} '{name}'. {hint}")
