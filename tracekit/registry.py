"""Modules by family and name, found through the entry points ``tracekit.modules`` and loaded when asked for.

An entry point is called ``family.name`` and points to the class. Built-ins register in the same way as a stranger's
package; an installed checkout without entry points (an old install) says so rather than finding nothing.
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from tracekit.errors import ScenarioError, nearest

GROUP = "tracekit.modules"

_registered: dict[tuple[str, str], Any] = {}


@cache
def available() -> dict[str, dict[str, EntryPoint]]:
    """Entry points by family and module name, sorted."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        family, dot, name = point.name.partition(".")
        if dot and name:
            found.setdefault(family, {}).setdefault(name, point)
    return found


def register(cls: Any) -> None:
    """Make a module class known to this process by its family and name, without an entry point."""
    _registered[cls.family, cls.name] = cls
    load.cache_clear()


def families() -> list[str]:
    """The stages that there are modules for."""
    return list(dict.fromkeys([*available(), *(family for family, _ in _registered)]))


def names(family: str) -> list[str]:
    """Names of the modules that can fill a stage."""
    return list(dict.fromkeys([*available().get(family, {}), *(name for stage, name in _registered if stage == family)]))


@cache
def load(family: str, name: str) -> Any:
    """The module class ``family.name``; raises ScenarioError if there is none or it cannot be imported."""
    if (family, name) in _registered:
        return _registered[family, name]
    if family not in families():
        raise ScenarioError(
            f"unknown stage {family!r}{nearest(family, families())}; expected one of {', '.join(families()) or 'none: install tracekit'}"
        )
    if name not in names(family):
        raise ScenarioError(
            f"no module {name!r} for stage {family!r}{nearest(name, names(family))}; expected one of {', '.join(names(family))}"
        )
    point = available()[family][name]
    try:
        cls = point.load()
    except (ImportError, AttributeError) as error:
        raise ScenarioError(f"module {family}.{name} ({point.value}) cannot be loaded: {error}; install its package again") from None
    if getattr(cls, "family", None) != family or getattr(cls, "name", None) != name:
        raise ScenarioError(
            f"{point.value} is registered as {family}.{name} but calls itself {getattr(cls, 'family', '?')}.{getattr(cls, 'name', '?')}"
        )
    return cls
