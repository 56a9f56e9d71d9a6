"""Result tables of paging, balloon, swap, and of curves and working sets."""

from tracekit.schema.results import RESULT_KEY, VM_NAME, count, pages
from tracekit.schema.table import Column, Table

FAULTS = Table(
    "faults",
    "faults over the whole replay by VM",
    (
        *RESULT_KEY,
        VM_NAME,
        count("accesses", "access rows"),
        count("cold", "first touches of a page"),
        count("major", "touches of a page that the host had paged out: page-ins; cold + major = misses"),
        count("minor", "faults without I/O: a private copy made, a page handed back by the balloon"),
        count("double_paged", "pages that the host had to read in only for the guest to write them out to its own swap"),
        count("page_outs", "pages paged out by the host"),
        count("shared_out", "pages shared instead of being paged out"),
        count("guest_major", "touches of a page that the guest itself had given up behind the balloon: its page-ins"),
        count("guest_page_outs", "dirty pages written to its own swap by the guest behind the balloon"),
        Column("mean_resident", "float64", "page", "guest pages resident, on average over the accesses of the VM's pool (its virtual "
               "time): the space that a policy took for its misses; null without accesses", nullable=True),
    ),
)  # fmt: skip
BALLOON = Table(
    "balloon",
    "the guests behind their balloons over time, with cumulative counters (paper section 3.2)",
    (
        *RESULT_KEY,
        VM_NAME,
        pages("target", "pages that the guest is asked to keep, as far as the balloon's cap allows"),
        pages("ballooned", "guest pages held by the balloon driver (without a hypervisor: that the machine does not have)"),
        pages("in_use", "pages in use by the guest, without those that its kernel keeps"),
        pages("kernel", "pages that its kernel keeps and never gives up"),
        pages("swap_used", "slots of the guest's own swap that hold a page"),
        count("guest_major", "touches of a page that the guest had given up so far: its page-ins"),
        count("guest_page_outs", "dirty pages that the guest wrote to its own swap so far"),
        count("dropped", "clean pages that the guest gave up without a write so far"),
        count("double_paged", "of guest_page_outs, those that the host had to read in only for the guest to write them out"),
        count("dropped_swapped", "of dropped, those that the host had paged out for nothing"),
        count("yielded", "pages that the balloon or the kernel gave back because the guest could not give up another (its swap was full)"),
        count("pops", "balloons that popped: a rebooted guest used a page that its driver no longer held"),
        count("zeroed", "free pages zeroed by the guest's zero-page thread so far"),
        count("hinted", "pages freed on the guest's own hint so far"),
    ),
)  # fmt: skip
SWAP = Table(
    "swap",
    "where the pages are that the host has paged out, and what came from where, by VM over time; times by the stage's stated costs",
    (
        *RESULT_KEY,
        VM_NAME,
        pages("zero", "pages of zeros that are paged out: they take no memory"),
        pages("compressed", "pages in the compressed pool"),
        pages("remote", "pages in remote memory"),
        pages("disk", "pages on disk"),
        Column("pool", "int64", "page", "machine pages that the compressed pool holds (of the host, not of a VM)", nullable=True),
        Column("compressed_bytes", "int64", "byte", "what the pages in the pool were compressed to"),
        Column("ratio", "float64", "", "bytes of the pages in the pool over compressed_bytes", nullable=True),
        count("to_zero", "page-outs of pages of zeros so far"),
        count("to_compressed", "page-outs to the pool so far"),
        count("to_remote", "page-outs to remote memory so far, what the pool wrote back left out"),
        count("to_disk", "page-outs to disk so far, what the pool wrote back left out"),
        count("from_zero", "page-ins of pages of zeros so far"),
        count("from_compressed", "page-ins from the pool so far"),
        count("from_remote", "page-ins from remote memory so far"),
        count("from_disk", "page-ins from disk so far"),
        count("incompressible", "page-outs that the pool refused because the page is too large compressed, so far"),
        count("full", "page-outs that the pool refused because it was at its limit, so far"),
        count("written_back", "pages that the pool wrote back to the next tier so far"),
        count("unknown", "page-outs to the pool with a size drawn without the page's content being known, so far"),
        count("over", "pages put on disk beyond host.swap so far"),
        count("waited", "page-outs that a fault of the VM waited for, so far; all others were ahead of need"),
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
        VM_NAME,
        _WINDOW,
        Column("size", "float64", "page", "mean size of the working set over the replay; null if no time passes in it", nullable=True),
        count("misses", "accesses whose page was not used within the window before, first uses among them"),
        Column("miss_ratio", "float64", "", "misses ÷ accesses; null for a VM without accesses", nullable=True),
        count("reuses", "accesses with a reuse time (since the page's last use) above the row before's window and at most this one"),
    ),
)
WORKING_SET = Table(
    "working_set",
    "sizes of the working sets over time, from the first whole window on",
    (*RESULT_KEY, VM_NAME, _WINDOW, pages("pages", "pages used from t − window to before t; of *: the sum over the VMs")),
)
WORKING_SET_SUMMARY = Table(
    "working_set_summary",
    "what the sizes over time come to; * is all VMs at the same moments",
    (
        *RESULT_KEY,
        VM_NAME,
        _WINDOW,
        count("samples", "moments that sizes were taken at"),
        Column("mean", "float64", "page", "mean size"),
        *(Column(f"p{p}", "float64", "page", f"{p} % of the sizes are at most this") for p in (5, 25, 50, 75, 95, 99)),
        pages("peak", "largest size; of *: the peak of the sums"),
        Column("peak_t", "int64", "ns", "when that was, the first time"),
        pages("sum_of_peaks", "of *: the VMs' own peaks added up; else peak"),
    ),
)
WORKING_SET_PAIRS = Table(
    "working_set_pairs",
    "whether the working sets of two VMs grow and shrink together",
    (
        *RESULT_KEY,
        VM_NAME,
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
        VM_NAME,
        Column("length", "int64", "ns", "length of the period (the last one may be cut short)"),
        Column("ppn", "int64", "page", "first page number of the band"),
        pages("pages", "pages of the band (the last one of a VM may be cut short)"),
        count("accesses", "access rows"),
        pages("used", "distinct pages used"),
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
        count("misses", "misses, estimated where the method samples"),
        count("accesses", "accesses of the VM"),
    ),
)

#: Result tables by name; a module may declare more of its own.
