"""blktrace as blkparse prints it: ``8,0    3       11     0.009507758   697  C   W 223490 + 8 [0]``.

A transfer is a request as it is queued (``Q``; ``D``, issued, if the file has no ``Q``). Action ``B`` says that the kernel
copied the request it has just queued through low memory.
"""

from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source
from tracekit.formats.text import any_line, first_lines

_BEFORE = "{device:word} {cpu:dec} {number:dec} {t:seconds} {pid:dec} {action:word} "
_PATTERNS = Patterns(
    {"request": "{head}{way:word} {sector:dec} + {count:dec} {*}"},
    {
        "record of no request (plug, unplug, message, flush)": "{head}{*}",
        "# the summary": [
            name + "{*}" for name in ("CPU", "Total ", "Read", "Writ", "IO unplugs:", "Throughput ", "Events ", "Skips:", "Input file ")
        ],
    },
    (_BEFORE,),
)
_SECTOR = 512
_LINE = rb"\s*\d+,\d+ +\d+ +\d+ +[\d.]+ +\d+ +[A-Z]+ "


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    queued = any(len(words := line.split()) > 5 and words[5] == b"Q" for line in first_lines(source))
    wanted = "Q" if queued else "D"
    with source.open() as stream:
        for parsed in _PATTERNS.read(stream, tally):
            action, actions = parsed.texts("action")
            is_one = np.array([*(name == wanted for name in actions), False])[action]
            is_copy = np.array([*(name == "B" for name in actions), False])[action]
            tally.drop(f"another action than {wanted} and B on a request", np.count_nonzero(~is_one & ~is_copy))
            device, names = parsed.texts("device")
            copies, requests = _copied(device, parsed["sector"], is_one, is_copy)
            paired = requests >= 0
            bounced = is_copy.copy()
            bounced[requests[paired]] = True
            tally.drop("bounce of a request that is there (B)", np.count_nonzero(paired))
            is_copy[copies[paired]] = False
            way, ways = parsed.texts("way")
            sort = np.array(
                [*((-2 if "D" in name or not set(name) & set("RW") else 1 if "W" in name else 0) for name in ways), -2], np.int8
            )[way]
            kept = is_one | is_copy
            tally.drop("request that moves no data (discard, flush)", np.count_nonzero(kept & (sort == -2)))
            kept &= sort >= 0
            size = parsed["count"] * np.uint64(_SECTOR)
            rows = np.flatnonzero(kept)
            yield {
                "t": parsed["t"][rows],
                "address": np.zeros(len(rows), np.uint64),
                "size": size[rows],
                "unknown": np.ones(len(rows), np.bool_),
                "device": (device[rows], names),
                "to_device": sort[rows],
                "dma_mask": np.uint64((1 << 64) - 1),
                "bounced": bounced[rows],
            }


def _copied(device: np.ndarray, sector: np.ndarray, is_one: np.ndarray, is_copy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounces, and of each the request to the same device and sector that came last before it (−1: none in this block)."""
    at = np.flatnonzero(is_one | is_copy)
    order = at[np.lexsort((at, sector[at], device[at]))]
    last = np.maximum.accumulate(np.where(is_one[order], np.arange(len(order)), -1))
    found = order[np.maximum(last, 0)] if len(order) else order
    same = (last >= 0) & (device[found] == device[order]) & (sector[found] == sector[order])
    copies = is_copy[order]
    return order[copies], np.where(same, found, -1)[copies]


FORMAT = Format(
    "blkparse",
    ("io",),
    "requests to disks in pieces of 4 KiB, with direction, and whether the kernel bounced them (action B); pages unknown",
    any_line(_LINE),
    read,
    lacks=frozenset({"dma_masks"}),
    blind=("which guest pages a request moves is not told, nor what a disk can reach",
           "a bounce whose request stands in an earlier block of 4 MiB counts as a transfer of its own"),
)  # fmt: skip
