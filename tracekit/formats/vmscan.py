"""The kernel's reclamation of pages: the tracepoints ``mm_vmscan_*`` as ftrace or perf script print them."""

from collections.abc import Iterator

from tracekit.formats import ftrace
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.source import Source

_BEGIN, _END = "order={a:int}{*}", "nr_reclaimed={a:dec}"
#: What is told of each event: a, b.
_EVENTS = {
    "mm_vmscan_write_folio": "page={page:word} pfn=0x{a:hex} {*}",
    "mm_vmscan_writepage": "page={page:word} pfn=0x{a:hex} {*}",
    "mm_vmscan_lru_isolate": "{*}nr_scanned={a:dec} {*}nr_taken={b:dec}{*}",
    "mm_vmscan_lru_shrink_inactive": "nid={node:int} nr_scanned={a:int} nr_reclaimed={b:int}{*}",
    "mm_vmscan_reclaim_pages": "nid={node:int} nr_scanned={a:int} nr_reclaimed={b:int}{*}",
    "mm_vmscan_lru_shrink_active": "nid={node:int} nr_taken={a:int} nr_active={active:int} nr_deactivated={b:int}{*}",
    "mm_vmscan_direct_reclaim_begin": _BEGIN,
    "mm_vmscan_direct_reclaim_end": _END,
    "mm_vmscan_memcg_reclaim_begin": _BEGIN,
    "mm_vmscan_memcg_reclaim_end": _END,
    "mm_vmscan_memcg_softlimit_reclaim_begin": _BEGIN,
    "mm_vmscan_memcg_softlimit_reclaim_end": _END,
    "mm_vmscan_node_reclaim_begin": "nid={node:int} " + _BEGIN,
    "mm_vmscan_node_reclaim_end": _END,
    "mm_vmscan_kswapd_wake": "nid={node:int} order={a:int}{*}",
    "mm_vmscan_kswapd_sleep": "nid={node:int}",
    "mm_vmscan_wakeup_kswapd": "nid={node:int} {*}order={a:int}{*}",
    "mm_vmscan_throttled": "nid={node:int} usec_timeout={a:int} usect_delayed={b:int}{*}",
}
_TRACE = ftrace.events(
    _EVENTS,
    {
        "memory that is no page's (mm_shrink_slab_*)": "mm_shrink_slab_",
        "another event of reclamation (mm_vmscan_*)": "mm_vmscan_",
    },
)


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    yield from ftrace.as_events(source, _TRACE, tally)


FORMAT = Format(
    "vmscan",
    ("event",),
    "pages that are scanned (a) and taken, reclaimed or deactivated (b); a page written out (a is its frame); a reclaim's order, its yield",
    ftrace.has_event(rb"mm_vmscan_\w+"),
    read,
    lacks=frozenset({"execution_clock"}),
    blind=("counts by batch: which pages they were is told only of those written out", "nodes and memory groups are not told apart"),
)
