"""This kernel's KSM beside ``sharing.ksm``, on the same generated pages: ``make ksm`` (root, CONFIG_KSM).

Mergeable memory is filled with pages of known contents: unique ones, groups of every awkward size, zero pages. ksmd is
made to do one full scan a wake-up, and between scans, while it sleeps, its counters are read and some pages rewritten:
with new contents, with another page's, with zeros, or with what they held. The replay is given the same pages and writes.
Every counter must be equal after every full scan, or the run fails. Settings are restored; a KSM that is in use is left
alone. Usage: python validation/ksm.py [SCANS]

In the last case nothing is rewritten: where writes have left room in several merged pages of one content, which of them
the kernel fills depends on when it last pruned their chain; the replay fills the newest (1 or 2 of 1375 nodes apart).
"""

import mmap
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import xxhash

import tracekit
from tracekit.metadata import Metadata, VmInfo
from tracekit.schema import KSM
from tracekit.tracewriter import TraceWriter

SYSFS = Path("/sys/kernel/mm/ksm")
PAGE = 4096
SLEEP_MS = 1000
MADV_MERGEABLE, MADV_NOHUGEPAGE = 12, 15
#: Counters that only grow; the kernel's count from when the machine started.
CUMULATIVE = ("full_scans", "pages_scanned", "pages_skipped")
COUNTERS = tuple(column.name for column in KSM.columns if column.name not in ("variant", "trace", "t", "vm", "pages_to_scan"))
CASES = (
    {"use_zero_pages": 0, "smart_scan": 0, "max_page_sharing": 256},
    {"use_zero_pages": 1, "smart_scan": 0, "max_page_sharing": 256},
    {"use_zero_pages": 0, "smart_scan": 1, "max_page_sharing": 256},
    {"use_zero_pages": 1, "smart_scan": 1, "max_page_sharing": 3},
)
SETTINGS = ("run", "pages_to_scan", "sleep_millisecs", "advisor_mode", "use_zero_pages", "smart_scan", "max_page_sharing")


def read(name: str) -> str:
    return (SYSFS / name).read_text().strip()


def write(name: str, value: object) -> None:
    (SYSFS / name).write_text(str(value))


def contents(rng: np.random.Generator) -> np.ndarray:
    """The content number of each page in random order; 0 is the zero page."""
    groups = [2, 2, 3, 5, 17, 255, 256, 257, 258, 511, 512, 513, 514, 1025]
    numbers = np.repeat(np.arange(1, len(groups) + 1), groups)
    unique = np.arange(1000, 5000)
    return rng.permutation(np.concatenate([np.zeros(900, np.int64), numbers, unique]))


def fill(number: int) -> bytes:
    """A page of this content."""
    return bytes(PAGE) if number == 0 else np.random.default_rng([int(number), 7]).bytes(PAGE)


def rewrites(rng: np.random.Generator, held: np.ndarray, scan: int, writes: bool) -> dict[int, int]:
    """Page → new content for the pages written after a scan; none after some, so that things settle in between."""
    if scan % 3 != 2 or not writes:
        return {}
    pages = rng.choice(len(held), 400, replace=False)
    kinds = rng.integers(0, 4, len(pages))
    fresh = 100_000 * scan + pages
    chosen = np.select([kinds == 0, kinds == 1, kinds == 2], [fresh, held[rng.integers(0, len(held), len(pages))], 0], held[pages])
    return dict(zip(pages.tolist(), chosen.tolist()))


def kernel(case: dict[str, int], numbers: np.ndarray, scans: int, seed: int) -> tuple[list[dict[str, int]], list[dict[int, int]]]:
    """Counters after each full scan of the kernel's KSM, and the rewrites made after it."""
    memory = mmap.mmap(-1, len(numbers) * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(MADV_NOHUGEPAGE)
    for page, number in enumerate(numbers):
        memory[page * PAGE : (page + 1) * PAGE] = fill(number)
    write("run", 2)
    for name, value in case.items():
        write(name, value)
    write("sleep_millisecs", SLEEP_MS)
    write("pages_to_scan", (1 << 32) - 1)
    memory.madvise(MADV_MERGEABLE)
    before = {name: int(read(name)) for name in CUMULATIVE}
    rows, written, rng, held = [], [], np.random.default_rng(seed), numbers.copy()
    write("run", 1)
    for scan in range(1, scans + 1):
        while int(read("full_scans")) - before["full_scans"] < scan:
            time.sleep(0.002)
        began = time.monotonic()
        rows.append({name: int(read(name)) - before.get(name, 0) for name in COUNTERS})
        if rows[0]["pages_scanned"] > len(numbers):
            sys.exit("another process has mergeable memory (QEMU's guests have), which ksmd scans as well; run again without it")
        changes = rewrites(rng, held, scan, case["max_page_sharing"] > 3)
        for page, number in changes.items():
            memory[page * PAGE : (page + 1) * PAGE] = fill(number)
            held[page] = number
        written.append(changes)
        if time.monotonic() - began > 0.8 * SLEEP_MS / 1000:
            sys.exit("this machine is too busy: ksmd may have woken while its counters were read; run again")
    write("run", 2)
    memory.close()
    return rows, written


def replayed(case: dict[str, int], numbers: np.ndarray, written: list[dict[int, int]], folder: Path) -> list[dict[str, int]]:
    """Counters after each full scan of the replay: scan k at k × 20 ms, the writes after it 10 ms later."""
    digest = {}

    def digest_of(number: int) -> int:
        if number not in digest:
            digest[number] = xxhash.xxh3_64_intdigest(fill(number))
        return digest[number]

    step, rows = 20_000_000, [(0, page, digest_of(number)) for page, number in enumerate(numbers)]
    for scan, changes in enumerate(written, 1):
        rows += [(scan * step + step // 2, page, digest_of(number)) for page, number in changes.items()]
    t, ppn, digests = (np.array(column, kind) for column, kind in zip(zip(*rows), (np.int64, np.uint32, np.uint64)))
    seq, vm = np.arange(len(t), dtype=np.uint64), (np.zeros(len(t), np.int32), ("memory",))
    files = []
    # A row of content that says the same again is no write: each write is an access as well.
    for kind, column, of in (("content", {"digest": digests}, t >= 0), ("access", {"write": np.ones(len(t), bool)}, t > 0)):
        if not of.any():
            continue
        capabilities = ("content", "digest64") if kind == "content" else ("access", "exact", "writes")
        given = {"t": t[of], "seq": 2 * seq[of] + (kind == "content"), "vm": (vm[0][of], vm[1]), "ppn": ppn[of]}
        files.append(folder / f"pages.{kind}.parquet")
        about = Metadata(kind, "pages", (VmInfo("memory", len(numbers)),), capabilities, synthetic=True)
        with TraceWriter(files[-1], about, [*given, *column]) as out:
            out.write(given | {name: values[of] for name, values in column.items()})
    zero, smart = (bool(case[name]) for name in ("use_zero_pages", "smart_scan"))
    scenario = {"module": "ksm", "pages_to_scan": 1 << 32, "use_zero_pages": zero, "smart_scan": smart}
    scenario["max_page_sharing"] = case["max_page_sharing"]
    results = tracekit.replay(files, {"sharing": scenario}, until=len(written) * step, auditing=True)
    return results.table("ksm").select(COUNTERS).collect().to_dicts()


def main(scans: int) -> None:
    if not SYSFS.is_dir():
        sys.exit("this kernel has no KSM (CONFIG_KSM)")
    if read("run") != "0" or int(read("pages_shared")):
        sys.exit("KSM is in use here; it is left alone")
    saved = {name: read(name) for name in SETTINGS}
    saved["advisor_mode"] = saved["advisor_mode"].partition("[")[2].partition("]")[0]
    different = 0
    try:
        write("advisor_mode", "none")
        for seed, case in enumerate(CASES):
            numbers = contents(np.random.default_rng(seed))
            real, written = kernel(case, numbers, scans, seed)
            with tempfile.TemporaryDirectory() as folder:
                ours = replayed(case, numbers, written, Path(folder))
            print(", ".join(f"{name} {value}" for name, value in case.items()))
            for scan, (a, b) in enumerate(zip(real, ours, strict=True), 1):
                wrong = [f"{name} {a[name]}, replay {b[name]}" for name in COUNTERS if a[name] != b[name]]
                different += bool(wrong)
                said = "differs: " + "; ".join(wrong) if wrong else "equal: " + " ".join(f"{name}={value}" for name, value in a.items())
                print(f"  scan {scan}: {len(written[scan - 1])} pages rewritten after it; {said}")
    finally:
        write("run", 2)
        for name, value in saved.items():
            if name != "run" or value != "0":
                write(name, value)
        write("run", 0)
    sys.exit(f"{different} of {scans * len(CASES)} scans differ" if different else 0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 14)
