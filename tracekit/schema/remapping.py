"""Result tables of bounce buffers, remapping and memory tiers."""

from tracekit.schema.results import RESULT_KEY, VM_NAME, count, pages
from tracekit.schema.table import Column, Table

_DEVICE = Column("device", "string", "", "device")
_PHASE = Column("phase", "int64", "", "marks of the VM before: 0 up to its first mark")
COPIES = Table(
    "copies",
    "bounce-buffer copies by VM, device and phase over the whole replay (paper section 7)",
    (
        *RESULT_KEY,
        VM_NAME,
        _DEVICE,
        _PHASE,
        count("transfers", "rows of transfers, one a page"),
        Column("bytes", "int64", "byte", "bytes moved by the device"),
        count("bounced", "rows copied through a bounce buffer"),
        Column("copied_in_bytes", "int64", "byte", "bytes copied into bounce buffers, before the device reads them"),
        Column("copied_out_bytes", "int64", "byte", "bytes copied out of bounce buffers, after the device wrote them"),
        Column("copied_bytes", "int64", "byte", "bytes copied: once a transfer, twice where it goes both ways; forced ones included"),
        count("forced", "the part of bounced that was forced"),
        Column("forced_bytes", "int64", "byte", "the part of copied_bytes that was forced, which no remapping can save"),
        pages("remapped", "pages moved into the device's reach"),
        pages("evicted", "pages moved home to make room for those"),
        pages("again", "the part of remapped that had been moved before"),
        count("baseline", "what bouncing alone would have bounced"),
        Column("baseline_bytes", "int64", "byte", "what bouncing alone would have copied"),
        count("unknown", "rows whose page the trace does not tell; they are never taken to bounce unless forced"),
        Column("unknown_bytes", "int64", "byte", "bytes that these move"),
        count("segments", "adjacent pages of one transfer that bounced together"),
        count("exhausted", "segments that found no room in the pool; their copies are counted all the same"),
        Column("exhausted_bytes", "int64", "byte", "bytes of these"),
        count("mappings", "rows of one moment and direction taken together: what an IOMMU maps and unmaps"),
        Column("cost", "int64", "ns", "time of bouncing, copying and moving, or of an IOMMU's mappings, at the costs given"),
    ),
)
REMAPS = Table(
    "remaps",
    "remapping over time by VM: everything so far",
    (
        *RESULT_KEY,
        VM_NAME,
        pages("remapped", "pages moved into a device's reach so far"),
        pages("evicted", "pages moved home for others so far"),
        pages("again", "the part of remapped that had been moved before"),
        pages("low", "pages that lie where remapping put them"),
        Column("copied_bytes", "int64", "byte", "bytes copied so far, forced ones included"),
        Column("saved_bytes", "int64", "byte", "bytes that bouncing alone would have copied so far beyond these"),
    ),
)
SWIOTLB = Table(
    "swiotlb",
    "the host's pool of bounce buffers over time",
    (
        *RESULT_KEY,
        VM_NAME,
        count("slots", "slots of 2 KiB"),
        count("used", "slots in use"),
        count("peak", "most slots in use at a time so far"),
        count("segments", "segments that asked for room so far"),
        count("exhausted", "those that found none"),
        count("fragmented", "the part of exhausted for which there were slots enough, but not side by side"),
    ),
)
CONCENTRATION = Table(
    "concentration",
    "how concentrated the bytes are that bouncing alone would copy: the pages with most, by VM, device and phase",
    (
        *RESULT_KEY,
        VM_NAME,
        _DEVICE,
        _PHASE,
        Column("forced", "bool", "", "forced transfers, or those that bounce because of where their page lies"),
        pages("top", "pages with the most bytes: 1, 2, 4, … and all"),
        Column("top_bytes", "int64", "byte", "bytes copied for these"),
        pages("pages", "pages that bounce"),
        Column("bytes", "int64", "byte", "bytes copied for all of them"),
    ),
)
TIERS = Table(
    "tiers",
    "which tier serves a VM's accesses, and what moves: everything so far",
    (
        *RESULT_KEY,
        VM_NAME,
        count("near", "accesses served by near memory"),
        count("far", "accesses served by far memory"),
        pages("promoted", "pages moved from far to near memory"),
        pages("demoted", "pages moved from near to far memory"),
        count("faults", "hint faults"),
        count("samples", "accesses that the processor's sampling told"),
        pages("near_pages", "pages that lie in near memory now"),
        pages("far_pages", "pages that lie in far memory now"),
        Column("migrated_bytes", "int64", "byte", "bytes copied from tier to tier"),
        Column("amat", "float64", "ns", "average latency of an access, moves and faults left out", nullable=True),
        Column("amat_moved", "float64", "ns", "the same with moves and faults charged, a row weighing tier.weight accesses", nullable=True),
        Column("cost", "int64", "ns", "time of all accesses, moves (all charged, though some run beside the VM) and hint faults"),
    ),
)
