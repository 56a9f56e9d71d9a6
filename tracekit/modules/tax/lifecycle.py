"""When VMs come, go, and get other shares: by the scenario (``[[vm]] arrive``, ``depart``, ``reshare``), or by boot and power-off events.

A VM is absent at first if the scenario lets it arrive later, or if it boots later and touches nothing before. It goes for
good when the scenario says so; after a power-off event a boot event brings it back. A power-off needs no change here: its
row frees the VM's memory at its place among the rows, and the host notices at its next tick.
"""

from collections.abc import Mapping
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from tracekit.schema import EVENTS
from tracekit.trace import Trace

ARRIVE, DEPART, RESHARE = "arrival", "departure", "shares"
_BOOT, _POWER_OFF = EVENTS.index("boot"), EVENTS.index("power-off")


class Change(NamedTuple):
    """Something that happens to a VM before the rows of time ``t``; ``shares`` are its new ones where it is RESHARE."""

    t: int
    vm: int
    what: str
    shares: int = 0


class Lifecycle(NamedTuple):
    """Who is absent at first (bool by VM), who stays from the first row to the last, and the changes in order of time."""

    absent: np.ndarray
    stays: np.ndarray
    changes: list[Change]


def lifecycle(trace: Trace, options: Mapping[str, np.ndarray]) -> Lifecycle:
    """What the scenario's options of the VMs and the trace's events say."""
    first, events, late = trace.first_t, *_events(trace)
    arrive, depart = options["arrive"], options["depart"]
    absent = (arrive > 0) | late
    changes = [Change(first + int(t), vm, ARRIVE) for vm, t in enumerate(arrive) if t > 0]
    changes += [Change(first + int(t), vm, DEPART) for vm, t in enumerate(depart) if t > 0]
    for vm, steps in enumerate(options["reshare"]):
        changes += [Change(first + t, vm, RESHARE, shares) for t, shares in steps]
    for t, vm, what in events:
        if what == _BOOT and t > first and t >= first + arrive[vm] and not 0 < depart[vm] <= t - first:
            changes.append(Change(t, vm, ARRIVE))
    ends = np.isin(np.arange(len(trace.vms)), [vm for _, vm, what in events if what == _POWER_OFF])
    order = (DEPART, RESHARE, ARRIVE)  # at one time: memory falls free before it is asked for
    changes.sort(key=lambda change: (change.t, order.index(change.what), change.vm))
    return Lifecycle(absent, ~(absent | ends | (depart > 0)), changes)


#: Boots, power-offs and late starters of traces that are open.
_KNOWN: WeakKeyDictionary[Trace, tuple[list[tuple[int, int, int]], np.ndarray]] = WeakKeyDictionary()


def _events(trace: Trace) -> tuple[list[tuple[int, int, int]], np.ndarray]:
    """(t, vm, what) of all boots and power-offs, and which VMs (bool) boot after the first row and have no access before."""
    if trace not in _KNOWN:
        found = []
        for chunk in trace.chunks({"event": ["vm", "what"]} if "event" in trace.kinds else {}):
            rows = chunk.columns["event"]
            kept = (rows["what"] == _BOOT) | (rows["what"] == _POWER_OFF)
            found += zip(*(rows[name][kept].tolist() for name in ("t", "vm", "what")), strict=True)
        _KNOWN[trace] = found, _late(trace, found)
    return _KNOWN[trace]


def _late(trace: Trace, events: list[tuple[int, int, int]]) -> np.ndarray:
    begins = np.zeros(len(trace.vms), np.int64)
    for t, vm, what in reversed(events):
        begins[vm] = t if what == _BOOT else 0
    late = begins > trace.first_t
    if not late.any():
        return late
    for chunk in trace.chunks({"access": ["vm"]} if "access" in trace.kinds else {}):
        rows = chunk.columns["access"]
        late[np.unique(rows["vm"][rows["t"] < begins[rows["vm"]]])] = False
        if rows["t"][-1] >= begins[late].max(initial=0):
            break
    return late
