"""Every column of every trace and result table: its name, type, unit and meaning. Nowhere else.

Docs, readers, writers and checks take them from here. A trace kind is a table of rows in (t, seq) order; a result
table is tidy: one row an observation, beginning with ``variant, trace, t, vm``.
"""

from dataclasses import dataclass, field

SCHEMA_VERSION = 1
METADATA_KEY = b"tracekit"
#: XXH3-64 (seed 0) of 4096 zero bytes.
ZERO_DIGEST = 0x93D76FE148C689BA


@dataclass(frozen=True)
class Column:
    """One column. ``type`` is a name of the table in ``tracekit.tracefile.ARROW``; ``optional`` columns may be absent."""

    name: str
    type: str
    unit: str
    prose: str
    optional: bool = False
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A named list of columns: a trace kind, or a result table."""

    name: str
    prose: str
    columns: tuple[Column, ...] = field(default=())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


# ---------------------------------------------------------------------------------------------------- traces

_KEY = (
    Column("t", "int64", "ns", "when, since the capture began; non-decreasing"),
    Column("seq", "uint64", "", "order within the capture where t ties; strictly increasing within equal t", optional=True),
    Column("vm", "dictionary", "", "name of the virtual machine"),
)
_PPN = Column("ppn", "uint32", "page", "guest page number (PPN), 4 KiB pages, below the VM's size")

CONTENT = Table(
    "content",
    "from here on the page holds this content; a snapshot is many rows with one t, later snapshots hold changed pages only",
    (
        *_KEY,
        _PPN,
        Column("digest", "uint64", "", "XXH3-64 of the page, keyed where the metadata says so"),
        Column("digest_hi", "uint64", "", "upper half of a 128-bit digest", optional=True),
        Column("compressed", "uint16", "byte", "size of the page under the codec that the metadata states", optional=True),
        Column("block", "uint64", "", "disk block the page was read from", optional=True, nullable=True),
    ),
)
ACCESS = Table(
    "access",
    "the guest touched the page, at least once within the capture's bucket that begins at t",
    (
        *_KEY,
        _PPN,
        Column("write", "bool", "", "a store (else a load or a fetch)", optional=True),
        Column("fetch", "bool", "", "an instruction fetch", optional=True),
        Column("count", "uint32", "", "accesses within the bucket", optional=True),
    ),
)
IO = Table(
    "io",
    "one page of one DMA transfer",
    (
        *_KEY,
        Column("ppn", "uint32", "page", "page of the transfer (null: not known)", nullable=True),
        Column("device", "dictionary", "", "name of the device"),
        Column("to_device", "bool", "", "the device reads memory (false: it writes memory; null: both ways)", optional=True, nullable=True),
        Column("bytes", "uint32", "byte", "bytes of this page that the transfer moves, 1 to 4096"),
        Column("dma_mask", "uint64", "", "highest machine address that the device can reach"),
        Column("forced", "bool", "", "bounced wherever the page lies (confidential VM, swiotlb=force)", optional=True),
        Column("bounced", "bool", "", "what the captured kernel really did: it copied through a bounce buffer", optional=True),
    ),
)
EVENT = Table(
    "event",
    "something happened to the VM",
    (
        *_KEY,
        Column(
            "what",
            "dictionary",
            "",
            "clock (a = instructions executed so far, b = loads and stores so far), boot, power-off (the VM has ended), balloon, "
            "memory, hint-free, madvise (b pages from page a on are mergeable; b < 0: −b pages no longer are), mark",
        ),
        Column("a", "int64", "", "first argument; its meaning depends on what"),
        Column("b", "int64", "", "second argument; its meaning depends on what"),
    ),
)

#: The trace kinds, in the order in which rows of equal (t, seq) are replayed.
KINDS: dict[str, Table] = {table.name: table for table in (EVENT, CONTENT, IO, ACCESS)}

#: Events that modules understand; any other is replayed as code −1.
EVENTS = ("clock", "boot", "power-off", "balloon", "memory", "hint-free", "madvise", "mark")

#: What a trace can honestly support. Declared in the file's metadata, or inferred from its columns.
CAPABILITIES: dict[str, str] = {
    "content": "page contents are known by digest",
    "digest64": "digests are 64 bits or wider: equal digests may be taken for equal pages",
    "blocks": "content rows name the disk block that a page was read from",
    "access": "touches of pages are recorded",
    "writes": "stores are told from loads",
    "exact": "every touched page appears in its bucket (not a sample)",
    "io": "DMA transfers are recorded by page",
    "dma_masks": "each transfer carries the reach of its device",
    "event": "events of the VM are recorded",
    "execution_clock": "the VM's own progress (instructions executed) is recorded",
}

# ---------------------------------------------------------------------------------------------------- results

RESULT_KEY = (
    Column("variant", "string", "", "digest of the variant's resolved parameters; see table variants"),
    Column("trace", "string", "", "name of the capture, or of the captures joined by + under --together"),
    Column("t", "int64", "ns", "trace time of the row"),
)
_VM = Column("vm", "string", "", "virtual machine; * is the host as a whole")


def _pages(name: str, prose: str) -> Column:
    return Column(name, "int64", "page", prose)


def _count(name: str, prose: str) -> Column:
    return Column(name, "int64", "", prose)


VARIANTS = Table(
    "variants",
    "one row a parameter of a variant; the module chosen for a stage is its param `module`",
    (
        RESULT_KEY[0],
        Column("stage", "string", "", "stage, or host, replay"),
        Column("param", "string", "", "parameter"),
        Column("value", "string", "", "resolved value, as --set would take it"),
    ),
)
RUNS = Table(
    "runs",
    "one row a variant and trace: where the numbers come from",
    (
        *RESULT_KEY[:2],
        Column("tracekit", "string", "", "version of tracekit"),
        Column("source", "string", "", "digest of the trace files: their footers and sizes"),
        Column("synthetic", "bool", "", "the trace was synthesized, not captured"),
        Column("kinds", "string", "", "kinds of rows that the capture has"),
        Column("left_out", "string", "", "modules left out, and why"),
        Column("notes", "string", "", "what was inferred about the trace rather than stated by it"),
        Column("vms", "string", "page", "VMs and their sizes, as name=pages"),
        Column("memory", "int64", "byte", "machine memory for guest pages (less than the host's by the VMs' overhead)"),
        _count("rows", "rows replayed"),
        Column("span", "int64", "ns", "trace time from the first row to the last"),
        Column("elapsed", "float64", "s", "wall time of the replay, compilation left out"),
        Column("peak_rss", "int64", "byte", "peak resident memory of the process"),
        Column("seed", "int64", "", "run seed"),
        Column("created", "string", "", "when the replay ended, UTC"),
        Column("environment", "string", "", "Python, numpy, numba, polars, pyarrow and platform"),
    ),
)
VM = Table(
    "vm",
    "a VM's pages and cumulative counters over time",
    (
        *RESULT_KEY,
        _VM,
        _pages("resident", "guest pages mapped to machine memory, shared ones included"),
        _pages("ballooned", "guest pages held by the balloon driver"),
        _pages("swapped", "guest pages paged out by the host"),
        _pages("target", "pages that the VM should hold (its size where nobody sets targets)"),
        _count("accesses", "access rows so far"),
        _count("cold", "first touches so far"),
        _count("major", "page-ins by the host so far"),
        _count("minor", "faults without I/O so far"),
        _count("page_outs", "pages paged out by the host so far"),
        _count("double_paged", "pages read in by the host only for the guest to page them out, so far"),
        _count("guest_major", "page-ins by the guest itself so far"),
        _count("breaks", "copy-on-write breaks so far"),
    ),
)
SAVINGS = Table(
    "savings",
    "what sharing found, against what sharing everything would save at the same moment (paper section 4)",
    (
        *RESULT_KEY,
        _VM,
        _pages("pages", "pages whose content the trace has told"),
        _pages("shared", "pages mapped to a machine page that at least one other page maps too"),
        _pages("reclaimed", "machine pages saved: shared less the distinct frames that hold them (a VM is charged "
               "for a frame if it maps it first by page order)"),
        _pages("zero", "pages of zeros"),
        _pages("distinct", "distinct contents (of a VM: those charged to it)"),
        _pages("possible_shared", "shared, if every two equal pages were shared"),
        _pages("possible_reclaimed", "reclaimed, if every two equal pages were shared"),
        _pages("reclaimed_zero", "the part of reclaimed that zero pages are"),
        _pages("reclaimed_within", "the part that equal pages of one VM are"),
        _pages("reclaimed_between", "the part that equal pages of different VMs are"),
        _pages("possible_zero", "the part of possible_reclaimed that zero pages are"),
        _pages("possible_within", "the part that equal pages of one VM are"),
        _pages("possible_between", "the part that equal pages of different VMs are"),
        _pages("scanned", "pages scanned so far"),
        _count("merged", "scans so far that have put a page on a shared frame"),
        _count("false_matches", "scans so far whose page was not shared because the table took another content for its own"),
        _count("breaks", "copy-on-write breaks so far: private copies made for a write or a change of content"),
        _count("overflow", "shared frames whose count exceeds 16 bits and lives in the overflow table"),
        _pages("hints", "frames listed as hints"),
        _pages("stale_hints", "hints whose page holds something else by now"),
        Column("table_bytes", "int64", "byte", "table of frames, 16 byte each: a VM's hints; the host's hints and shared frames"),
    ),
)  # fmt: skip
DISCOVERY = Table(
    "discovery",
    "how long equal pages went unfound over the whole replay, and what finding them cost",
    (
        *RESULT_KEY,
        _VM,
        _pages("found", "contents of pages that were shared while an equal page was there"),
        _pages("missed", "contents of pages that ended unshared though an equal page had been there"),
        Column("mean", "float64", "s", "mean time from when two pages were equal until the page was shared", nullable=True),
        Column("p10", "float64", "s", "time within which 10 % of them were shared, to within 19 %", nullable=True),
        Column("p50", "float64", "s", "likewise 50 %", nullable=True),
        Column("p90", "float64", "s", "likewise 90 %", nullable=True),
        Column("p99", "float64", "s", "likewise 99 %", nullable=True),
        _pages("scanned", "pages scanned"),
        _pages("wasted", "scans that neither shared their page nor made it a new hint"),
        Column("cpu", "float64", "s", "CPU time of the scans, at the stated cost of a page"),
        Column("cpu_per_gib", "float64", "s/GiB", "that CPU time for each GiB saved at the end", nullable=True),
    ),
)
KSM = Table(
    "ksm",
    "KSM's counters under the kernel's names, after each full scan and at the end (admin-guide/mm/ksm)",
    (
        *RESULT_KEY,
        _VM,
        _count("full_scans", "times that all mergeable pages have been scanned"),
        _pages("pages_shared", "merged pages: nodes of the stable tree"),
        _pages("pages_sharing", "further sites that map them: what is saved"),
        _pages("pages_unshared", "pages that are unique but repeatedly checked"),
        _pages("pages_volatile", "pages that change too fast to be placed in a tree, or are skipped"),
        _pages("pages_scanned", "visits so far"),
        _pages("pages_skipped", "visits that smart scan has saved so far"),
        _pages("ksm_zero_pages", "pages that map the kernel's zero page"),
        _count("stable_node_chains", "contents of which there are several merged pages, max_page_sharing being reached"),
        _count("stable_node_dups", "merged pages of such contents"),
        Column("general_profit", "int64", "byte", "pages_sharing and ksm_zero_pages less 64 byte for every page that ksmd keeps track of"),
        _pages("pages_to_scan", "pages that the next wake-up visits at most"),
    ),
)
SAMPLING = Table(
    "sampling",
    "one row a VM and sampling period: the truth beside the estimate (paper section 5.3)",
    (
        *RESULT_KEY,
        _VM,
        _pages("active", "truth: distinct pages that the VM touched in the period"),
        _pages("n", "pages sampled"),
        _pages("touched", "sampled pages that were touched"),
        Column("estimate", "float64", "page", "what the host acts on: the largest of the slow, the fast and the running average"),
        Column("slow", "float64", "page", "slow moving average after the period"),
        Column("fast", "float64", "page", "fast moving average after the period"),
        Column("low", "float64", "page", "lower end of the period's own 95 % interval for `active` (Wilson, finite population)"),
        Column("high", "float64", "page", "upper end of that interval"),
        Column("length", "int64", "ns", "wall time that the period took"),
    ),
)
COPIES = Table(
    "copies",
    "bounce-buffer copies by VM and device over the whole replay (paper section 7)",
    (
        *RESULT_KEY,
        _VM,
        Column("device", "string", "", "device"),
        _count("transfers", "rows of transfers, one a page"),
        Column("bytes", "int64", "byte", "bytes moved by the device"),
        _count("bounced", "transfers copied through a bounce buffer"),
        Column("copied_bytes", "int64", "byte", "bytes copied: once a transfer, twice where it goes both ways; forced ones included"),
        Column("forced_bytes", "int64", "byte", "the part of copied_bytes that was forced, which no remapping can save"),
        _pages("remapped", "pages moved into the device's reach"),
        Column("baseline_bytes", "int64", "byte", "what bouncing alone would have copied"),
        _count("unknown", "transfers whose page the trace does not tell; they are never taken to bounce unless forced"),
    ),
)
FAULTS = Table(
    "faults",
    "faults over the whole replay by VM",
    (
        *RESULT_KEY,
        _VM,
        _count("accesses", "access rows"),
        _count("cold", "first touches of a page"),
        _count("major", "touches of a page that the host had paged out: page-ins; cold + major = misses"),
        _count("minor", "faults without I/O: a private copy made, a page handed back by the balloon"),
        _count("double_paged", "pages read in by the host only for the guest to page them out"),
        _count("page_outs", "pages paged out by the host"),
        _count("shared_out", "pages shared instead of being paged out"),
        _count("guest_major", "touches of a page that the guest itself had paged out behind the balloon"),
        _count("guest_page_outs", "pages paged out by the guest itself behind the balloon"),
    ),
)
ALLOCATION = Table(
    "allocation",
    "who holds how much, and what the host wants them to hold (paper sections 5 and 6)",
    (
        *RESULT_KEY,
        _VM,
        _pages("min", "guaranteed pages"),
        _pages("max", "the VM's configured size"),
        _count("shares", "shares"),
        _pages("target", "pages the VM should hold"),
        _pages("resident", "guest pages mapped to machine memory"),
        _pages("ballooned", "guest pages held by the balloon driver"),
        _pages("swapped", "guest pages paged out by the host"),
        _pages("active", "estimate of the pages in use, as of this moment"),
        Column("price", "float64", "share/page", "shares per page, idle pages taxed: ρ = S / (P (f + k (1 − f)))"),
        Column("state", "string", "", "the host's worst state since the row before: high, soft, hard or low"),
    ),
)

#: Result tables by name; a module may declare more of its own.
RESULTS: dict[str, Table] = {
    table.name: table for table in (VARIANTS, RUNS, VM, SAVINGS, DISCOVERY, KSM, SAMPLING, COPIES, FAULTS, ALLOCATION)
}
