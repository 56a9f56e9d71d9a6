"""Parameters of recipes: how a field is declared, read from text, bounded and described.

A recipe's ``Params`` is a frozen dataclass whose fields are made with ``param``. Values come as Python objects or as
the text of a command line (``pages=1000``, ``memory=256MiB``, ``phase=30s``, ``sizes=50MiB,100MiB``).
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tracekit.errors import ScenarioError
from tracekit.units import PAGE_BYTES, format_bytes, format_duration, parse_duration, parse_size

P = TypeVar("P")


class Size(int):
    """A parameter in bytes, written like ``256MiB``."""


class Duration(int):
    """A parameter in ns, written like ``30s``."""


class Sizes(tuple[int, ...]):
    """A parameter of several sizes in bytes, written like ``50MiB,100MiB``."""


def param(default: Any, prose: str, unit: str = "", low: float | None = None, high: float | None = None) -> Any:
    """A field of ``Params``: default, what it decides, unit and inclusive bounds (of each item where it has several)."""
    return dataclasses.field(default=default, metadata={"prose": prose, "unit": unit, "low": low, "high": high})


def share(default: float, prose: str) -> Any:
    """A field that is a share from 0 to 1."""
    return param(default, prose, low=0.0, high=1.0)


def resolve(recipe: str, params: type[P], given: Mapping[str, Any]) -> P:
    """``params`` with the values given, texts parsed by the fields' types. Raises ScenarioError on any it cannot take."""
    fields = {field.name: field for field in dataclasses.fields(params)}  # pyright: ignore[reportArgumentType]
    for name in given:
        if name not in fields:
            raise ScenarioError(f"{recipe} has no parameter {name!r}; it has {', '.join(fields)}: use one of these")
    return params(**{name: _parse(recipe, fields[name], value) for name, value in given.items()})


def describe(params: type[Any]) -> list[dict[str, str]]:
    """One dict a parameter for a listing: name, type, default (as text to be given back), unit, prose."""
    return [
        {
            "name": field.name,
            "type": field.type.__name__.lower() if isinstance(field.type, type) else str(field.type),
            "default": _show(field.type, field.default),
            "unit": field.metadata["unit"] or _UNITS.get(field.type, ""),
            "prose": field.metadata["prose"],
        }
        for field in dataclasses.fields(params)
    ]


def plain(params: Any) -> dict[str, Any]:
    """The parameters as JSON can hold them: sizes in bytes, durations in ns."""
    return {name: _plain(value) for name, value in dataclasses.asdict(params).items()}


def pages_of(size: int, recipe: str, name: str) -> int:
    """Pages in ``size`` bytes. Raises ScenarioError unless it is a whole number of pages."""
    if size % PAGE_BYTES:
        raise ScenarioError(f"{recipe}: {name} = {size} bytes is not a whole number of 4 KiB pages; give a multiple of 4KiB")
    return size // PAGE_BYTES


def refuse(recipe: str, found: str, do: str) -> None:
    """Raise the ScenarioError for parameters that contradict one another."""
    raise ScenarioError(f"{recipe}: {found}; {do}")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [int(item) for item in value]
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _parse(recipe: str, field: dataclasses.Field[Any], value: Any) -> Any:
    shown = f"{recipe}: {field.name} = {value!r}"
    try:
        parsed = _READERS[field.type](value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ScenarioError(f"{shown}: {error}; expected {_expected(field)}") from None
    low, high = field.metadata["low"], field.metadata["high"]
    for item in parsed if isinstance(parsed, tuple) else (parsed,):
        if (low is not None and item < low) or (high is not None and item > high):
            raise ScenarioError(f"{shown} is out of bounds; expected {_expected(field)}")
    return parsed


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError("not a whole number")
    try:
        return int(value)
    except (ValueError, TypeError):
        raise ValueError("not a whole number") from None


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (ValueError, TypeError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _truth(value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise ValueError("neither true nor false")
    return str(value).lower() == "true"


def _size(value: Any) -> Size:
    return Size(parse_size(value) if isinstance(value, str) else _whole(value))


def _duration(value: Any) -> Duration:
    return Duration(parse_duration(value) if isinstance(value, str) else _whole(value))


def _sizes(value: Any) -> Sizes:
    items = value.split(",") if isinstance(value, str) else value
    sizes = Sizes(_size(item) for item in items)
    if not sizes:
        raise ValueError("no size")
    return sizes


_READERS: dict[Any, Callable[[Any], Any]] = {
    int: _whole, float: _number, bool: _truth, Size: _size, Duration: _duration, Sizes: _sizes,
}  # fmt: skip
_EXPECTED: dict[Any, str] = {
    int: "a whole number", float: "a number", bool: "true or false", Size: "a size such as 256MiB",
    Duration: "a duration such as 30s", Sizes: "sizes such as 50MiB,100MiB",
}  # fmt: skip
_UNITS: dict[Any, str] = {Size: "byte", Sizes: "byte", Duration: "ns"}


def _expected(field: dataclasses.Field[Any]) -> str:
    low, high = field.metadata["low"], field.metadata["high"]
    text = _EXPECTED[field.type]
    if low is not None and high is not None:
        return f"{text} from {_show(field.type, low)} to {_show(field.type, high)}"
    return text if low is None else f"{text} of at least {_show(field.type, low)}"


def _show(kind: Any, value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(_show(Size, item) for item in value)
    if kind is Size or kind is Sizes:
        return format_bytes(value).replace(" ", "").replace(".00", "").replace(".0", "") if value % 1024 == 0 else f"{value}B"
    if kind is Duration:
        return format_duration(value).replace(" ", "") if value < 120 * 10**9 else f"{value / 1e9:g}s"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
