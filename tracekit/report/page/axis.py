"""Axes: from values to places on the page, round marks, and units that a person reads."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A scale. Values are divided by ``unit`` before they are shown."""

    title: str
    low: float
    high: float
    unit: float = 1.0
    log: bool = False
    suffix: str = ""

    def at(self, value: float, start: float, end: float) -> float:
        """Where a value lies between two places."""
        if self.log:
            low, high, value = math.log(self.low), math.log(self.high), math.log(max(value, self.low))
        else:
            low, high = self.low, self.high
        part = (value - low) / (high - low) if high > low else 0.0
        return start + min(max(part, 0.0), 1.0) * (end - start)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values within the axis."""
        if self.log:
            if self.high / self.low < 300:
                start = 10.0 ** math.floor(math.log10(self.low))
                return [value for k in range(4) for n in (1, 2, 5) if self.low <= (value := start * 10**k * n) <= self.high]
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            step = max(1, math.ceil(len(powers) / (wanted + 1)))
            found = [10.0**power for power in powers if power % step == 0]
            return [value for value in found if self.low * 0.999 <= value <= self.high * 1.001] or [self.low, self.high]
        step = _round((self.high - self.low) / self.unit / wanted) * self.unit
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def show(self, value: float) -> str:
        """A value as marks and tooltips write it."""
        shown = value / self.unit
        if shown and abs(shown) < 1e-3:
            return f"{shown:.0e}{self.suffix}"
        digits = 0 if abs(shown) >= 100 or shown == round(shown) else 1 if abs(shown) >= 10 else 2 if abs(shown) >= 0.1 else 3
        text = f"{shown:,.{digits}f}".replace(",", "\u2009")
        return (text.rstrip("0").rstrip(".") if digits else text) + self.suffix


def _round(step: float) -> float:
    """The nearest of 1, 2 or 5 times a power of ten."""
    if step <= 0 or not math.isfinite(step):
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return power * min((1, 2, 5, 10), key=lambda n: abs(math.log(power * n / step)))


def _units(names: tuple[str, ...], sizes: tuple[float, ...], most: float) -> tuple[str, float]:
    fitting = [pair for pair in zip(names, sizes) if most >= pair[1]]
    return fitting[-1] if fitting else (names[0], sizes[0])


def memory(most: float, title: str = "", low: float = 0.0) -> Axis:
    """Pages, shown as KiB, MiB or GiB."""
    name, size = _units(("KiB", "MiB", "GiB", "TiB"), (1 / 4, 256, 256 << 10, 256 << 20), most)
    return Axis(f"{title}{name}", low, max(most, low + 1e-9) * 1.04, size)


def size(most: float) -> Axis:
    """Bytes, shown as KiB, MiB or GiB."""
    name, unit = _units(("KiB", "MiB", "GiB", "TiB"), (1 << 10, 1 << 20, 1 << 30, 1 << 40), most)
    return Axis(name, 0.0, max(most, 1.0) * 1.04, unit)


def time(first: float, last: float) -> Axis:
    """ns, shown as seconds, minutes or hours."""
    name, unit = _units(("ms", "s", "min", "h"), (1e6, 1e9, 300e9, 3 * 3600e9), last)
    return Axis(f"trace time, {name}", first, max(last, first + 1), {"min": 60e9, "h": 3600e9}.get(name, unit))


def count(most: float, title: str = "", scale: Callable[[float], float] = lambda most: most * 1.04) -> Axis:
    """Plain numbers from 0."""
    name, unit = _units(("", "thousand", "million"), (1, 1e3, 1e6), most / 2)
    return Axis(", ".join(part for part in (title, name) if part), 0.0, max(scale(most), 1e-12), unit)


def part(most: float = 1.0, title: str = "") -> Axis:
    """Parts of a whole, shown as per cent."""
    return Axis(title, 0.0, max(most * 1.04, 1e-9) if most < 1 else 1.0, 0.01, suffix="\u2009%")
