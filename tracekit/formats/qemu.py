"""QEMU's trace log (``-trace pci_nvme_*``, ``virtio_balloon_*``): what the emulated NVMe disk maps, and the balloon.

Lines may begin with ``pid@seconds:``. As transfers: ``pci_nvme_map_addr``, whose direction is that of the command before it.
As events: the balloon's target, and pages that the guest hands over: QEMU logs these alike whether they enter or leave the
balloon, and the balloon's new size after each batch tells which it was.
"""

import re
from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source
from tracekit.formats.text import any_line

#: What may stand before an event's name.
_STAMPS = ("{pid:dec}@{t:seconds}:", "")


def _line(text: str) -> str:
    return "{head}" + text


_IO = {
    "map": _line("pci_nvme_map_addr addr 0x{address:hex} len {size:dec}"),
    "read": _line("pci_nvme_read {*}"),
    "write": _line("pci_nvme_write {*}"),
    "other": [_line("pci_nvme_io_cmd {*}"), _line("dma_blk_io {*}")],
}
_BALLOON = {
    "page": _line("virtio_balloon_handle_output {*}gpa: 0x{address:hex}"),
    "size": _line("virtio_balloon_set_config actual: {actual:dec} oldactual: {old:dec}"),
    "target": _line("virtio_balloon_to_target balloon target: {target:word} num_pages: {pages:dec}"),
}
_REST = {
    "command or mapping that says nothing of pages (pci_nvme_*)": _line("pci_nvme_{*}"),
    "page that a virtual IOMMU maps (vtd_*)": _line("vtd_{*}"),
    "balloon event (virtio_balloon_*)": _line("virtio_balloon_{*}"),
}
_TRANSFERS = Patterns(_IO, _REST, _STAMPS)
_EVENTS = Patterns(_BALLOON, _REST | {"transfer of a disk": _line("dma_blk_io {*}")}, _STAMPS)
_STAMPED = re.compile(rb"\d+@\d+\.\d+:")
#: Pages that wait for the balloon's new size.
_MOST_WAITING = 1 << 20


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    stamped = _STAMPED.match(source.head) is not None
    made = _transfers(source, tally) if tally.kind == "io" else _events(source, tally)
    for columns in made:
        if not stamped:
            del columns["t"]
        yield columns


def _transfers(source: Source, tally: Tally) -> Iterator[Columns]:
    behind_iommu = b"vtd_" in source.head
    if behind_iommu:
        tally.note("a virtual IOMMU is in use: addresses are not those of pages, which are unknown")
    way = -1
    with source.open() as stream:
        for parsed in _TRANSFERS.read(stream, tally):
            tells = parsed.which != 0
            ways = np.array([-1, 0, 1, -1], np.int8)[parsed.which]
            last = np.maximum.accumulate(np.where(tells, np.arange(len(parsed)), -1))
            to_device = np.where(last >= 0, ways[last], np.int8(way)) if len(parsed) else ways
            way = int(to_device[-1]) if len(parsed) else way
            rows = parsed.of("map")
            address = rows["address"]
            yield {
                "t": rows["t"],
                "address": address & np.uint64(4095) if behind_iommu else address,
                "size": rows["size"],
                "unknown": np.full(len(rows), behind_iommu),
                "device": (np.zeros(len(rows), np.int32), ["nvme"]),
                "to_device": to_device[~tells],
                "dma_mask": np.uint64((1 << 64) - 1),
            }


def _events(source: Source, tally: Tally) -> Iterator[Columns]:
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    held = 0
    tally.adding.add("free_hints")
    with source.open() as stream:
        for parsed in _EVENTS.read(stream, tally):
            begin = 0
            for i in [*np.flatnonzero(parsed.which != 0).tolist(), len(parsed)]:
                pages = parsed.part(begin, i)
                waiting.append((pages["t"], pages["address"] >> np.uint64(12)))
                held += len(pages)
                if held > _MOST_WAITING:
                    tally.drop("page of the balloon, in or out is not told", held)
                    waiting, held = [], 0
                if i < len(parsed):
                    row = parsed.part(i, i + 1)
                    if row.which[0] == 2:
                        yield _event(row["t"], "balloon", row.signed("pages"), 0)
                    elif row["actual"][0] < row["old"][0]:
                        t, page = (np.concatenate(column) for column in zip(*waiting))
                        waiting, held = [], 0
                        yield _event(t, "hint-free", page.astype(np.int64), 1)
                    else:
                        tally.drop("page that leaves the balloon", held)
                        waiting, held = [], 0
                begin = i + 1
    tally.drop("page of the balloon, in or out is not told", held)


def _event(t: np.ndarray, what: str, a: np.ndarray, b: int) -> Columns:
    return {"t": t, "what": (np.zeros(len(t), np.int32), [what]), "a": a, "b": np.full(len(t), b, np.int64)}


FORMAT = Format(
    "qemu",
    ("io", "event"),
    "pages that the emulated NVMe disk maps; or the balloon's targets, and pages that enter it (hint-free)",
    any_line(rb"(\d+@[\d.]+:)?(pci_nvme_|virtio_balloon_|dma_blk_io|vtd_)"),
    read,
    lacks=frozenset({"dma_masks", "execution_clock"}),
    blind=("only the NVMe disk's transfers; those before the first command, and the lists of pages themselves, have no direction",),
)
