"""Where a guest's RAM lies in its physical addresses: as QEMU says, not as it is usually laid out.

Below 4 GiB there is room for devices, so beyond it the place in the file of the RAM and the guest's address differ; a
VGA card covers some of it, and the firmware's shadow is RAM that is shown read-only.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tracekit.capture.qmp import Monitor, ask_person
from tracekit.errors import CaptureError
from tracekit.units import PAGE_BYTES

_LINE = re.compile(r"\s*([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, (ram|rom|romd)\): (.+?)(?: @([0-9a-f]{16}))?(?: KVM)?\s*")


@dataclass(frozen=True)
class Range:
    """``size`` bytes of guest-physical addresses from ``start`` on, which are those from ``offset`` on of RAM block ``block``."""

    start: int
    size: int
    block: str
    offset: int

    @property
    def end(self) -> int:
        return self.start + self.size


def ram_ranges(monitor: Monitor) -> list[Range]:
    """The guest's RAM by address. Raises CaptureError if QEMU does not say."""
    backends = {str(backend.get("id")): int(backend["size"]) for backend in monitor.execute("query-memdev")}
    ranges = parse_flat_view(ask_person(monitor, "info mtree -f"), backends)
    if not ranges:
        known = ", ".join(backends) or "none"
        raise CaptureError(f"{monitor.where}: QEMU maps no RAM where the CPU sees it (memory backends: {known}); is it a VM?")
    return ranges


def parse_flat_view(text: str, blocks: Iterable[str]) -> list[Range]:
    """The ranges of ``info mtree -f`` that the CPU sees of the RAM blocks named, neighbours joined, by address."""
    wanted, ranges = set(blocks), list[Range]()
    for section in text.split("FlatView #"):
        if 'AS "memory"' not in section:
            continue
        for line in section.splitlines():
            match = _LINE.fullmatch(line)
            if match and match[4] in wanted:
                start, last = int(match[1], 16), int(match[2], 16)
                ranges.append(Range(start, last + 1 - start, match[4], int(match[5] or "0", 16)))
    return _joined(sorted(ranges, key=lambda each: each.start))


def pages_of(ranges: Iterable[Range]) -> int:
    """Pages of the address space that the RAM lies in, holes included."""
    return -(-max(each.end for each in ranges) // PAGE_BYTES)


def _joined(ranges: list[Range]) -> list[Range]:
    joined = list[Range]()
    for each in ranges:
        last = joined[-1] if joined else None
        if last and last.end == each.start and last.block == each.block and last.offset + last.size == each.offset:
            joined[-1] = Range(last.start, last.size + each.size, last.block, last.offset)
        else:
            joined.append(each)
    return joined
