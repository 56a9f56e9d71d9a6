"""A kernel's own record of DMA, as ftrace or perf script print it: ``dma_map_*`` (Linux 6.12 on) and ``swiotlb_bounced``.

Where there are ``dma_map_*`` events, they are the transfers, and ``swiotlb_bounced`` tells the masks of devices and whether
bouncing is forced. A transfer bounced if the address given to the device is not the page's own, unless the device is behind
an IOMMU: then no ``swiotlb_bounced`` names it. Else each ``swiotlb_bounced`` is a transfer, of unknown direction. The file is
read twice, as masks come after the first transfers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tracekit.formats import ftrace
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Parsed, Patterns
from tracekit.formats.source import Source
from tracekit.units import PAGE_BYTES

_BOUNCED = ftrace.event("swiotlb_bounced", "dev_name: {device:word} dma_mask={mask:hex} dev_addr={address:hex} size={size:dec} {sort:word}")
_LISTS = "{*}dma_addrs={{{mapped_list:span}} sizes={{{sizes:span}} phys_addrs={{{physical:span}} {*}"
_SG = "{device:word} dir={direction:word} nents={shown:dec}/{entries:dec} " + _LISTS
_SG_PLAIN = "{device:word} dir={direction:word} " + _LISTS
_PAGE = "{device:word} dir={direction:word} dma_addr={mapped:hex} size={size:dec} phys_addr={address:hex}{*}"
_PATTERNS = Patterns(
    {
        "bounced": _BOUNCED,
        "page": [ftrace.event(name, _PAGE) for name in ("dma_map_page", "dma_map_phys", "dma_map_resource")],
        "sg": [ftrace.event("dma_map_sg", _SG), ftrace.event("dma_map_sg", _SG_PLAIN)],
    },
    {
        "end of a transfer (dma_unmap_*)": ftrace.any_event("dma_unmap_"),
        "transfer mapped before (dma_sync_*)": ftrace.any_event("dma_sync_"),
        "memory shared with a device for long (dma_alloc, dma_free)": [ftrace.any_event("dma_alloc"), ftrace.any_event("dma_free")],
        "block request": ftrace.any_event("block_"),
        **ftrace.COMMENTS,
    },
    ftrace.HEADS,
)
_ONLY_BOUNCED = Patterns({"bounced": _BOUNCED.replace("{head}", "{*}")})
_TO_DEVICE = {"TO_DEVICE": 1, "FROM_DEVICE": 0}
_ALL_ONES = (1 << 64) - 1


@dataclass
class _Devices:
    """What ``swiotlb_bounced`` tells of devices by name."""

    masks: dict[str, int] = field(default_factory=dict)
    forced: set[str] = field(default_factory=set)

    def take_in(self, rows: Parsed) -> None:
        if not len(rows):
            return
        device, names = rows.texts("device")
        sort, sorts = rows.texts("sort")
        for name, code in zip(names, range(len(names))):
            first = int(np.argmax(device == code))
            self.masks.setdefault(name, int(rows["mask"][first]))
            if any(sorts[i] == "FORCE" for i in np.unique(sort[device == code])):
                self.forced.add(name)


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    mapped = b"dma_map_" in source.head
    devices = _Devices()
    if mapped:
        with source.open() as stream:
            for parsed in _ONLY_BOUNCED.read(stream, Tally(tally.kind)):
                devices.take_in(parsed)
        if not devices.masks:
            tally.lacking.add("dma_masks")
            tally.note("no swiotlb_bounced event tells what devices can reach: they are taken to reach everything, behind an IOMMU or not")
    with source.open() as stream:
        for parsed in _PATTERNS.read(stream, tally):
            if mapped:
                tally.drop("bounce of a transfer that is there (swiotlb_bounced)", len(parsed.of("bounced")))
                yield _mapped(parsed.of("page", "sg"), devices, tally)
            else:
                tally.drop("dma_map_* after its first 64 KiB", len(parsed.of("page", "sg")))
                yield _bounced(parsed.of("bounced"))


def _bounced(rows: Parsed) -> Columns:
    sort, sorts = rows.texts("sort")
    address = rows["address"]
    unknown = address == np.uint64(_ALL_ONES)
    return {
        "t": rows["t"],
        "address": np.where(unknown, np.uint64(0), address),
        "size": rows["size"],
        "unknown": unknown,
        "device": rows.texts("device"),
        "to_device": -1,
        "dma_mask": rows["mask"],
        "forced": np.array([*(name == "FORCE" for name in sorts), False])[sort],
        "bounced": True,
    }


def _mapped(rows: Parsed, devices: _Devices, tally: Tally) -> Columns:
    """Segments of ``dma_map_page`` (one each) and ``dma_map_sg`` (a list each), in the order of the lines."""
    is_list = rows.which == _PATTERNS.names.index("sg")
    lists = rows.where(is_list)
    (counts, physical), (mapped_counts, mapped), (size_counts, sizes) = (
        lists.hex_lists(name) for name in ("physical", "mapped_list", "sizes")
    )
    unread = (counts < 0) | (mapped_counts < 0) | (size_counts < 0)
    tally.drop("list of segments that cannot be read", np.count_nonzero(unread))
    joined = ~unread & ((counts != mapped_counts) | (counts != size_counts))
    if joined.any():
        sizes, mapped, lost = _spread((counts, physical), (mapped_counts, mapped), (size_counts, sizes), joined)
        tally.drop("list of segments that an IOMMU has joined, of unknown sizes", np.count_nonzero(lost))
        unread |= lost
        physical = physical[np.repeat(~unread, np.maximum(counts, 0))]
    elif unread.any():
        physical, mapped, sizes = (
            values[np.repeat(~unread, np.maximum(n, 0))]
            for values, n in ((physical, counts), (mapped, mapped_counts), (sizes, size_counts))
        )
    counts = np.where(unread, 0, counts)
    shown, entries = lists.signed("shown"), lists.signed("entries")
    tally.drop("segment that the tracepoint left out", int(np.maximum(entries - np.maximum(counts, shown), 0)[~unread & (shown > 0)].sum()))
    per_row = np.ones(len(rows), np.int64)
    per_row[is_list] = counts
    record = np.repeat(np.arange(len(rows)), per_row)
    in_list = is_list[record]
    columns = {"address": rows["address"][record], "size": rows["size"][record], "mapped": rows["mapped"][record]}
    for name, values in (("address", physical), ("size", sizes), ("mapped", mapped)):
        columns[name][in_list] = values
    device, names = rows.texts("device")
    way, ways = rows.texts("direction")
    moved = columns["mapped"] != columns["address"]
    device, known = device[record], np.array([*(name in devices.masks for name in names), False])
    bounced = moved & known[device]
    return {
        "t": rows["t"][record],
        "address": columns["address"],
        "size": columns["size"],
        "device": (device, names),
        "to_device": np.array([*(_TO_DEVICE.get(name, -1) for name in ways), -1], np.int8)[way[record]],
        "dma_mask": np.array([*(devices.masks.get(name, _ALL_ONES) for name in names), 0], np.uint64)[device],
        "forced": bounced & np.array([*(name in devices.forced for name in names), False])[device],
        "bounced": bounced,
    }


_Lists = tuple[np.ndarray, np.ndarray]


def _spread(physical: _Lists, mapped: _Lists, size: _Lists, joined: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sizes by physical segment where an IOMMU has joined some: each ends with its page, and they must add up.

    Lists are how many values each has (negative if it cannot be read), and the values. Returns sizes and mapped addresses
    (those of joined segments not told from physical ones) of the lists that can be used, and which cannot.
    """
    counts = physical[0]
    lost = np.zeros(len(counts), np.bool_)
    out: list[np.ndarray] = []
    kept: list[np.ndarray] = []
    for i, (own, given, told) in enumerate(zip(*(_each(lists) for lists in (physical, mapped, size)))):
        if min(counts[i], mapped[0][i], size[0][i]) < 0:
            continue
        if joined[i]:
            given = own
            total, told = int(told.sum()), PAGE_BYTES - own % np.uint64(PAGE_BYTES)
            over = int(told.sum()) - total
            if not len(own) or not 0 <= over < int(told[-1]):
                lost[i] = True
                continue
            told[-1] -= np.uint64(over)
        out.append(told)
        kept.append(given)
    empty = np.empty(0, np.uint64)
    return np.concatenate([*out, empty]), np.concatenate([*kept, empty]), lost


def _each(lists: _Lists) -> list[np.ndarray]:
    """The values of each list."""
    return np.split(lists[1], np.cumsum(np.maximum(lists[0], 0))[:-1])


FORMAT = Format(
    "dma",
    ("io",),
    "segments of DMA transfers by page: device, direction, bytes, what the device can reach, forced, bounced",
    ftrace.has_event(rb"dma_map_page|dma_map_phys|dma_map_sg|swiotlb_bounced"),
    read,
    blind=(
        "only what the kernel maps through its DMA API; a page mapped once and used often is one row",
        "swiotlb_bounced tells no direction; a file of it alone has only the transfers that bounced",
    ),
)
