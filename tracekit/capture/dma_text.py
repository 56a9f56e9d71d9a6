"""What guest_io.sh brings from a guest: its kernel's record of DMA, marks of its clock, its devices, and what was lost.

The text is ftrace's (Linux documentation, "ftrace", "swiotlb", and the events of ``include/trace/events/dma.h``). Where there
are ``dma_map_*`` events they are the transfers, and one bounced if the address given to the device is not the memory's own,
unless the device is behind an IOMMU: then no ``swiotlb_bounced`` names it. Else each ``swiotlb_bounced`` is a transfer.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_EVENT = re.compile(r"\] \S+ +(\d+)\.(\d+): (\w+): (.*)")
_PAGE = re.compile(r"(\S+) dir=(\w+) dma_addr=([0-9a-f]+) size=(\d+) phys_addr=([0-9a-f]+)")
_LIST = re.compile(r"(\S+) dir=(\w+) .*dma_addrs=\{(.*?)\} sizes=\{(.*?)\} phys_addrs=\{(.*?)\}")
_BOUNCE = re.compile(r"dev_name: (\S+) dma_mask=([0-9a-f]+) dev_addr=([0-9a-f]+) size=(\d+) (\w+)")
_DEVICE = re.compile(r"# tracekit device (\S+) bits=(\d+) driver=(\S*)")
_LOST = re.compile(r"# tracekit cpu\d+ overrun: (\d+) dropped events: (\d+)")
_SHOWN = re.compile(r"nents=(\d+)/(\d+)")
_WAYS = {"TO_DEVICE": 1, "FROM_DEVICE": 0}
_UNKNOWN = (1 << 64) - 1


@dataclass(frozen=True)
class Segment:
    """``size`` bytes at a physical address of the guest (None: not told), at ``t`` (ns of the guest's clock).

    ``to_device`` is 1, 0, or −1 for both ways or not told; ``moved`` says that the device was given another address.
    """

    t: int
    device: str
    address: int | None
    size: int
    to_device: int
    moved: bool


@dataclass
class DmaText:
    """A whole record. ``masks`` and ``drivers`` are by device, ``clocks`` are the guest's times of numbered marks."""

    segments: list[Segment] = field(default_factory=list)
    bounces: list[Segment] = field(default_factory=list)
    masks: dict[str, int] = field(default_factory=dict)
    drivers: dict[str, str] = field(default_factory=dict)
    bouncing: set[str] = field(default_factory=set)  # devices that some swiotlb_bounced names
    forced: set[str] = field(default_factory=set)  # of them, those that bounce wherever the memory lies
    clocks: dict[int, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def transfers(self) -> list[Segment]:
        """What was transferred, as well as the kernel tells it."""
        return self.segments or self.bounces

    def bounced(self, segment: Segment) -> bool:
        """Whether the kernel really copied this one through a bounce buffer."""
        return segment.moved and segment.device in self.bouncing

    def drop(self, reason: str, count: int = 1) -> None:
        """Count what makes no row."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count


def parse(lines: Iterable[str]) -> DmaText:
    """Read a record; lines of other events are skipped."""
    text = DmaText()
    for line in lines:
        if line.startswith("#"):
            _comment(text, line)
        elif event := _EVENT.search(line):
            _take_in(text, int(event[1]) * 10**9 + int(event[2].ljust(9, "0")), event[3], event[4])
    return text


def _comment(text: DmaText, line: str) -> None:
    if device := _DEVICE.match(line):
        text.masks.setdefault(device[1], (1 << int(device[2])) - 1)
        text.drivers[device[1]] = device[3]
    elif lost := _LOST.match(line):
        text.drop("event that the guest's kernel lost (its buffer was full)", int(lost[1]) + int(lost[2]))


def _take_in(text: DmaText, t: int, name: str, said: str) -> None:
    if name == "tracing_mark_write" and said.startswith("tracekit clock "):
        text.clocks[int(said.split()[2])] = t
    elif name == "swiotlb_bounced" and (found := _BOUNCE.match(said)):
        device, address = found[1], int(found[3], 16)
        text.bouncing.add(device)
        text.masks[device] = int(found[2], 16)
        if found[5] == "FORCE":
            text.forced.add(device)
        text.bounces.append(Segment(t, device, None if address == _UNKNOWN else address, int(found[4]), -1, True))
    elif name in ("dma_map_page", "dma_map_phys") and (found := _PAGE.match(said)):
        address = int(found[5], 16)
        text.segments.append(Segment(t, found[1], address, int(found[4]), _WAYS.get(found[2], -1), int(found[3], 16) != address))
    elif name == "dma_map_sg" and (found := _LIST.match(said)):
        _take_in_list(text, t, found)
    elif name.startswith(("dma_map", "swiotlb")):
        text.drop(f"{name} that cannot be read")


def _take_in_list(text: DmaText, t: int, found: re.Match[str]) -> None:
    given, sizes, addresses = ([int(each, 16) for each in found[i].split(",") if each] for i in (3, 4, 5))
    if not len(given) == len(sizes) == len(addresses):
        text.drop("list of segments that an IOMMU has joined", len(addresses))
        return
    if shown := _SHOWN.search(found[0]):
        text.drop("segment that the tracepoint left out", max(0, int(shown[2]) - max(int(shown[1]), len(sizes))))
    for there, size, address in zip(given, sizes, addresses):
        text.segments.append(Segment(t, found[1], address, size, _WAYS.get(found[2], -1), there != address))
