"""Some pages of a trace as a trace of its own: a spatial sample, or one VM.

Its pages have dense ids of their own, in their old order, so that a replay of a sample takes the memory of a sample.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import xxhash

from tracekit.errors import TraceError
from tracekit.stream import KIND_ORDER, NO_PAGE, Chunk, frozen
from tracekit.trace import Trace
from tracekit.tracefile import BATCH_ROWS


class Part(Trace):
    """The rows of some pages of ``whole``, and its rows that are of no page. ``rows`` stays what the whole has: an upper bound.

    A transfer of an unknown page belongs to no part. Raises TraceError if there are no pages.
    """

    def __init__(self, whole: Trace, kept: np.ndarray):
        """``kept`` tells of each page of the whole (bool by page id) whether it is in this part."""
        vars(self).update(vars(whole))
        if not kept.any():
            raise TraceError(f"{whole.name}: a part of it without pages cannot be replayed; take more of it")
        self._whole = whole
        self._page = np.append(np.where(kept, np.cumsum(kept) - 1, NO_PAGE).astype(np.uint32), np.uint32(NO_PAGE))
        base, vms = 0, []
        for vm in whole.vms:
            pages = int(np.count_nonzero(kept[vm.base : vm.base + vm.pages]))
            vms.append(replace(vm, pages=pages, base=base))
            base += pages
        self.vms, self.pages = tuple(vms), base
        self.digest = xxhash.xxh3_64_hexdigest(whole.digest.encode() + np.packbits(kept).tobytes())

    def chunks(self, columns: Mapping[str, Iterable[str]], rows: int = BATCH_ROWS) -> Iterator[Chunk]:
        wanted = {kind: {*names} if kind == "event" else {*names, "page"} for kind, names in columns.items()}
        for chunk in self._whole.chunks(wanted, rows):
            mine = self.of(chunk)
            if mine.rows:
                yield mine

    def of(self, chunk: Chunk) -> Chunk:
        """What this part has of a chunk of the whole, which must have ``page`` for all kinds of rows that are of pages."""
        columns, runs = {}, chunk.runs.copy()
        for i, kind in enumerate(KIND_ORDER):
            if kind not in chunk.columns:
                continue
            rows = chunk.columns[kind]
            if "page" not in rows:
                columns[kind] = rows
                continue
            page = self._page[np.minimum(rows["page"], len(self._page) - 1)]
            kept = page != NO_PAGE
            columns[kind] = {name: frozen((page if name == "page" else column)[kept]) for name, column in rows.items()}
            before, mine = np.concatenate([[0], np.cumsum(kept)]), runs[:, 0] == i
            runs[mine, 1:] = before[runs[mine, 1:]]
        runs = runs[runs[:, 1] < runs[:, 2]]
        return Chunk(columns, runs, int((runs[:, 2] - runs[:, 1]).sum()), chunk.last_t)
