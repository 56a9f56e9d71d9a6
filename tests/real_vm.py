"""Real VMs for tests and validation: started, asked, and always ended, each by its own process id."""

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tracekit.capture.qmp import Qmp
from tracekit.errors import CaptureError

QEMU = "qemu-system-x86_64"
HAS_QEMU = shutil.which(QEMU) is not None

#: A boot sector that increments a word in each of the pages 16 to 143, and again at each tick of the clock (18.2 Hz).
TOUCHER = bytes.fromhex("fbb800108ec026ff0600000500013d009072f1f4ebeb").ljust(510, b"\0") + b"\x55\xaa"
TOUCHED = range(16, 144)


class RealVm:
    """One QEMU with TCG; its QMP socket is ``folder/NAME.qmp``. Use as a context manager: leaving it ends the VM."""

    def __init__(self, folder: Path, name: str, mib: int, arguments: Sequence[object] = (), memfd: bool = False):
        self.name, self.mib, self.socket, self.said = name, mib, folder / f"{name}.qmp", folder / f"{name}.said"
        self.socket.unlink(missing_ok=True)
        backend = ["-machine", "pc,memory-backend=mem", "-object", f"memory-backend-memfd,id=mem,size={mib}M,share=on"] if memfd else []
        command = [QEMU, "-nodefaults", "-display", "none", "-no-reboot", "-accel", "tcg", "-m", mib, *backend]
        command += ["-qmp", f"unix:{self.socket},server=on,wait=off", *arguments]
        with open(self.said, "wb") as said:
            self.process = subprocess.Popen([str(each) for each in command], stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def __enter__(self) -> "RealVm":
        try:
            end = time.monotonic() + 30
            while True:
                try:
                    Qmp(self.socket).close()
                    return self
                except CaptureError:
                    if self.process.poll() is not None or time.monotonic() > end:
                        raise RuntimeError(f"{self.name} does not run: {self.said.read_text()[-500:]}") from None
                    time.sleep(0.05)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def toucher(folder: Path, name: str, mib: int = 16, arguments: Sequence[object] = (), memfd: bool = False) -> RealVm:
    """A VM without a kernel, whose boot sector writes to known pages as long as it runs."""
    disk = folder / f"{name}.disk"
    disk.write_bytes(TOUCHER.ljust(1 << 20, b"\0"))
    return RealVm(folder, name, mib, ["-drive", f"file={disk},format=raw,if=ide", *arguments], memfd)
