"""The one exception a user meets: a single line that says what was given, what was expected, and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZvrError(ValueError):
    """A problem with what the user asked for; the command line prints its one line and exits with code 2."""


def unknown(kind: str, given: str, known: Iterable[str]) -> ZvrError:
    """The error for a name that does not exist, with the nearest names that do."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.4)
    advice = f"did you mean {' or '.join(near)}?" if near else f"choose one of: {', '.join(names)}"
    return ZvrError(f"unknown {kind} {given!r}; {advice}")
