"""What a module is: its parameters, what it needs of a trace, its state, its hooks and its clocks.

A module is a class. The engine makes one instance a variant. Per-event work is done by *hooks*: static functions
decorated with ``@jit`` and named ``on_access``, ``on_content``, ``on_io`` or ``on_event``. A hook names what it wants:
``s`` (the module's own state, a NamedTuple of arrays), ``h`` (the host, read-only but for ``writes``) and columns of
the rows by name (``page`` is the dense page id, ``vm`` the VM's index). Per-period work is done by ``control``.
"""

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tracekit import rng
from tracekit.errors import ScenarioError
from tracekit.host import Host
from tracekit.schema import KINDS, Table
from tracekit.trace import Trace
from tracekit.units import PAGE_BYTES, format_bytes, format_duration, parse_duration, parse_size

HOOKS = {kind: f"on_{kind}" for kind in KINDS}


class Size(int):
    """A parameter in bytes, written like ``512MiB``."""


class Duration(int):
    """A parameter in ns, written like ``30s``."""


def param(
    default: Any,
    prose: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: Collection[str] = (),
    why: str = "",
) -> Any:
    """A field of ``Params``: default, what it decides, unit, inclusive bounds or the choices there are; why it can be no more."""
    about = {"prose": prose, "unit": unit, "low": low, "high": high, "choices": tuple(choices), "why": why}
    return dataclasses.field(default=default, metadata=about)


class Site(NamedTuple):
    """Where a module is set up: everything that it may look at and call."""

    trace: Trace
    host: Host  # read-only but for the module's writes
    seed: int
    stage: str
    frames: int  # frames of the host
    usable: int  # machine pages for guest pages; where that is more than frames, the rest can never be used
    origin: int  # trace time of the first row
    stages: Mapping[str, "Module"]  # all modules of the variant
    vm_options: Mapping[str, np.ndarray]  # per-VM options of the scenario, such as place

    def stream(self, *key: object) -> np.ndarray:
        """A random stream of this stage."""
        return rng.stream(self.seed, self.stage, *key)

    def streams(self, count: int, *key: object) -> np.ndarray:
        """``count`` random streams of this stage, one a row."""
        return rng.streams(count, self.seed, self.stage, *key)


class NoState(NamedTuple):
    """State of a module that keeps none."""

    nothing: np.ndarray


class Module:
    """Base of all modules. Subclasses set the class attributes and override what they need.

    ``family`` is the stage it can fill and ``name`` how a scenario chooses it. ``needs`` are capabilities without
    which it is refused, ``uses`` kinds that it reads where the trace has them, ``writes`` the host arrays its hooks
    and ``control`` change, ``tables`` the result tables it fills.
    """

    family: ClassVar[str]
    name: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    writes: ClassVar[tuple[str, ...]] = ()
    tables: ClassVar[tuple[Table, ...]] = ()

    @dataclass(frozen=True)
    class Params:
        """The module's parameters; fields are made with ``param``."""

    def __init__(self, params: Any):
        self.params = params

    def setup(self, site: Site) -> Any:
        """Make the module's state: a NamedTuple of arrays, sized by the trace. Called once, before any row."""
        self.site = site
        return NoState(np.zeros(1, np.int64))

    def further_states(self) -> Mapping[str, Any]:
        """States that the driver's own code takes besides the module's, by name. Called after ``setup``."""
        return {}

    def start(self, kernels: ModuleType, states: Mapping[str, Any]) -> None:
        """Receive the variant's compiled kernels and all states by name, after every setup and before any row."""

    def derive(self, vm: np.ndarray) -> dict[str, np.ndarray]:
        """Access columns beyond the trace's that the hooks name, for the next accesses (of these VMs), in order."""
        return {}

    def clocks(self) -> Mapping[str, int]:
        """Periods in ns of trace time, by name, at which ``control`` is called. Called after ``setup``."""
        return {}

    def appointments(self) -> Collection[int]:
        """Trace times at which ``control`` is called once, with ``due`` = {"appointment"}. Called after ``setup``."""
        return ()

    def control(self, now: int, due: Collection[str], out: "Out") -> None:
        """Called when clocks are due, before the rows of time ``now``."""

    def report(self, now: int, out: "Out") -> None:
        """Add rows to the tables that show how things stand, once a report period and at the end."""

    def finish(self, now: int, out: "Out") -> None:
        """Add rows to the tables that sum up the replay."""

    def audit(self) -> None:
        """Raise AssertionError unless the module's own books balance. Called after the host's were audited."""

    @classmethod
    def hook(cls, kind: str) -> Callable[..., Any] | None:
        """The hook for rows of ``kind``, if the module has one."""
        return getattr(cls, HOOKS[kind], None)

    @classmethod
    def columns(cls) -> dict[str, tuple[str, ...]]:
        """Columns that the hooks consume, by kind."""
        found = {}
        for kind in KINDS:
            hook = cls.hook(kind)
            if hook is not None:
                found[kind] = tuple(name for name in arguments(hook) if name not in ("s", "h"))
        return found


class Out:
    """Collects result rows: ``out.row("savings", now, vm, pages=…)``."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}

    def row(self, table: str, t: int, vm: str, **values: Any) -> None:
        self.rows.setdefault(table, []).append({"t": int(t), "vm": vm, **values})


def arguments(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of a hook's arguments."""
    return tuple(inspect.signature(getattr(function, "py_func", function)).parameters)


def parse_param(module: str, field: dataclasses.Field[Any], value: Any) -> Any:
    """A parameter's value from TOML or ``--set``; raises ScenarioError if it is of a wrong type or out of bounds."""
    about, wanted = field.metadata, type_of(field)
    shown = f"{module}.{field.name}"
    try:
        parsed = _convert(value, wanted)
    except (ValueError, TypeError) as error:
        raise ScenarioError(f"{shown} = {value!r}: {error or 'of a wrong type'}; expected {describe_param(field)}") from None
    low, high, choices = about.get("low"), about.get("high"), about.get("choices")
    if (low is not None and parsed < low) or (high is not None and parsed > high) or (choices and parsed not in choices):
        why = f": {about['why']}" if about.get("why") and parsed > high else ""
        raise ScenarioError(f"{shown} = {value!r} is out of bounds; expected {describe_param(field)}{why}")
    return parsed


def type_of(field: dataclasses.Field[Any]) -> Any:
    """A parameter's type, also where its module postpones the evaluation of annotations."""
    known = {cls.__name__: cls for cls in (Size, Duration, int, float, bool, str)}
    return known.get(field.type, str) if isinstance(field.type, str) else field.type


def _convert(value: Any, wanted: Any) -> Any:
    if wanted is Size:
        return Size(parse_size(value) if isinstance(value, str) else _whole(value))
    if wanted is Duration:
        return Duration(parse_duration(value) if isinstance(value, str) else _whole(value))
    if wanted is bool:
        if str(value).lower() not in ("true", "false"):
            raise ValueError("neither true nor false")
        return str(value).lower() == "true"
    if wanted is int:
        return _whole(value)
    if wanted is float:
        number = float(value)
        if isinstance(value, bool) or not np.isfinite(number):
            raise ValueError("not a finite number")
        return number
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError("not a whole number")
    return int(value)


def describe_param(field: dataclasses.Field[Any]) -> str:
    """What a parameter accepts, in words."""
    about = field.metadata
    if about.get("choices"):
        return "one of " + ", ".join(about["choices"])
    names = {Size: "a size such as 512MiB", Duration: "a duration such as 30s", int: "a whole number", float: "a number"}
    text = names.get(type_of(field), "true or false" if type_of(field) is bool else "a text")
    low, high = about.get("low"), about.get("high")
    if low is not None and high is not None:
        text += f" from {show_param(field, low)} to {show_param(field, high)}"
    elif low is not None:
        text += f" of at least {show_param(field, low)}"
    return text


def show_param(field: dataclasses.Field[Any], value: Any) -> str:
    """A parameter's value for a person."""
    if type_of(field) is Size:
        return format_bytes(value)
    if type_of(field) is Duration:
        return format_duration(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def pages_of(size: int) -> int:
    """Whole pages in ``size`` bytes."""
    return size // PAGE_BYTES
