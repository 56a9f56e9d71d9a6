"""Sizes and durations as people write them: ``512MiB``, ``10min``; and back."""

import re
from collections.abc import Callable

PAGE_BYTES = 4096

_SIZES = {
    "": 1,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "K": 1 << 10,
    "M": 1 << 20,
    "G": 1 << 30,
    "T": 1 << 40,
}
_DURATIONS = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")


def _parse(text: str, units: dict[str, int], what: str, example: str) -> int:
    match = _QUANTITY.fullmatch(text)
    if not match or match[2] not in units:
        known = ", ".join(unit for unit in units if unit)
        raise ValueError(f"{text!r} is not a {what}; write for example {example} (units: {known})")
    whole, _, fraction = match[1].partition(".")
    scale = units[match[2]]
    value = int(whole) * scale
    if fraction:  # exact integer arithmetic: no float rounding of large quantities
        value += int(fraction) * scale // 10 ** len(fraction)
    if value >= 1 << 62:
        raise ValueError(f"{text!r} is too large a {what}")
    return value


def parse_size(text: str) -> int:
    """Bytes in ``text`` (``"512MiB"`` → 536870912); a bare number is bytes. Raises ValueError."""
    return _parse(text, _SIZES, "size", "512MiB")


def parse_duration(text: str) -> int:
    """Nanoseconds in ``text`` (``"30s"`` → 30 000 000 000); the unit is required. Raises ValueError."""
    return _parse(text, _DURATIONS, "duration", "10min")


def parse_schedule(text: str, read: Callable[[str], int]) -> list[tuple[int, int]]:
    """``"30s=128MiB 42s=96MiB"`` → [(ns, what ``read`` makes of the value)] in order of time. Raises ValueError."""
    schedule = []
    for step in text.split():
        when, equals, value = step.partition("=")
        if not equals:
            raise ValueError(f"{step!r} is not of the form time=value")
        schedule.append((parse_duration(when), read(value)))
    if schedule != sorted(schedule, key=lambda step: step[0]):
        raise ValueError("its times are out of order; sort them")
    return schedule


def format_bytes(count: float) -> str:
    """A size for a person: ``1.50 GiB``, ``12.0 MiB``, ``640 B``."""
    for unit in ("GiB", "MiB", "KiB"):
        if abs(count) >= _SIZES[unit]:
            value = count / _SIZES[unit]
            return f"{value:.2f} {unit}" if value < 10 else f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
    return f"{count:.0f} B"


def format_pages(pages: float) -> str:
    """Pages as a size for a person."""
    return format_bytes(pages * PAGE_BYTES)


def format_duration(ns: float) -> str:
    """A span for a person: ``1 h 05 min``, ``9 min 15 s``, ``64.3 s``, ``120 ms``."""
    if ns >= 365 * 86400e9:
        return f"{ns / (365 * 86400e9):.1f} years"
    if ns >= 100 * 3600e9:
        return f"{ns / 86400e9:.1f} days"
    if ns >= 3600e9:
        hours, rest = divmod(round(ns / 60e9), 60)
        return f"{hours} h {rest:02d} min"
    if ns >= 120e9:
        minutes, rest = divmod(round(ns / 1e9), 60)
        return f"{minutes} min {rest:02d} s"
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= scale:
            return f"{ns / scale:.3g} {unit}"
    return f"{ns:.0f} ns"


def format_count(count: float) -> str:
    """A count for a person, in thin groups of three: ``35 899 275``."""
    return f"{count:,.0f}".replace(",", " ")
