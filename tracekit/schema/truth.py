"""The truth beside a synthesized capture: what is so by construction, whatever a module estimates."""

from tracekit.schema.table import Column, Table

#: How its file's name ends. Commands that take trace files pass over it, so that ``DIR/*.parquet`` can be given to them.
TRUTH_SUFFIX = ".truth.parquet"
TRUTH = Table(
    "truth",
    "one row a quantity: what a recipe knows of the rows it made",
    (
        Column("t", "int64", "ns", "when the stretch begins that the row is about"),
        Column("until", "int64", "ns", "when it ends; equal to t where the row is about a moment"),
        Column("vm", "string", "", "the VM; * for all together"),
        Column("vms", "int64", "", "how many VMs are counted: the first so many where vm is *, else 1"),
        Column("block", "string", "", "name of the block of the recipe; empty for all of the VM"),
        Column("phase", "int64", "", "number of the block's phase, from 1; 0 for a period of the VM or the whole stretch"),
        Column("quantity", "string", "", "what is counted"),
        Column("value", "float64", "", "how much; exact, because counts are below 2⁵³"),
    ),
)

#: Quantities of the truth and what they mean; the unit stands in brackets.
QUANTITIES: dict[str, str] = {
    "active": "distinct pages touched in the stretch [page]",
    "accesses": "access rows in the stretch",
    "writes": "access rows that are writes",
    "phase_pages": "pages that the block works on in this phase [page]",
    "pages": "pages of the VMs whose contents are known [page]",
    "zero": "pages that are zero [page]",
    "shared": "pages that equal another one of the VMs counted [page]",
    "reclaimable": "pages saved if every two equal pages were shared: shared pages less one for each content [page]",
    "contents": "distinct contents, the zero page among them",
    "changed": "pages whose content rows stand at this moment [page]",
    "changed_shared": "of them pages that equalled another when last counted: copies on write if all were shared, at most [page]",
    "hottest_page": "PPN of the page that the block touches most",
    "hottest_accesses": "how often it does",
    "hottest_share": "share of the block's accesses that it should be, in the long run",
    "lru_pages": "frames from which on LRU misses each page of the loop once only, if nothing else runs [page]",
    "lru_misses": "LRU's misses of the loop with fewer frames than that, if nothing else runs",
    "transfers": "DMA transfers",
    "rows": "rows of I/O: pages of transfers",
    "bytes": "bytes transferred [byte]",
    "bounced": "rows that a device cannot reach, or that are forced, and that bouncing copies",
    "copied_bytes": "bytes copied by bouncing alone; a transfer both ways is copied twice [byte]",
    "forced_bytes": "of them bytes that no remapping saves [byte]",
    "dma_pages": "distinct pages of the transfers [page]",
    "most_copies": "copies of the page that is copied most",
    "remapped": "pages that move into reach once their copies exceed the block's threshold [page]",
    "kept_bytes": "bytes copied still, the transfer that exceeds the threshold being paid [byte]",
    "operations": "operations that the block's clients have completed",
    "hits": "of them those whose page was in the guest's file cache",
    "misses": "of them those that waited for the disk",
    "throughput": "bytes that the operations moved by second of the stretch [byte/s]",
}
