"""What this host can capture, found out by trying: a device that is there, or a setting that is accepted, proves nothing."""

import ctypes
import mmap
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracekit.capture import plugin
from tracekit.capture.damon import ADMIN, TRACING, refuse_without_damon
from tracekit.capture.process import ProcessGuest
from tracekit.errors import CaptureError
from tracekit.units import PAGE_BYTES

#: A boot sector that leaves by QEMU's isa-debug-exit device: mov al,42; out 0xF4,al; hlt. QEMU's exit code is then 2·42 + 1.
_BOOT = bytes.fromhex("b02ae6f4f4").ljust(510, b"\0") + b"\x55\xaa"
_BOOTED = 2 * 42 + 1
_SOFT_DIRTY = np.uint64(1 << 55)


@dataclass(frozen=True)
class Ability:
    """Whether something works here (and is of use), what was found, and what to do with it or instead."""

    what: str
    works: bool
    found: str
    advice: str


def probe() -> list[Ability]:
    """Everything that captures depend on. Takes some seconds."""
    return [
        _ability("QEMU", _qemu, "capture content --qmp", "apt-get install qemu-system-x86"),
        _ability("a VM under TCG", _tcg, "guests with -accel tcg", "install QEMU and its firmware (seabios)"),
        _ability("a VM under KVM", _kvm, "guests with -accel kvm", "guests with -accel tcg: slower, but their accesses can be captured"),
        _ability("access plugin", _plugin, "capture access build", "install gcc, and a QEMU with plugins, as Debian's"),
        _ability("libvirt", _virsh, "capture content --domain", "for libvirt's VMs only: apt-get install libvirt-clients"),
        _ability("other processes", _process, "capture content --pid", "be root; VMs can be read by QEMU's pmemsave"),
        _ability("DAMON", _damon, "capture access damon", "capture access build or dirty"),
        _ability("DMA tracepoints", _dma, "guest_io.sh for this host's own DMA", "what matters is the guest's kernel"),
        _ability("KSM", _ksm, "make ksm compares it with sharing.ksm", "no capture needs it"),
        _ability("soft-dirty bits", _soft_dirty, "not needed: digests tell changes", "changes are told by digests"),
    ]


def _ability(what: str, find: Callable[[], str], good: str, bad: str) -> Ability:
    try:
        return Ability(what, True, find(), good)
    except (CaptureError, OSError, subprocess.SubprocessError) as error:
        return Ability(what, False, str(error), bad)


def _qemu() -> str:
    if not shutil.which(plugin.QEMU):
        raise CaptureError(f"{plugin.QEMU} is not installed")
    told = subprocess.run([plugin.QEMU, "--version"], capture_output=True, text=True, timeout=30).stdout
    return told.splitlines()[0] if told else plugin.QEMU


def _tcg() -> str:
    return f"boots in {_boot('tcg'):.1f} s"


def _kvm() -> str:
    kvm, tcg = _boot("kvm"), _boot("tcg")
    if kvm > tcg:  # KVM inside a VM may take longer than to translate every instruction
        raise CaptureError(f"boots in {kvm:.1f} s, under TCG in {tcg:.1f} s")
    return f"boots in {kvm:.1f} s"


def _boot(accelerator: str) -> float:
    """Seconds in which a sector boots that does nothing but leave. Raises CaptureError if it does not."""
    _qemu()
    with tempfile.TemporaryDirectory(prefix="tracekit-") as folder:
        disk = Path(folder) / "disk"
        disk.write_bytes(_BOOT.ljust(1 << 20, b"\0"))
        command = [plugin.QEMU, "-nodefaults", "-display", "none", "-m", "16", "-accel", accelerator, "-no-reboot"]
        command += ["-device", "isa-debug-exit,iobase=0xf4", "-drive", f"file={disk},format=raw,if=ide"]
        start = time.monotonic()
        try:
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
        except subprocess.TimeoutExpired:
            raise CaptureError("does not boot within 30 s") from None
    if done.returncode != _BOOTED:
        said = (done.stderr.strip().splitlines() or [f"QEMU ends with {done.returncode}"])[-1].removeprefix(f"{plugin.QEMU}: ")
        raise CaptureError(f"does not boot ({said})")
    return time.monotonic() - start


def _plugin() -> str:
    return f"plugin API {plugin.find_api()}"


def _virsh() -> str:
    if not shutil.which("virsh"):
        raise CaptureError("virsh is not installed")
    done = subprocess.run(["virsh", "--readonly", "list", "--name"], capture_output=True, text=True, timeout=10)
    if done.returncode:
        raise CaptureError((done.stderr.strip().splitlines() or ["virsh does not answer"])[-1])
    return f"domains that run: {', '.join(done.stdout.split()) or 'none'}"


def _process() -> str:
    """Stop and read a process of our own, which takes the same rights as one of somebody else's of the same user."""
    with subprocess.Popen(["/bin/sh", "-c", "read -r line"], stdin=subprocess.PIPE) as child:
        try:
            guest = ProcessGuest(child.pid)
            with guest.stopped():
                pages = sum(len(numbers) for numbers, _ in guest.pieces())
            guest.close()
        finally:
            child.kill()
    if not pages:
        raise CaptureError("they cannot be read (ptrace is restricted)")
    return f"as {'root' if os.geteuid() == 0 else 'user ' + str(os.geteuid())}"


def _damon() -> str:
    refuse_without_damon()
    known = "paddr, vaddr or both, as the kernel was built"
    with suppress(OSError):  # what it can do is told only once one is there
        (ADMIN / "nr_kdamonds").write_text("1")
        (ADMIN / "0/contexts/nr_contexts").write_text("1")
        known = " ".join((ADMIN / "0/contexts/0/avail_operations").read_text().split())
    with suppress(OSError):
        (ADMIN / "nr_kdamonds").write_text("0")
    return f"Linux {platform.release()}: {known}"


def _dma() -> str:
    if not (TRACING / "events").exists():
        raise CaptureError(f"tracefs is not mounted; mount -t tracefs tracefs {TRACING}, as root")
    found = [name for name in ("dma/dma_map_page", "dma/dma_map_phys", "dma/dma_map_sg", "swiotlb/swiotlb_bounced")
             if (TRACING / "events" / name).exists()]  # fmt: skip
    if not found:
        raise CaptureError("this kernel has none (dma: Linux 6.12)")
    return ", ".join(name.partition("/")[2] for name in found)


def _ksm() -> str:
    path = Path("/sys/kernel/mm/ksm/run")
    if not path.exists():
        raise CaptureError("this kernel has none (CONFIG_KSM)")
    return {"0": "off", "1": "on"}.get(path.read_text().strip(), "being undone")


def _soft_dirty() -> str:
    """Whether the bit is clear after clearing it, and set by a store to one of two pages: kernels accept the request and do nothing."""
    with mmap.mmap(-1, 2 * PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory[0] = memory[PAGE_BYTES] = 1
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        Path("/proc/self/clear_refs").write_text("4")
        cleared = _soft_dirty_bits(address, 2)
        memory[PAGE_BYTES] = 2
        stored = _soft_dirty_bits(address, 2)
    if cleared != [False, False] or stored != [False, True]:
        raise CaptureError(f"the kernel accepts them and does not keep them (after clearing {cleared}, after a store {stored})")
    return "kept as they should be"


def _soft_dirty_bits(address: int, pages: int) -> list[bool]:
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        raw = os.pread(file.fileno(), 8 * pages, address // PAGE_BYTES * 8)
    return (np.frombuffer(raw, np.uint64) & _SOFT_DIRTY > 0).tolist()
