"""Parameters of recipes: how a field is declared, read from text, bounded and described.

A recipe's ``Params`` is a frozen dataclass whose fields are made with the functions below. Values come as Python objects or
as the text of a command line (``pages=1000``, ``memory=256MiB``, ``phase=30s``, ``sizes=50MiB,100MiB``).
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from tracekit.errors import ScenarioError
from tracekit.units import PAGE_BYTES, format_bytes, format_duration, parse_duration, parse_size

P = TypeVar("P")

# ---------------------------------------------------------------------------------------------------- declaring


def count(default: int, prose: str, low: int, high: int, unit: str = "") -> Any:
    """A field that is a whole number within inclusive bounds."""
    return _field("count", default, prose, unit, low, high)


def number(default: float, prose: str, low: float, high: float, unit: str = "") -> Any:
    """A field that is any number within inclusive bounds."""
    return _field("number", default, prose, unit, low, high)


def share(default: float, prose: str) -> Any:
    """A field that is a share from 0 to 1."""
    return _field("number", default, prose, "", 0.0, 1.0)


def flag(default: bool, prose: str) -> Any:
    """A field that is true or false."""
    return _field("flag", default, prose, "", False, True)


def memory_size(default: int, prose: str, low: int = 0, high: int = 1 << 36) -> Any:
    """A field in bytes, a whole number of pages, written like ``256MiB``."""
    return _field("size", default, prose, "byte", low, high)


def size_of_pages(default: int, prose: str, low: int = 4096) -> Any:
    """A field in bytes, a whole number of pages, of part of a VM's memory."""
    return memory_size(default, prose, low, 1 << 43)


def memory_sizes(default: Sequence[int], prose: str, low: int = 0, high: int = 1 << 36) -> Any:
    """A field of several sizes in bytes, written like ``50MiB,100MiB``; the bounds are of each."""
    return _field("sizes", tuple(default), prose, "byte", low, high)


def timespan(default: int, prose: str, low: int = 1, high: int = 10**16) -> Any:
    """A field in ns, written like ``30s``."""
    return _field("duration", default, prose, "ns", low, high)


def text(default: str, prose: str) -> Any:
    """A field that is any text."""
    return _field("text", default, prose, "", "", "")


def choice(default: str, prose: str, of: Sequence[str]) -> Any:
    """A field that is one of several words."""
    return dataclasses.field(default=default, metadata=_about("choice", prose, "", "", "") | {"of": tuple(of)})


def field_like(default: Any, prose: str, low: Any, high: Any) -> Any:
    """A field of the kind that ``default`` is written as: ``10``, ``0.5``, ``true``, ``"256MiB"``, ``"30s"``, a list of sizes, or text.

    Bounds that are None are the kind's own. Raises ValueError if it is written as none of these.
    """
    kind = next((kind for kind in _KINDS if kind in _WRITTEN and _reads(kind, default)), None)
    if kind is None:
        raise ValueError("neither a number, true, false, a size, a duration, sizes nor a text")
    least, most = _WRITTEN[kind]
    read = _KINDS[kind][0]
    bounds = [read(given) if given is not None else own for given, own in ((low, least), (high, most))]
    found = read(default)
    if kind != "text" and not all(bounds[0] <= item <= bounds[1] for item in (found if isinstance(found, tuple) else (found,))):
        raise ValueError("its default is out of its bounds")
    return _field(kind, found, prose, {"size": "byte", "sizes": "byte", "duration": "ns"}.get(kind, ""), *bounds)


def _field(kind: str, default: Any, prose: str, unit: str, low: Any, high: Any) -> Any:
    return dataclasses.field(default=default, metadata=_about(kind, prose, unit, low, high))


def _about(kind: str, prose: str, unit: str, low: Any, high: Any) -> dict[str, Any]:
    return {"kind": kind, "prose": prose, "unit": unit, "low": low, "high": high}


# ---------------------------------------------------------------------------------------------------- using


def resolve(recipe: str, params: type[P], given: Mapping[str, Any]) -> P:
    """``params`` with the values given, texts parsed by the fields' kinds. Raises ScenarioError on any it cannot take."""
    fields = {field.name: field for field in dataclasses.fields(params)}  # pyright: ignore[reportArgumentType]
    for name in given:
        if name not in fields:
            raise ScenarioError(f"{recipe} has no parameter {name!r}; it has {', '.join(fields)}: use one of these")
    return params(**{name: _parse(recipe, fields[name], value) for name, value in given.items()})


def describe(params: type[Any]) -> list[dict[str, str]]:
    """One dict a parameter for a listing: name, kind, default (as text that can be given back), unit, prose."""
    return [
        {"name": field.name, "default": _show(field.metadata["kind"], field.default)}
        | {key: field.metadata[key] for key in ("kind", "unit", "prose")}
        for field in dataclasses.fields(params)
    ]


def plain(params: Any) -> dict[str, Any]:
    """The parameters as JSON holds them: sizes in bytes, durations in ns."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(params).items()}


def refuse(recipe: str, found: str, do: str) -> NoReturn:
    """Raise the ScenarioError for parameters that contradict one another."""
    raise ScenarioError(f"{recipe}: {found}; {do}")


# ---------------------------------------------------------------------------------------------------- parsing


def _parse(recipe: str, field: dataclasses.Field[Any], value: Any) -> Any:
    read, expected = _KINDS[field.metadata["kind"]]
    low, high = (_show(field.metadata["kind"], field.metadata[bound]) for bound in ("low", "high"))
    if field.metadata["kind"] == "choice":
        expected += ", ".join(field.metadata["of"])
    elif field.metadata["kind"] not in ("flag", "text"):
        expected += f" from {low} to {high}"
    try:
        parsed = read(value)
    except (ValueError, TypeError, OverflowError) as error:
        refuse(recipe, f"{field.name} = {value!r} cannot be taken ({error})", f"give {expected}")
    if field.metadata["kind"] == "choice" and parsed not in field.metadata["of"]:
        refuse(recipe, f"{field.name} = {value!r} is none of them", f"give {expected}")
    for item in parsed if isinstance(parsed, tuple) else (parsed,):
        if field.metadata["kind"] not in ("text", "choice") and not field.metadata["low"] <= item <= field.metadata["high"]:
            refuse(recipe, f"{field.name} = {value!r} is out of bounds", f"give {expected}")
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
        found = float(value)
    except (ValueError, TypeError):
        found = math.nan
    if isinstance(value, bool) or not math.isfinite(found):
        raise ValueError("not a finite number")
    return found


def _flag(value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise ValueError("neither true nor false")
    return str(value).lower() == "true"


def _size(value: Any) -> int:
    found = parse_size(value) if isinstance(value, str) else _whole(value)
    if found % PAGE_BYTES:
        raise ValueError("not a whole number of 4 KiB pages")
    return found


def _sizes(value: Any) -> tuple[int, ...]:
    found = tuple(_size(item) for item in (value.split(",") if isinstance(value, str) else value))
    if not found:
        raise ValueError("no size")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _duration(value: Any) -> int:
    return parse_duration(value) if isinstance(value, str) else _whole(value)


_KINDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "count": (_whole, "a whole number"),
    "number": (_number, "a number"),
    "flag": (_flag, "true or false"),
    "size": (_size, "a multiple of 4KiB"),
    "sizes": (_sizes, "multiples of 4KiB such as 50MiB,100MiB, each"),
    "duration": (_duration, "a duration such as 30s"),
    "text": (_text, "a text"),
    "choice": (_text, "one of "),
}
#: Kinds that a recipe's own parameters can have, in the order in which they are tried, and their widest bounds.
_WRITTEN: dict[str, tuple[Any, Any]] = {
    "flag": (False, True), "count": (0, 1 << 62), "number": (-math.inf, math.inf), "sizes": (0, 1 << 43), "size": (0, 1 << 43),
    "duration": (0, 10**16), "text": ("", ""),
}  # fmt: skip


def _reads(kind: str, value: Any) -> bool:
    """Whether ``value`` is written as this kind is: numbers bare, sizes and durations with their units."""
    written = {"flag": bool, "count": int, "number": float, "sizes": list}.get(kind, str)
    if type(value) is not written or (kind == "size" and value.isdigit()):
        return False
    try:
        _KINDS[kind][0](value)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def _show(kind: str, value: Any) -> str:
    """A value as text that ``resolve`` takes back, where it is a default."""
    if isinstance(value, tuple):
        return ",".join(_show(kind, item) for item in value)
    if kind in ("size", "sizes"):
        text = format_bytes(value).replace(" ", "").replace(".00", "").replace(".0", "")
        return text if parse_size(text) == value else f"{value}B"
    if kind == "duration":
        text = format_duration(value).replace(" ", "")
        return text if value < 120 * 10**9 and parse_duration(text) == value else f"{value // 10**9}s"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
