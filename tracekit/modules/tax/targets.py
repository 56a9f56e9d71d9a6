"""From prices to targets: min-funding revocation, admission, and the states of free memory (paper sections 5 and 6)."""

from collections.abc import Callable, Sequence

import numpy as np

from tracekit.errors import ScenarioError
from tracekit.units import format_pages


def idle_price(shares: np.ndarray, pages: np.ndarray, active: np.ndarray, rate: float | np.ndarray) -> np.ndarray:
    """Shares per page with idle pages taxed: ρ = S / (P (f + k (1 − f))), k = 1 / (1 − τ), f = active / P (section 5.2)."""
    used = np.minimum(active, pages)
    return shares / np.maximum(used + (pages - used) / (1.0 - rate), 1e-9)


def revoke(price: Callable[[np.ndarray], np.ndarray], least: np.ndarray, most: np.ndarray, memory: int) -> np.ndarray:
    """Targets (int64 pages by VM, summing to ``memory`` where the bounds allow) by min-funding revocation.

    Memory is taken from the VM that pays the lowest price a page until what is left is enough: at the end all VMs
    not at a bound pay one price. ``price(pages)`` must fall as pages grow. Found by bisection on that price, and for
    each price on the pages, so that any such function will do. Σ least ≤ memory is the caller's to ensure.
    """
    least, most = np.minimum(least, most).astype(np.int64), most.astype(np.int64)
    if most.sum() <= memory:
        return most.copy()
    low, high = 0.0, float(price(np.maximum(least, 1)).max()) * 2
    for _ in range(64):
        level = (low + high) / 2
        targets = _affordable(price, least, most, level)
        spare = memory - int(targets.sum())
        if spare < 0:
            low = level
        else:
            high = level
        if 0 <= spare <= len(most):
            break
    else:
        targets = _affordable(price, least, most, high)
    # What rounding leaves over goes page by page to whoever pays most.
    rest = int(memory - targets.sum())
    while rest > 0:
        room = targets < most
        if not room.any():
            break
        best = int(np.argmax(np.where(room, price(targets + 1), -np.inf)))
        step = max(1, rest // (4 * len(targets)))
        step = min(step, rest, int(most[best] - targets[best]))
        targets[best] += step
        rest -= step
    return targets


def _affordable(price: Callable[[np.ndarray], np.ndarray], least: np.ndarray, most: np.ndarray, level: float) -> np.ndarray:
    """The most pages of each VM, between its bounds, at which it still pays ``level`` a page."""
    low, high = least.copy(), most.copy()
    while (low < high).any():
        middle = (low + high + 1) // 2
        pays = price(np.maximum(middle, 1)) >= level
        low, high = np.where(pays, middle, low), np.where(pays, high, np.minimum(middle - 1, high))
        high = np.maximum(high, low)
    return low


def next_state(state: int, free: float, thresholds: Sequence[float], margin: float, reading: str = "own") -> int:
    """The host's state after free memory has come to ``free`` percent (index into the states of ``thresholds``; section 6.3).

    ``thresholds`` are those of high, soft, hard and low. A state is entered from above when free memory falls below
    its threshold (``own``), or below that of the state above it (``above``: the thresholds are then where states end);
    either way it is left upward only when free memory exceeds the threshold of the state above by ``margin``.
    """
    entered = thresholds[1:] if reading == "own" else thresholds[:-1]
    deepest = sum(free < threshold for threshold in entered)
    if deepest > state:
        return deepest
    while state > 0 and free > thresholds[state - 1] + margin:
        state -= 1
    return state


def admit(names: list[str], least: np.ndarray, most: np.ndarray, overhead: int, memory: int, swap: int) -> None:
    """Admission control (section 6.1): raise ScenarioError with the arithmetic unless every VM's minimum is backed.

    All in pages: Σ (min + overhead) ≤ memory, Σ (max − min) ≤ swap. A negative ``swap`` is without limit.
    """
    needed = int(least.sum()) + overhead * len(names)
    if needed > memory:
        raise ScenarioError(
            f"not admitted: {len(names)} VMs need Σ min {format_pages(least.sum())} + {len(names)} × overhead {format_pages(overhead)} = "
            f"{format_pages(needed)}, the host has {format_pages(memory)}; give it more --memory, lower the minima or tax.overhead"
        )
    excess = int((most - least).sum())
    if 0 <= swap < excess:
        raise ScenarioError(
            f"not admitted: Σ (max − min) = {format_pages(excess)} must fit the swap space, which is {format_pages(swap)}; raise host.swap"
        )
