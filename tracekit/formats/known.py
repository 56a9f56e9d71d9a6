"""All formats by name, in the order in which they are tried: those with a mark of their own first."""

from tracekit.formats import (
    avml,
    blkparse,
    champsim,
    damo,
    damon,
    din,
    dirty_ring,
    dma,
    drmemtrace,
    elf,
    ewha,
    hashes,
    kaplan,
    kdump,
    kpageflags,
    ksm,
    kvm,
    lackey,
    lcs,
    lime,
    msr,
    oracle,
    page_idle,
    pagemap,
    perf,
    pinatrace,
    qemu,
    raw,
    spc,
    umass,
    vmscan,
    vmware,
    vscsi,
)
from tracekit.formats.format import Format

_MAGIC = (lime.FORMAT, avml.FORMAT, elf.FORMAT, kdump.FORMAT, vmware.FORMAT, lcs.FORMAT, damo.FORMAT, kaplan.FORMAT)
_BY_NAME = (oracle.FORMAT, oracle.OPNS_FORMAT, champsim.FORMAT, kpageflags.FORMAT, pagemap.FORMAT, page_idle.FORMAT, dirty_ring.DUMP_FORMAT)
_EVENTS = (
    dma.FORMAT,
    damon.FORMAT,
    kvm.FORMAT,
    dirty_ring.FORMAT,
    ksm.FORMAT,
    vmscan.FORMAT,
    qemu.FORMAT,
    perf.FORMAT,
    perf.SAMPLES_FORMAT,
    blkparse.FORMAT,
)
_TEXT = (
    drmemtrace.FORMAT,
    lackey.FORMAT,
    pinatrace.FORMAT,
    msr.FORMAT,
    spc.FORMAT,
    ewha.FORMAT,
    din.FORMAT,
    hashes.FORMAT,
    ksm.COUNTERS_FORMAT,
)
_LAST = (vscsi.FORMAT, raw.FORMAT, umass.FORMAT)

FORMATS: dict[str, Format] = {format.name: format for format in (*_MAGIC, *_BY_NAME, *_EVENTS, *_TEXT, *_LAST)}
#: Formats that need a column map.
TABLES = ("csv", "parquet")
#: Formats whose pages are hashed here.
IMAGES = frozenset({"raw", "lime", "avml", "elf", "vmware", "kdump"})
