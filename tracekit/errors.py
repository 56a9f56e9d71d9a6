"""The errors a user can cause. Each is one sentence: what, where, what was expected, what to do."""

import difflib
from collections.abc import Iterable


class TracekitError(Exception):
    """Something the user gave cannot be used; the command line prints it and exits with 3."""


class TraceError(TracekitError):
    """A trace file is unreadable, breaks a rule of the trace model, or cannot support what is asked of it."""


class CaptureError(TracekitError):
    """What is to be captured is not there, or is not what it was taken for."""


class ScenarioError(TracekitError):
    """A scenario, parameter or module name is unknown, impossible or contradictory."""


def first_line(error: BaseException) -> str:
    """What another library's error says, as a part of such a sentence: its first line, or else its name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def nearest(name: str, known: Iterable[str]) -> str:
    """A guess at what was meant, to put into such a sentence; nothing if nothing is near."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""
