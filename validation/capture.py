"""Three real VMs captured whole: ``make capture-test`` (root; qemu-system-x86, busybox-static, gcc; no KVM needed).

Boots a web server and its clients, a VM that packs and unpacks files, and a VM with two NVMe disks under swiotlb=force, each
a Debian kernel with busybox, under the access plugin. Contents and accesses are captured on one clock, and the third VM's
DMA with what really bounced; the capture is checked and replayed. Fails if anything that must hold does not: every page whose
content changed was stored to (but for what devices wrote), every transfer of the third VM bounced.

Usage: python validation/capture.py [FOLDER] [SECONDS]. The kernel is kept in FOLDER/kernel (TRACEKIT_KERNEL names another).
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import polars as pl

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests"))

from initramfs import write_initramfs  # noqa: E402
from kernel import find_kernel  # noqa: E402
from real_vm import RealVm  # noqa: E402

from tracekit.capture import plugin  # noqa: E402
from tracekit.capture.marks import MarksThread, read_marks  # noqa: E402

MIB = {"web": 112, "files": 128, "disk": 144}
BUCKET_MS = 100
EVERY = "5s"
BUSYBOX = Path("/bin/busybox")


def main(folder: Path, seconds: int) -> None:
    for need in (shutil.which("qemu-system-x86_64"), BUSYBOX.exists(), shutil.which("gcc")):
        if not need:
            sys.exit("needs qemu-system-x86_64, /bin/busybox (busybox-static) and gcc: apt-get install qemu-system-x86 busybox-static gcc")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("three*"):
        old.unlink() if old.is_file() else shutil.rmtree(old)
    with step("kernel"):
        kernel = find_kernel(folder / "kernel")
    with step("plugin and file system"):
        built = plugin.build(folder / "tracekit.so", plugin.find_api())
        initramfs = make_initramfs(folder)
    with ExitStack() as stack:
        with step("three boots"):
            vms = [stack.enter_context(guest(folder, name, mib, kernel, initramfs, built, seconds)) for name, mib in MIB.items()]
            marks = folder / "three.marks.tsv"
            stack.enter_context(MarksThread({vm.name: folder / f"{vm.name}.tty" for vm in vms}, marks))
            wait_for(lambda: {vm for _, vm, said in read_marks(marks) if said == "booted"} == set(MIB), 900, "the guests do not boot")
        with step("contents and accesses"):
            sockets = [item for vm in vms for item in ("--qmp", str(vm.socket))]
            tracekit("capture", "content", *sockets, "--every", EVERY, "--for", f"{seconds}s", "-o", str(folder / "three"))
        with step("the guest's record of DMA"):
            wait_for(lambda: any(said == "tracekit done" for _, _, said in read_marks(marks)), 300, "the guest's DMA is not told")
    content = folder / "three.content.parquet"
    with step("logs to traces"):
        logs = [f"{name}={folder / f'{name}.log'}" for name in MIB]
        tracekit("capture", "access", "plugin", *logs, "-o", str(folder / "three"), "--beside", str(content))
        dma = ["--beside", str(content), "--marks", str(marks), "-o", str(folder / "three")]
        tracekit("capture", "io", f"disk={folder / 'disk.out'}", *dma)
    files = [str(file) for file in sorted(folder.glob("three.*.parquet"))]
    with step("check"):
        tracekit("check", *files)
        stored_to(folder)
        bounced(folder)
    with step("replay"):
        tracekit("replay", *files)
    print(f"{sum(Path(file).stat().st_size for file in files) / 1e6:.1f} MB in {len(files)} files in {folder}")


def make_initramfs(folder: Path) -> Path:
    files = {"init": ROOT / "validation/guests/init", "guest_io.sh": ROOT / "tracekit/capture/guest_io.sh", "bin/busybox": BUSYBOX}
    return write_initramfs(folder / "initramfs.gz", {name: (path.read_bytes(), 0o755) for name, path in files.items()})


def guest(folder: Path, name: str, mib: int, kernel: Path, initramfs: Path, built: Path, seconds: int) -> RealVm:
    """A VM that is not started yet: its console in NAME.console, its marks at the socket NAME.tty, its accesses in NAME.log."""
    for old in ("log", "tty"):
        (folder / f"{name}.{old}").unlink(missing_ok=True)
    words = f"console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable work={name} seconds={seconds}"
    arguments: list[object] = ["-cpu", "qemu64,-cx16", "-kernel", kernel, "-initrd", initramfs]
    arguments += ["-serial", f"file:{folder / f'{name}.console'}", "-serial", "chardev:tty"]
    arguments += ["-chardev", f"socket,id=tty,path={folder / f'{name}.tty'},server=on,wait=off"]
    arguments += ["-plugin", f"{built},out={folder / f'{name}.log'},mib={mib},bucket_ms={BUCKET_MS}"]
    if name == "disk":
        words += " swiotlb=4096,force"
        for disk, size in (("disk.disk", 64), ("disk.out", 32)):
            with open(folder / disk, "wb") as file:
                file.truncate(size << 20)
            kind = disk.rpartition(".")[2]
            arguments += ["-drive", f"file={folder / disk},format=raw,if=none,id={kind},cache=unsafe"]
            arguments += ["-device", f"nvme,serial={kind},drive={kind}"]
    return RealVm(folder, name, mib, [*arguments, "-append", words], memfd=name == "web")


def stored_to(folder: Path) -> None:
    """Every page whose content changed between two snapshots was stored to in between, but for what devices wrote."""
    contents, accesses, io = (read(folder / f"three.{kind}.parquet") for kind in ("content", "access", "io"))
    for name in MIB:
        rows, stores = contents.filter(vm=name), accesses.filter(pl.col("vm") == name, "write")
        changed = unseen = 0
        for since, until in pairwise(rows["t"].unique().sort().to_list()):
            around = pl.col("t").is_between(since - 2 * BUCKET_MS * 1_000_000, until)
            pages = set(rows.filter(t=until)["ppn"])
            changed += len(pages)
            unseen += len(pages - set(stores.filter(around)["ppn"]) - set(io.filter(pl.col("vm") == name, around)["ppn"]))
        print(f"{name}: {changed} changes of pages, {unseen} of them without a store")
        if unseen > changed // 100:
            sys.exit(f"{name}: {unseen} of {changed} changed pages were not stored to: contents and accesses disagree")


def bounced(folder: Path) -> None:
    """Every transfer of the third VM bounced, for it was forced to."""
    io = read(folder / "three.io.parquet")
    print(
        f"disk: {len(io)} pages of transfers, {io['bytes'].sum() / 1e6:.1f} MB, {io.filter('bounced')['bytes'].sum() / 1e6:.1f} MB bounced"
    )
    if not len(io) or not io["bounced"].all() or not io["forced"].all():
        sys.exit("transfers under swiotlb=force did not all bounce, or were not seen")


def read(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path).with_columns(pl.col("vm").cast(pl.String))


def tracekit(*arguments: str) -> None:
    command: Sequence[str] = [sys.executable, "-m", "tracekit.cli", *arguments]
    if subprocess.run(command).returncode:
        sys.exit(f"failed: tracekit {' '.join(arguments)}")


def wait_for(happened: Callable[[], bool], seconds: float, otherwise: str) -> None:
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            sys.exit(otherwise)
        time.sleep(0.2)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    start = time.monotonic()
    yield
    print(f"== {what}: {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/capture"), int(sys.argv[2]) if len(sys.argv) > 2 else 40)
