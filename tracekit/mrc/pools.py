"""The pools that curves are drawn of: each VM with access rows, or all of them together."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tracekit.errors import TraceError
from tracekit.stream import DTYPES
from tracekit.trace import Trace


@dataclass(frozen=True)
class Pools:
    """Pools of a trace: pool i has pages ``first[i]`` … ``first[i] + pages[i] − 1``. Joint there is one, called ``*``."""

    trace: Trace
    per_vm: bool
    names: tuple[str, ...]
    first: np.ndarray
    pages: np.ndarray
    chunk: int

    def __len__(self) -> int:
        return len(self.names)

    def rows(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pool and page of every access, chunk by chunk."""
        none = np.zeros(self.chunk, DTYPES["vm"])
        none.flags.writeable = False
        for chunk in self.trace.chunks({"access": ["vm", "page"] if self.per_vm else ["page"]}, self.chunk):
            rows = chunk.columns["access"]
            yield rows["vm"] if self.per_vm else none[: len(rows["page"])], rows["page"]


def pools_of(trace: Trace, per_vm: bool, chunk: int) -> Pools:
    """The pools of a trace. Raises TraceError where it has no access rows."""
    if not trace.rows.get("access"):
        raise TraceError(f"{trace.name}: has no access rows, which a miss-ratio curve is made of")
    if not per_vm:
        return Pools(trace, False, ("*",), np.zeros(1, np.int64), np.array([trace.pages], np.int64), chunk)
    first, pages = (np.array([getattr(vm, name) for vm in trace.vms], np.int64) for name in ("base", "pages"))
    return Pools(trace, True, tuple(vm.name for vm in trace.vms), first, pages, chunk)
