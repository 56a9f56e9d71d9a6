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
            "clock (a = instructions executed so far, b = loads and stores so far), boot, power-off (the VM has ended), "
            "balloon (a = pages that the guest is asked to keep), memory, hint-free (a = first page, b = how many: the guest does "
            "not use them), madvise (b pages from page a on are mergeable; b < 0: −b pages no longer are), mark",
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
    "free_hints": "the guest tells which pages it has freed (hint-free events)",
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
_DEVICE = Column("device", "string", "", "device")
_PHASE = Column("phase", "int64", "", "marks of the VM before: 0 up to its first mark")
COPIES = Table(
    "copies",
    "bounce-buffer copies by VM, device and phase over the whole replay (paper section 7)",
    (
        *RESULT_KEY,
        _VM,
        _DEVICE,
        _PHASE,
        _count("transfers", "rows of transfers, one a page"),
        Column("bytes", "int64", "byte", "bytes moved by the device"),
        _count("bounced", "rows copied through a bounce buffer"),
        Column("copied_in_bytes", "int64", "byte", "bytes copied into bounce buffers, before the device reads them"),
        Column("copied_out_bytes", "int64", "byte", "bytes copied out of bounce buffers, after the device wrote them"),
        Column("copied_bytes", "int64", "byte", "bytes copied: once a transfer, twice where it goes both ways; forced ones included"),
        _count("forced", "the part of bounced that was forced"),
        Column("forced_bytes", "int64", "byte", "the part of copied_bytes that was forced, which no remapping can save"),
        _pages("remapped", "pages moved into the device's reach"),
        _pages("evicted", "pages moved home to make room for those"),
        _pages("again", "the part of remapped that had been moved before"),
        _count("baseline", "what bouncing alone would have bounced"),
        Column("baseline_bytes", "int64", "byte", "what bouncing alone would have copied"),
        _count("unknown", "rows whose page the trace does not tell; they are never taken to bounce unless forced"),
        Column("unknown_bytes", "int64", "byte", "bytes that these move"),
        _count("segments", "adjacent pages of one transfer that bounced together"),
        _count("exhausted", "segments that found no room in the pool; their copies are counted all the same"),
        Column("exhausted_bytes", "int64", "byte", "bytes of these"),
        _count("mappings", "rows of one moment and direction taken together: what an IOMMU maps and unmaps"),
        Column("cost", "int64", "ns", "time of bouncing, copying and moving, or of an IOMMU's mappings, at the costs given"),
    ),
)
REMAPS = Table(
    "remaps",
    "remapping over time by VM: everything so far",
    (
        *RESULT_KEY,
        _VM,
        _pages("remapped", "pages moved into a device's reach so far"),
        _pages("evicted", "pages moved home for others so far"),
        _pages("again", "the part of remapped that had been moved before"),
        _pages("low", "pages that lie where remapping put them"),
        Column("copied_bytes", "int64", "byte", "bytes copied so far, forced ones included"),
        Column("saved_bytes", "int64", "byte", "bytes that bouncing alone would have copied so far beyond these"),
    ),
)
SWIOTLB = Table(
    "swiotlb",
    "the host's pool of bounce buffers over time",
    (
        *RESULT_KEY,
        _VM,
        _count("slots", "slots of 2 KiB"),
        _count("used", "slots in use"),
        _count("peak", "most slots in use at a time so far"),
        _count("segments", "segments that asked for room so far"),
        _count("exhausted", "those that found none"),
        _count("fragmented", "the part of exhausted for which there were slots enough, but not side by side"),
    ),
)
CONCENTRATION = Table(
    "concentration",
    "how concentrated the bytes are that bouncing alone would copy: the pages with most, by VM, device and phase",
    (
        *RESULT_KEY,
        _VM,
        _DEVICE,
        _PHASE,
        Column("forced", "bool", "", "forced transfers, or those that bounce because of where their page lies"),
        _pages("top", "pages with the most bytes: 1, 2, 4, … and all"),
        Column("top_bytes", "int64", "byte", "bytes copied for these"),
        _pages("pages", "pages that bounce"),
        Column("bytes", "int64", "byte", "bytes copied for all of them"),
    ),
)
TIERS = Table(
    "tiers",
    "which tier serves a VM's accesses, and what moves: everything so far",
    (
        *RESULT_KEY,
        _VM,
        _count("near", "accesses served by near memory"),
        _count("far", "accesses served by far memory"),
        _pages("promoted", "pages moved from far to near memory"),
        _pages("demoted", "pages moved from near to far memory"),
        _count("faults", "hint faults"),
        _count("samples", "accesses that the processor's sampling told"),
        _pages("near_pages", "pages that lie in near memory now"),
        _pages("far_pages", "pages that lie in far memory now"),
        Column("migrated_bytes", "int64", "byte", "bytes copied from tier to tier"),
        Column("amat", "float64", "ns", "average latency of an access, moves and faults left out", nullable=True),
        Column("amat_moved", "float64", "ns", "the same with moves and faults charged, a row weighing tier.weight accesses", nullable=True),
        Column("cost", "int64", "ns", "time of all accesses, moves (all charged, though some run beside the VM) and hint faults"),
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
        _count("double_paged", "pages that the host had to read in only for the guest to write them out to its own swap"),
        _count("page_outs", "pages paged out by the host"),
        _count("shared_out", "pages shared instead of being paged out"),
        _count("guest_major", "touches of a page that the guest itself had given up behind the balloon: its page-ins"),
        _count("guest_page_outs", "dirty pages written to its own swap by the guest behind the balloon"),
        Column("mean_resident", "float64", "page", "guest pages resident, on average over the accesses of the VM's pool (its virtual "
               "time): the space that a policy took for its misses; null without accesses", nullable=True),
    ),
)  # fmt: skip
BALLOON = Table(
    "balloon",
    "the guests behind their balloons over time, with cumulative counters (paper section 3.2)",
    (
        *RESULT_KEY,
        _VM,
        _pages("target", "pages that the guest is asked to keep, as far as the balloon's cap allows"),
        _pages("ballooned", "guest pages held by the balloon driver (without a hypervisor: that the machine does not have)"),
        _pages("in_use", "pages in use by the guest, without those that its kernel keeps"),
        _pages("kernel", "pages that its kernel keeps and never gives up"),
        _pages("swap_used", "slots of the guest's own swap that hold a page"),
        _count("guest_major", "touches of a page that the guest had given up so far: its page-ins"),
        _count("guest_page_outs", "dirty pages that the guest wrote to its own swap so far"),
        _count("dropped", "clean pages that the guest gave up without a write so far"),
        _count("double_paged", "of guest_page_outs, those that the host had to read in only for the guest to write them out"),
        _count("dropped_swapped", "of dropped, those that the host had paged out for nothing"),
        _count("yielded", "pages that the balloon or the kernel gave back because the guest could not give up another (its swap was full)"),
        _count("pops", "balloons that popped: a rebooted guest used a page that its driver no longer held"),
        _count("zeroed", "free pages zeroed by the guest's zero-page thread so far"),
        _count("hinted", "pages freed on the guest's own hint so far"),
    ),
)  # fmt: skip
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
SWAP = Table(
    "swap",
    "where the pages are that the host has paged out, and what came from where, by VM over time; times by the stage's stated costs",
    (
        *RESULT_KEY,
        _VM,
        _pages("zero", "pages of zeros that are paged out: they take no memory"),
        _pages("compressed", "pages in the compressed pool"),
        _pages("remote", "pages in remote memory"),
        _pages("disk", "pages on disk"),
        Column("pool", "int64", "page", "machine pages that the compressed pool holds (of the host, not of a VM)", nullable=True),
        Column("compressed_bytes", "int64", "byte", "what the pages in the pool were compressed to"),
        Column("ratio", "float64", "", "bytes of the pages in the pool over compressed_bytes", nullable=True),
        _count("to_zero", "page-outs of pages of zeros so far"),
        _count("to_compressed", "page-outs to the pool so far"),
        _count("to_remote", "page-outs to remote memory so far, what the pool wrote back left out"),
        _count("to_disk", "page-outs to disk so far, what the pool wrote back left out"),
        _count("from_zero", "page-ins of pages of zeros so far"),
        _count("from_compressed", "page-ins from the pool so far"),
        _count("from_remote", "page-ins from remote memory so far"),
        _count("from_disk", "page-ins from disk so far"),
        _count("incompressible", "page-outs that the pool refused because the page is too large compressed, so far"),
        _count("full", "page-outs that the pool refused because it was at its limit, so far"),
        _count("written_back", "pages that the pool wrote back to the next tier so far"),
        _count("unknown", "page-outs to the pool with a size drawn without the page's content being known, so far"),
        _count("over", "pages put on disk beyond host.swap so far"),
        _count("waited", "page-outs that a fault of the VM waited for, so far; all others were ahead of need"),
        Column("load_ns", "float64", "ns", "time of all page-ins so far"),
        Column("wait_ns", "float64", "ns", "time of all page-outs so far that a fault of the VM waited for"),
        Column("access_ns", "float64", "ns", "mean time of an access row so far: local memory, and its part of the above", nullable=True),
    ),
)

_WINDOW = Column("window", "int64", "ns", "window τ: the working set is the pages used within τ before")
WORKING_SET_CURVE = Table(
    "working_set_curve",
    "the mean size of the working set and its misses for all windows, and the reuse times behind them (Denning & Schwartz 1972)",
    (
        *RESULT_KEY,
        _VM,
        _WINDOW,
        Column("size", "float64", "page", "mean size of the working set over the replay; null if no time passes in it", nullable=True),
        _count("misses", "accesses whose page was not used within the window before, first uses among them"),
        Column("miss_ratio", "float64", "", "misses ÷ accesses; null for a VM without accesses", nullable=True),
        _count("reuses", "accesses with a reuse time (since the page's last use) above the row before's window and at most this one"),
    ),
)
WORKING_SET = Table(
    "working_set",
    "sizes of the working sets over time, from the first whole window on",
    (*RESULT_KEY, _VM, _WINDOW, _pages("pages", "pages used from t − window to before t; of *: the sum over the VMs")),
)
WORKING_SET_SUMMARY = Table(
    "working_set_summary",
    "what the sizes over time come to; * is all VMs at the same moments",
    (
        *RESULT_KEY,
        _VM,
        _WINDOW,
        _count("samples", "moments that sizes were taken at"),
        Column("mean", "float64", "page", "mean size"),
        *(Column(f"p{p}", "float64", "page", f"{p} % of the sizes are at most this") for p in (5, 25, 50, 75, 95, 99)),
        _pages("peak", "largest size; of *: the peak of the sums"),
        Column("peak_t", "int64", "ns", "when that was, the first time"),
        _pages("sum_of_peaks", "of *: the VMs' own peaks added up; else peak"),
    ),
)
WORKING_SET_PAIRS = Table(
    "working_set_pairs",
    "whether the working sets of two VMs grow and shrink together",
    (
        *RESULT_KEY,
        _VM,
        Column("other", "string", "", "the other virtual machine"),
        _WINDOW,
        Column("correlation", "float64", "", "Pearson's, of the sizes over time; null where one never changes", nullable=True),
    ),
)
HEAT = Table(
    "heat",
    "a heat map: one row a VM, period of time and band of addresses in which there were accesses",
    (
        *RESULT_KEY[:2],
        Column("t", "int64", "ns", "when the period begins"),
        _VM,
        Column("length", "int64", "ns", "length of the period (the last one may be cut short)"),
        Column("ppn", "int64", "page", "first page number of the band"),
        _pages("pages", "pages of the band (the last one of a VM may be cut short)"),
        _count("accesses", "access rows"),
        _pages("used", "distinct pages used"),
    ),
)

MRC = Table(
    "mrc",
    "what share of the accesses misses in a memory of so many pages; one row a size",
    (
        RESULT_KEY[1],
        Column("vm", "string", "", "virtual machine; * is all of them in one memory"),
        Column("method", "string", "", "exact, shards, aet or mini"),
        Column("policy", "string", "", "replacement policy: any for mini, lru for the others"),
        Column("frames", "int64", "page", "size of the memory"),
        Column("miss_ratio", "float64", "", "misses (first uses among them) ÷ accesses; null where no page was sampled", nullable=True),
        Column("low", "float64", "", "lower end of the 95 % interval; null where the method states none (exact, aet)", nullable=True),
        Column("high", "float64", "", "upper end of the 95 % interval; null where the method states none (exact, aet)", nullable=True),
        Column("accesses", "int64", "", "accesses of the VM, or of all"),
        Column("sampled", "int64", "", "accesses that the method looked at"),
    ),
)
PARTITION = Table(
    "partition",
    "what each VM would get of a memory that is divided, and would miss of its accesses under LRU; one row a rule and VM",
    (
        RESULT_KEY[1],
        Column("method", "string", "", "where the curves come from: exact, shards or aet"),
        Column("rule", "string", "", "utility, shares, equal, footprint, or undivided"),
        Column("vm", "string", "", "virtual machine; * is all of them"),
        Column("frames", "int64", "page", "memory that the VM gets"),
        Column("miss_ratio", "float64", "", "misses (first uses among them) ÷ accesses"),
        _count("misses", "misses, estimated where the method samples"),
        _count("accesses", "accesses of the VM"),
    ),
)

#: Result tables by name; a module may declare more of its own.
RESULTS: dict[str, Table] = {
    table.name: table
    for table in (
        VARIANTS, RUNS, VM, SAVINGS, DISCOVERY, KSM, SAMPLING, COPIES, REMAPS, SWIOTLB, CONCENTRATION, TIERS,
        FAULTS, BALLOON, ALLOCATION, SWAP,
        WORKING_SET_CURVE, WORKING_SET, WORKING_SET_SUMMARY, WORKING_SET_PAIRS, HEAT,
    )
}  # fmt: skip
