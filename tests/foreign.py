"""Writers of foreign formats, for tests: each makes a file out of records, and says which rows they are."""

import gzip
import json
import lzma
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

PAGE = 4096


@dataclass
class Foreign:
    """A file: its beginning, its records, its end, the rows that each record makes (tuples of ``columns``)."""

    name: str
    kind: str
    columns: str
    records: list[bytes]
    rows: list[list[tuple[Any, ...]]]
    head: bytes = b""
    tail: bytes = b""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def whole(self) -> bytes:
        return self.head + b"".join(self.records) + self.tail

    @property
    def all_rows(self) -> list[tuple[Any, ...]]:
        return [row for rows in self.rows for row in rows]


MADE: dict[str, Callable[[np.random.Generator], Foreign]] = {}


def made(writer: Callable[[np.random.Generator], Foreign]) -> Callable[[np.random.Generator], Foreign]:
    MADE[writer.__name__.replace("_", "-")] = writer
    return writer


class Numbers:
    """Page numbers by first touch."""

    def __init__(self) -> None:
        self._seen: dict[Any, int] = {}
        self._next: dict[Any, int] = {}

    def __call__(self, page: int, vm: str = "") -> int:
        if (vm, page) not in self._seen:
            self._seen[vm, page] = self._next.get(vm, 0)
            self._next[vm] = self._seen[vm, page] + 1
        return self._seen[vm, page]


def pieces(address: int, size: int) -> list[tuple[int, int]]:
    """(page, bytes of it) of a range."""
    out, end = [], address + size
    while address < end:
        stop = min(end, (address // PAGE + 1) * PAGE)
        out.append((address // PAGE, stop - address))
        address = stop
    return out


def digest(page: bytes) -> int:
    return xxhash.xxh3_64_intdigest(page)


def memory(rng: np.random.Generator, pages: int) -> list[bytes]:
    return [bytes(PAGE) if rng.random() < 0.2 else rng.integers(0, 256, PAGE, np.uint8).tobytes() for _ in range(pages)]


# ------------------------------------------------------------------------------------------------ accesses


def addresses(rng: np.random.Generator, count: int) -> list[tuple[int, int]]:
    return [(int(a), int(s)) for a, s in zip(rng.integers(1 << 20, 1 << 47, count), rng.integers(1, 64, count), strict=True)] + [
        (0x5000 - 3, 8),
        (0x7FFFFFFFF000, 4),
    ]


@made
def lackey(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for op, (address, size) in zip("ISLMISLMIS", addresses(rng, 8), strict=True):
        records.append(f"{op if op == 'I' else ' ' + op} {'' if op != 'I' else ' '}{address:08x},{size}\n".encode())
        rows.append([(number(page), op in "SM", op == "I") for page, _ in pieces(address, size)])
    return Foreign("x.txt", "access", "ppn write fetch", records, rows, head=b"==12== Lackey, an example Valgrind tool\n")


@made
def drmemtrace(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    stamp = 13312410768080478
    head = b"Output format:\n<--record#-> <--instr#->: <---tid---> <record details>\n------\n"
    head += f"           1           0: W0.T7 <marker: version 5>\n           2           0: W0.T7 <marker: timestamp {stamp}>\n".encode()
    for i, (address, size) in enumerate(addresses(rng, 7)):
        op, workload = ("ifetch", "read", "write")[i % 3], i % 2
        line = f"{i + 3:12} {i:11}: W{workload}.T{workload + 9} {op:6} {size:8} byte(s) @ 0x{address:016x} by PC 0x00007fc205a61943\n"
        vm = f"W{workload}"
        rows.append([((i // 2) * 5000, vm, number(page, vm), op == "write", op == "ifetch") for page, _ in pieces(address, size)])
        if i % 2 and i < 8:
            line += f"{i + 3:12} {i:11}: W0.T9 <marker: timestamp {stamp + (i // 2 + 1) * 5}>\n"
        records.append(line.encode())
    return Foreign("x.txt", "access", "t vm ppn write fetch", records, rows, head=head)


@made
def pinatrace(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, (address, _) in enumerate(addresses(rng, 6)):
        records.append(f"0x7f1b5c113093: {'RW'[i % 2]} 0x{address:x}\n".encode())
        rows.append([(number(address // PAGE), i % 2 == 1)])
    return Foreign("pinatrace.out", "access", "ppn write", records, rows, tail=b"#eof\n")


@made
def din(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, (address, _) in enumerate(addresses(rng, 6)):
        records.append(f"{i % 3} {address:x}\n".encode())
        rows.append([(number(address // PAGE), i % 3 == 1, i % 3 == 2)])
    return Foreign("x.din", "access", "ppn write fetch", records, rows)


@made
def ewha(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, (address, size) in enumerate(addresses(rng, 6)):
        records.append(f"{('readi', 'readd', 'write')[i % 3]} 0x{address:08X} {size}\n".encode())
        rows.append([(number(page), i % 3 == 2, i % 3 == 0) for page, _ in pieces(address, size)])
    return Foreign("x.txt", "access", "ppn write fetch", records, rows)


@made
def champsim(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i in range(6):
        pc, *others = (int(value) for value in rng.integers(1 << 20, 1 << 47, 7))
        stores, loads = [others[0], 0] if i % 2 else [0, 0], [others[1], 0, others[2], 0] if i % 3 else [0] * 4
        records.append(struct.pack("<QBB2B4B2Q4Q", pc, 0, 0, 1, 2, 3, 4, 5, 6, *stores, *loads))
        touched = [(pc, False, True), *((a, False, False) for a in loads if a), *((a, True, False) for a in stores if a)]
        rows.append([(number(address // PAGE), write, fetch) for address, write, fetch in touched])
    return Foreign("a.champsimtrace", "access", "ppn write fetch", records, rows)


def regions(rng: np.random.Generator) -> list[tuple[int, int, int]]:
    edges = np.sort(rng.choice(np.arange(1, 500), 6, replace=False)) * PAGE
    return [(int(a), int(b), int(n)) for a, b, n in zip(edges, edges[1:], [3, 0, 20, 0, 1], strict=False)]


@made
def damon(rng: np.random.Generator) -> Foreign:
    records, rows, first = [], [], None
    for moment in range(3):
        for begin, end, hits in regions(rng):
            t = 5_736_388 + moment * 100_000
            age = f" {moment}" if moment else ""
            prefix = f"       kdamond.0-165     [000] .....  {t // 10**6:5}.{t % 10**6:06}: damon_aggregated"
            records.append(f"{prefix}: target_id=0 nr_regions=5 {begin}-{end}: {hits}{age}\n".encode())
            first = t if first is None else first
            rows.append([((t - first) * 1000, page, hits) for page in range(begin // PAGE, end // PAGE)] if hits else [])
    return Foreign("x.txt", "access", "t ppn count", records, rows, head=b"# tracer: nop\n#\n")


@made
def damo(rng: np.random.Generator) -> Foreign:
    records, rows = [], []
    for moment in range(3):
        t, found = 35_019_261_267 + moment * 10**8, regions(rng)
        listed = [
            {"start": f"{a:,}", "end": f"{b:,}", "nr_accesses": {"samples": n, "percent": None}, "age": {"aggr_intervals": "2"}}
            for a, b, n in found
        ]
        text = json.dumps({"start_time": str(t), "end_time": str(t + 10**8), "regions": listed})
        records.append(((", " if moment else "") + text).encode())
        rows.append([(moment * 10**8, page, n) for a, b, n in found if n for page in range(a // PAGE, b // PAGE)])
    head = b'[{"kdamond_idx": 0, "context_idx": 0, "intervals": {"sample_us": "5000"}, "target_id": 0, "snapshots": ['
    return Foreign("damon.data", "access", "t ppn count", records, rows, head=head, tail=b"]}]")


@made
def kvm_faults(rng: np.random.Generator) -> Foreign:
    records, rows = [], []
    for i, page in enumerate(rng.integers(0, 1 << 20, 6).tolist()):
        error = (0x2, 0x10, 0x184)[i % 3]
        line = f"vcpu 0 rip 0xffff address 0x{page * PAGE + 5:016x} error_code 0x{error:x}\n"
        records.append(f" qemu-system-x86-99 [001] d..1. 12.{i:06}: kvm_page_fault: {line}".encode())
        rows.append([(i * 1000, page, error == 2, error == 16)])
    return Foreign("x.txt", "access", "t ppn write fetch", records, rows)


@made
def perf_faults(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, (address, _) in enumerate(addresses(rng, 6)):
        pid = 164 + i % 2
        who = (f"gcc 9  {pid}", f"gcc {pid}/{pid} [001]")[i // 2 % 2]
        records.append(f"      {who}     5.{246099447 + i:09}: page-faults: {address:16x} [unknown] ffffffff9605dc80 rep_stos\n".encode())
        rows.append([(i, f"process-{pid}", number(address // PAGE, f"{pid}"))])
    return Foreign("x.txt", "access", "t vm ppn", records, rows)


@made
def perf_mem(rng: np.random.Generator) -> Foreign:
    records, rows = [], []
    for i, page in enumerate(rng.integers(1, 1 << 20, 6).tolist()):
        op = ("LOAD", "STORE")[i % 2]
        line = f"  stress  4242/4242 [003] 1234.{567890 + i}: cpu/mem-loads,ldlat=30/P: 7f12abcd1234 5080144 "
        records.append((line + f"|OP {op}|LVL L3 miss|SNP None|TLB x 7f00 {page * PAGE + 8:x}\n").encode())
        rows.append([(i * 1000, page, i % 2 == 1)])
    return Foreign("x.txt", "access", "t ppn write", records, rows)


@made
def oracleGeneral(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, key in enumerate(rng.integers(0, 1 << 63, 4).tolist() * 2):
        records.append(struct.pack("<IQIq", 100 + i // 3, key, 4096, -1))
        rows.append([((100 + i // 3 - 100) * 10**9, number(key))])
    return Foreign("w.oracleGeneral.bin", "access", "t ppn", records, rows)


@made
def oracleGeneralOpNS(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, key in enumerate(rng.integers(0, 1 << 63, 4).tolist() * 2):
        space, op = i % 2, (1, 3, 12, 13)[i % 4]
        records.append(struct.pack("<IQIBHq", i // 3, key, 1, op, space, -1))
        rows.append([(i // 3 * 10**9, f"namespace-{space}", number(key, str(space)), op in (3, 13))])
    return Foreign("w.oracleGeneralOpNS", "access", "t vm ppn write", records, rows)


LCS_MAGIC = 0x123456789ABCDEF0


@made
def lcs(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, key in enumerate(rng.integers(0, 1 << 63, 4).tolist() * 2):
        tenant, op = i % 2, (1, 3)[i % 2]
        records.append(struct.pack("<IQIIq", i // 3, key, 1, op | tenant << 8, -1))
        rows.append([(i // 3 * 10**9, f"tenant-{tenant}", number(key, str(tenant)), op == 3)])
    head = struct.pack("<QQ", LCS_MAGIC, 2) + bytes(1000) + struct.pack("<Q", LCS_MAGIC)
    return Foreign("x.lcs", "access", "t vm ppn write", records, rows, head=head)


@made
def lcs_described(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, key in enumerate(rng.integers(0, 1 << 63, 4).tolist() * 2):
        records.append(struct.pack("<IQIH", i // 3, key, 1, i % 2))
        rows.append([(i // 3 * 10**9, f"tenant-{i % 2}", number(key, str(i % 2)))])
    head = struct.pack("<Q240s9B231x512xIIQQ", LCS_MAGIC, b"<IQIH", 2, 3, 1, 0, 0, 0, 0, 4, 0, 4, 18, 1, LCS_MAGIC)
    return Foreign("x.bin", "access", "t vm ppn", records, rows, head=head)


@made
def page_idle(rng: np.random.Generator) -> Foreign:
    words = rng.integers(0, 1 << 63, 6, np.uint64) | np.uint64(0xFFFFFFFFFFFFFF00)
    rows = [[(64 * i + bit,) for bit in range(64) if not int(word) >> bit & 1] for i, word in enumerate(words)]
    return Foreign("idle-3.bin", "access", "ppn", [word.tobytes() for word in words], rows)


@made
def pagemap(rng: np.random.Generator) -> Foreign:
    records, rows = [], []
    for i, pfn in enumerate(rng.integers(1, 1 << 20, 9).tolist()):
        present, dirty = i % 3 != 2, i % 2 == 0
        records.append(struct.pack("<Q", (pfn if i != 4 else 0) | dirty << 55 | present << 63 | (not present) << 62))
        rows.append([(pfn, True)] if present and dirty and i != 4 else [])
    return Foreign("pagemap.bin", "access", "ppn write", records, rows)


@made
def kpageflags(rng: np.random.Generator) -> Foreign:
    """One record: a run is told once it is over."""
    free = rng.random(40) < 0.6
    raw = struct.pack("<40Q", *(1 << 10 | 1 << 5 if f else 1 << 12 for f in free))
    edges = np.flatnonzero(np.diff(free, prepend=False, append=False)).tolist()
    runs = [("hint-free", begin, end - begin) for begin, end in zip(edges[0::2], edges[1::2], strict=True)]
    return Foreign("kpageflags.1", "event", "what a b", [raw], [runs])


def kaplan_sequence(rng: np.random.Generator, kind: str, alone: bool) -> Foreign:
    """Fetches while memory fills up, then fetches for each of which a page leaves. ``alone``: nothing follows an N."""
    records, rows, last = [], [], {}
    for i, page in enumerate([5, 0xFFFF, 7, 5, 9, 7]):
        image, leaves = memory(rng, 1)[0], (b"N", b"N", b"W", b"R", b"W", b"R")[i]
        record = b"%c%04x" % (b"CF"[i == 3 or i == 5], page) + image + leaves
        told = [(page, image)]
        if leaves != b"N":
            gone = [0xFFFF, 5, 0xABC, 5][i - 2]
            other = memory(rng, 1)[0]
            record += b"%04X" % gone + other
            told.append((gone, other))
        elif not alone:
            record += b"0000" + bytes(PAGE)
        changed = [(i, each, digest(body)) for each, body in told if last.get(each) != digest(body)]
        last |= {each: digest(body) for each, body in told}
        records.append(record)
        rows.append(changed if kind == "content" else [(i, page)])
    return Foreign("x.pages", kind, "t ppn digest" if kind == "content" else "t ppn", records, rows)


@made
def kaplan(rng: np.random.Generator) -> Foreign:
    return kaplan_sequence(rng, "content", alone=False)


@made
def kaplan_alone(rng: np.random.Generator) -> Foreign:
    return kaplan_sequence(rng, "access", alone=True)


def kernel_events(rng: np.random.Generator, told: list[tuple[str, str, int, int]]) -> Foreign:
    records = []
    for i, (name, text, _, _) in enumerate(told):
        who = ("ksmd-37      [000] d..1.", "ksmd    37 [000]")[i % 2]
        records.append(f"  {who}  15.{i:06}: {('', 'mm:')[i % 2]}{name}: {text}\n".encode())
    rows = [[(i * 1000, name, a, b)] for i, (name, _, a, b) in enumerate(told)]
    return Foreign("x.txt", "event", "t what a b", records, rows, head=b"# tracer: nop\n")


@made
def ksm(rng: np.random.Generator) -> Foreign:
    page, scan = (int(n) for n in rng.integers(0, 1 << 40, 2))
    item = "rmap_item 000000006dbf5ff1 mm 0000000017d731a6"
    return kernel_events(rng, [
        ("ksm_start_scan", f"seq 3 rmap size {scan}", 3, scan),
        ("ksm_merge_one_page", f"ksm pfn {page} {item} error 0", page, 0),
        ("ksm_merge_with_ksm_page", f"ksm pfn {page + 1} {item} error -14", page + 1, -14),
        ("ksm_merge_with_ksm_page", f"pfn {page + 2} {item} error 0", page + 2, 0),
        ("ksm_remove_rmap_item", f"pfn {page} {item}", page, 0),
        ("ksm_remove_ksm_page", f"pfn {page}", page, 0),
        ("ksm_advisor", f"ksm scan time 12 pages_to_scan {scan} cpu percent 3", 12, scan),
    ])  # fmt: skip


@made
def vmscan(rng: np.random.Generator) -> Foreign:
    n, m = (int(n) for n in rng.integers(0, 1 << 30, 2))
    lru = f"classzone=4 order=0 nr_requested=1 nr_scanned={n} nr_skipped=0 nr_taken={m} lru=inactive_file"
    return kernel_events(rng, [
        ("mm_vmscan_direct_reclaim_begin", "order=2 gfp_flags=GFP_NOFS|__GFP_HIGHMEM", 2, 0),
        ("mm_vmscan_lru_isolate", lru, n, m),
        ("mm_vmscan_lru_shrink_inactive", f"nid=0 nr_scanned={n} nr_reclaimed={m} nr_dirty=0 flags=RECLAIM_WB_FILE", n, m),
        ("mm_vmscan_lru_shrink_active", f"nid=0 nr_taken={n} nr_active=0 nr_deactivated={m} nr_referenced=0 priority=3", n, m),
        ("mm_vmscan_write_folio", f"page=00000000dd8a5d57 pfn=0x{n:x} flags=RECLAIM_WB_ANON", n, 0),
        ("mm_vmscan_direct_reclaim_end", f"nr_reclaimed={n}", n, 0),
        ("mm_vmscan_kswapd_wake", "nid=0 order=4", 4, 0),
    ])  # fmt: skip


@made
def ksm_counters(rng: np.random.Generator) -> Foreign:
    told = list(zip(("full_scans", "pages_sharing", "general_profit"), (int(n) for n in rng.integers(-9, 1 << 40, 3)), strict=True))
    lines = [f"/sys/kernel/mm/ksm/{name}:{value}\n".encode() for name, value in told]
    head = b"/sys/kernel/mm/ksm/advisor_mode:[none] scan-time\n"
    return Foreign("x.txt", "event", "t what a b", lines, [[(0, name, value, 0)] for name, value in told], head=head)


@made
def dirty_ring(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, page in enumerate([*rng.integers(0, 1 << 22, 4).tolist(), 5, 5]):
        slot = i % 2
        line = f"kvm_dirty_ring_push: ring 0: dirty 0x{i:x} reset 0x0 slot {slot} offset 0x{page:x} (used {i})\n"
        records.append(f" CPU 0/KVM-99 [001] d..1. 12.{i:06}: {line}".encode())
        rows.append([(i * 1000, number(slot << 40 | page), True)])
    return Foreign("x.txt", "access", "t ppn write", records, rows)


@made
def dirty_ring_qemu(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, page in enumerate([*rng.integers(0, 1 << 22, 4).tolist(), 5, 5]):
        records.append(f"77@1795220788.{i:06}:kvm_dirty_ring_page vcpu 0 fetch {i} offset 0x{page:x}\n".encode())
        rows.append([(i * 1000, number(page), True)])
    return Foreign("x.log", "access", "t ppn write", records, rows)


@made
def dirty_ring_dump(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, page in enumerate(rng.integers(0, 1 << 22, 8).tolist()):
        records.append(struct.pack("<IIQ", (1, 1, 2)[i % 3], i % 2, page))
        rows.append([] if i % 3 == 2 else [(number((i % 2) << 40 | page), True)])
    return Foreign("dirty-ring.bin", "access", "ppn write", records, rows)


# ------------------------------------------------------------------------------------------------ disks and DMA


@made
def msr(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, offset in enumerate(rng.integers(0, 1 << 40, 6).tolist()):
        vm, write = f"hm-{i % 2}", i % 3 == 1
        records.append(f"{128166372003061629 + i},hm,{i % 2},{'Write' if write else 'Read'},{offset},{5000},113736\n".encode())
        rows.append([(i * 100, vm, number(page, vm), write) for page, _ in pieces(offset, 5000)])
    return Foreign("x.csv", "access", "t vm ppn write", records, rows)


@made
def spc(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, block in enumerate(rng.integers(0, 1 << 30, 6).tolist()):
        vm, write = f"unit-{i % 2}", i % 3 == 1
        records.append(f"{i % 2},{block},8192,{'w' if write else 'R'},0.{i:06}\n".encode())
        rows.append([(i * 1000, vm, number(page, vm), write) for page, _ in pieces(block * 512, 8192)])
    return Foreign("x.spc", "access", "t vm ppn write", records, rows)


@made
def vscsi(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, block in enumerate(rng.integers(0, 1 << 30, 6).tolist()):
        write = i % 3 == 1
        records.append(struct.pack("<HHIIIQQQ", 0x2A if write else 0x28, 2 << 8, i, 6000, 1, block, 50 + i, 9))
        rows.append([(i * 1000, number(page), write) for page, _ in pieces(block * 512, 6000)])
    return Foreign("x.vscsi2", "access", "t ppn write", records, rows)


@made
def vscsi_1(rng: np.random.Generator) -> Foreign:
    number, records, rows = Numbers(), [], []
    for i, block in enumerate(rng.integers(0, 1 << 30, 6).tolist()):
        records.append(struct.pack("<IIIHHQQ", i, 512, 1, 0x28, 1 << 8, block, 50 + i))
        rows.append([(i * 1000, number(page), False) for page, _ in pieces(block * 512, 512)])
    return Foreign("x.trace", "access", "t ppn write", records, rows)


ALL = (1 << 64) - 1


@made
def dma(rng: np.random.Generator) -> Foreign:
    """Maps of single segments and lists; of the second device some bounce, as an event between tells."""
    records, rows = [], []
    head = b"# tracer: nop\n"
    for i in range(8):
        device, way = ("0000:00:02.0", "0000:00:01.1")[i % 2], ("TO_DEVICE", "FROM_DEVICE", "BIDIRECTIONAL")[i % 3]
        told = {"TO_DEVICE": True, "FROM_DEVICE": False}.get(way)
        prefix = f"          cp 1-210     [000] .N...     6.{i:06}: "
        count = 1 + i // 2
        physical = [int(p) * PAGE + 100 for p in rng.integers(1, 1 << 22, count)]
        sizes = [int(s) for s in rng.integers(1, 9000, count)]
        moved = [i % 2 == 1 and (k + i) % 4 < 2 for k in range(count)]
        mapped = [0xF000000 + k * 0x10000 if m else p for k, (p, m) in enumerate(zip(physical, moved, strict=True))]
        if count == 1:
            line = f"dma_map_page: {device} dir={way} dma_addr={mapped[0]:x} size={sizes[0]} phys_addr={physical[0]:x} attrs=\n"
        else:
            d, s, p = (",".join(f"0x{v:x}" for v in values) for values in (mapped, sizes, physical))
            lists = f"dma_addrs={{{d}}} sizes={{{s}}} phys_addrs={{{p}}}"
            line = f"dma_map_sg: {device} dir={way} nents={count}/{count} ents={count}/{count} {lists} attrs=NO_WARN\n"
        mask = 0xFFFFFFFF if i % 2 else ALL
        rows.append(
            [
                (i * 1000, page, device, told, part, mask, m)
                for a, s, m in zip(physical, sizes, moved, strict=True)
                for page, part in pieces(a, s)
            ]
        )
        records.append((prefix + line).encode())
    event = "  cp-210 [000] ..... 6.0: swiotlb_bounced: dev_name: 0000:00:01.1 dma_mask=ffffffff dev_addr=107616000 size=4096 NORMAL\n"
    records[0] += event.encode()
    return Foreign("x.txt", "io", "t ppn device to_device bytes dma_mask bounced", records, rows, head=head)


@made
def swiotlb(rng: np.random.Generator) -> Foreign:
    records, rows = [], []
    for i, page in enumerate(rng.integers(1, 1 << 22, 6).tolist()):
        address, size, forced = page * PAGE + 2304, 5000, i % 2 == 1
        who = ("kworker/u4:0-12      [000] d..1.", "perf 12 [000]")[i // 3]
        event = ("swiotlb_bounced", "swiotlb:swiotlb_bounced")[i // 3]
        where = "ffffffffffffffff" if i == 2 else f"{address:x}"
        line = f"dev_name: eth{i % 2} dma_mask=ffffffff dev_addr={where} size={size} {'FORCE' if forced else 'NORMAL'}\n"
        records.append(f"  {who}  15.{i:06}: {event}: {line}".encode())
        parts = [(None, n) for _, n in pieces(0, size)] if i == 2 else pieces(address, size)
        rows.append([(i * 1000, p, f"eth{i % 2}", None, n, 0xFFFFFFFF, forced, True) for p, n in parts])
    return Foreign("x.txt", "io", "t ppn device to_device bytes dma_mask forced bounced", records, rows)


@made
def blkparse(rng: np.random.Generator) -> Foreign:
    records, rows = [], []
    for i, sector in enumerate(rng.integers(0, 1 << 30, 6).tolist()):
        way, copied = ("R", "WS")[i % 2], i % 3 == 2
        before = f"  8,{i % 2}    3 {i:8}     0.{i:09}   697  "
        lines = f"{before}Q {way:>3} {sector} + 24 [cp]\n"
        if copied:
            lines += f"{before}B {way:>3} {sector} + 24 [cp]\n"
        lines += f"{before}D {way:>3} {sector} + 24 [cp]\n{before}U   N [cp] 1\n"
        records.append(lines.encode())
        rows.append([(i, None, f"8,{i % 2}", way == "WS", n, copied) for _, n in pieces(0, 24 * 512)])
    return Foreign("x.txt", "io", "t ppn device to_device bytes bounced", records, rows)


@made
def qemu(rng: np.random.Generator) -> Foreign:
    records, rows = [], []
    for i, page in enumerate(rng.integers(1, 1 << 22, 6).tolist()):
        name = ("read", "write")[i % 2]
        stamp = f"77@1795220788.{i:06}:"
        lines = (
            f"{stamp}pci_nvme_{name} cid {i} nsid 1 nlb 8 count 4096 lba 0x0\n{stamp}pci_nvme_map_addr addr 0x{page * PAGE:x} len 6000\n"
        )
        records.append((lines + f"{stamp}dma_blk_io dbs=0x55 bs=0x56 offset=0 to_dev={i % 2}\n").encode())
        rows.append([(i * 1000, p, "nvme", i % 2 == 1, n) for p, n in pieces(page * PAGE, 6000)])
    return Foreign("x.log", "io", "t ppn device to_device bytes", records, rows)


@made
def qemu_balloon(rng: np.random.Generator) -> Foreign:
    """Pages enter or leave the balloon; the new size after them tells which."""
    records, rows = [], []
    for i in range(6):
        found = rng.integers(1, 1 << 20, 3).tolist()
        lines = "".join(f"77@5.{i:06}:virtio_balloon_handle_output section name: mem gpa: 0x{page * PAGE:x}\n" for page in found)
        inflates = i % 2 == 0
        records.append((lines + f"77@5.{i:06}:virtio_balloon_set_config actual: {100 - 3 if inflates else 103} oldactual: 100\n").encode())
        rows.append([(i * 1000, "hint-free", page, 1) for page in found] if inflates else [])
    return Foreign("x.log", "event", "t what a b", records, rows)


# ------------------------------------------------------------------------------------------------ images


@made
def raw(rng: np.random.Generator) -> Foreign:
    pages = memory(rng, 6)
    return Foreign("vm.raw", "content", "ppn digest", pages, [[(i, digest(page))] for i, page in enumerate(pages)])


@made
def lime(rng: np.random.Generator) -> Foreign:
    records, rows = [], []
    for first in (1, 0x100, 0x100000):
        pages = memory(rng, 2)
        header = struct.pack("<4sIQQQ", b"EMiL", 1, first * PAGE, (first + 2) * PAGE - 1, 0)
        records.append(header + b"".join(pages))
        rows.append([(first + i, digest(page)) for i, page in enumerate(pages)])
    return Foreign("x.lime", "content", "ppn digest", records, rows)


def snappy_framed(raw: bytes) -> bytes:
    out = [b"\xff\x06\x00\x00sNaPpY"]
    for begin in range(0, len(raw), 1 << 16):
        piece = raw[begin : begin + (1 << 16)]
        body = bytes(4) + (pa.compress(piece, "snappy", asbytes=True) if begin % 2 == 0 else piece)
        out.append(bytes([0]) + len(body).to_bytes(3, "little") + body)
    return b"".join(out)


@made
def avml(rng: np.random.Generator) -> Foreign:
    records, rows = [], []
    for first in (1, 0x100, 0x100000):
        pages = memory(rng, 2)
        header = struct.pack("<IIQQQ", 0x4C4D5641, 2, first * PAGE, (first + 2) * PAGE - 1, 0)
        stream = snappy_framed(b"".join(pages))
        records.append(header + stream + struct.pack("<Q", len(stream)))
        rows.append([(first + i, digest(page)) for i, page in enumerate(pages)])
    return Foreign("x.avml", "content", "ppn digest", records, rows)


@made
def elf(rng: np.random.Generator) -> Foreign:
    """Memory on both sides of a PCI hole, the second part beyond 4 GiB, its end zero and not in the file."""
    ranges = [(0, memory(rng, 3), 3), (0x100000, memory(rng, 2), 4)]
    at = 64 + 56 * 3
    headers, records, rows = [struct.pack("<IIQQQQQQ", 4, 0, 64, 0, 0, 0, 0, 0)], [], []
    for first, pages, size in ranges:
        headers.append(struct.pack("<IIQQQQQQ", 1, 0, at, 0, first * PAGE, len(pages) * PAGE, size * PAGE, 0))
        at += len(pages) * PAGE
        records += pages
        rows += [[(first + i, digest(page))] for i, page in enumerate(pages)]
    rows[-1] += [(0x100002, digest(bytes(PAGE))), (0x100003, digest(bytes(PAGE)))]
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = ident + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(headers), 0, 0, 0)
    return Foreign("x.elf", "content", "ppn digest", records, rows, head=head + b"".join(headers))


@made
def kdump(rng: np.random.Generator) -> Foreign:
    """Pages 1, 3, 9, 11 and 12 of 16 are in the dump: plain, by zlib, by snappy, by zstd, by LZO."""
    pages = [*memory(rng, 4), bytes([7]) * PAGE]
    numbers = [1, 3, 9, 11, 12]
    packed = [pages[0], zlib.compress(pages[1]), pa.compress(pages[2], "snappy", asbytes=True), pa.compress(pages[3], "zstd", asbytes=True)]
    packed += [bytes([18, 7, 32]) + bytes(15) + bytes([4095 - 2 - 31 - 15 * 255, 0, 0, 17, 0, 0])]
    triples = zip(packed, (0, 1, 4, 32, 2), pages, strict=True)
    packed, flags = zip(*((p, f) if len(p) <= PAGE else (q, 0) for p, f, q in triples), strict=True)
    header = b"KDUMP   " + struct.pack("<i", 6) + bytes(390 + 22) + struct.pack("<IiiII", 0, PAGE, 1, 2, 16)
    bitmap = sum(1 << number for number in numbers).to_bytes(2, "little")
    at, descriptors = PAGE * 5, b""
    for body, flag in zip(packed, flags, strict=True):
        descriptors += struct.pack("<qIIQ", at, len(body), flag, 0)
        at += len(body)
    sub = struct.pack("<96xQ", 16)
    parts = [header, sub, bitmap, bitmap, descriptors]
    head = b"".join(part.ljust(PAGE, b"\0") for part in parts)
    return Foreign(
        "x.kdump", "content", "ppn digest", list(packed), [[(n, digest(p))] for n, p in zip(numbers, pages, strict=True)], head=head
    )


@made
def kdump_flattened(rng: np.random.Generator) -> Foreign:
    """The same, in pieces; the first piece is written anew at the end, as the dump's header is."""
    plain = kdump(rng)
    head = b"makedumpfile".ljust(16, b"\0") + struct.pack(">qq", 1, 1) + bytes(PAGE - 32)
    starts = np.cumsum([len(plain.head), *map(len, plain.records)]).tolist()
    wrong = plain.head[:428] + bytes(PAGE - 428)
    head += struct.pack(">qq", 0, PAGE) + wrong + struct.pack(">qq", 0, len(plain.head)) + plain.head
    plain.records = [struct.pack(">qq", start, len(body)) + body for start, body in zip(starts, plain.records, strict=False)]
    plain.head, plain.tail = head, struct.pack(">qq", -1, -1)
    return plain


def vmware_tag(name: str, value: int, *indices: int) -> bytes:
    packed = struct.pack(f"<{len(indices)}I", *indices)
    return bytes([len(indices) << 6 | 4, len(name)]) + name.encode() + packed + struct.pack("<I", value)


@made
def vmware(rng: np.random.Generator) -> Foreign:
    """A state that holds memory itself, in two runs, the second beyond 4 GiB."""
    pages = memory(rng, 5)
    tags = vmware_tag("regionsCount", 2)
    for i, (ppn, number, size) in enumerate(((0, 0, 3), (0x100000, 3, 2))):
        tags += vmware_tag("regionPPN", ppn, i) + vmware_tag("regionPageNum", number, i) + vmware_tag("regionSize", size, i)
    blob = bytes([2 << 6 | 62, 6]) + b"Memory" + struct.pack("<IIQQH", 0, 0, 5 * PAGE, 5 * PAGE, 0)
    groups = struct.pack("<64sQQ", b"cpu", 0, 0) + struct.pack("<64sQQ", b"memory", 12 + 160, 0)
    head = struct.pack("<4sII", bytes.fromhex("d2bed2be"), 8, 2) + groups + tags + blob
    rows = [[(i if i < 3 else 0x100000 + i - 3, digest(page))] for i, page in enumerate(pages)]
    return Foreign("x.vmss", "content", "ppn digest", pages, rows, head=head, tail=b"\0\0")


@made
def hashes(rng: np.random.Generator) -> Foreign:
    numbers = [*rng.integers(1 << 40, 1 << 63, 5).tolist(), ALL]
    return Foreign("x.txt", "content", "ppn digest", [f"{n}\n".encode() for n in numbers], [[(i, n)] for i, n in enumerate(numbers)])


@made
def umass(rng: np.random.Generator) -> Foreign:
    numbers = rng.integers(0, 1 << 32, 8).tolist()
    rows = [[(i, n)] for i, n in enumerate(numbers)]
    head = b"Darwin 10.8.0 MacBook\n1 launchd\n"
    return Foreign(
        "x.trace", "content", "ppn digest", [struct.pack("<I", n) for n in numbers], rows, head=head, options={"format": "umass"}
    )


def zipped(raw: bytes, how: str) -> bytes:
    """A file as gzip, xz, zstd or zlib packs it."""
    packers = {"gz": gzip.compress, "xz": lzma.compress, "zlib": zlib.compress, "zst": lambda raw: pa.compress(raw, "zstd", asbytes=True)}
    return packers[how](raw)
