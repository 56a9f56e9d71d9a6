"""The trace kinds: a table of rows in (t, seq) order each."""

from tracekit.schema.table import Column, Table

SCHEMA_VERSION = 1
METADATA_KEY = b"tracekit"
#: XXH3-64 (seed 0) of 4096 zero bytes.
ZERO_DIGEST = 0x93D76FE148C689BA

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
    "share_hints": "the guest tells which of its pages are worth sharing (madvise events)",
    "free_hints": "the guest tells which pages it has freed (hint-free events)",
}
