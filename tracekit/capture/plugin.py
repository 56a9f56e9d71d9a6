"""The access plugin, compiled for the QEMU that is here."""

import os
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

from tracekit.errors import CaptureError

#: Plugin API versions in which the functions that plugin.c uses are the same.
KNOWN_APIS = (1, 2, 3, 4)
QEMU = "qemu-system-x86_64"


def build(out: str | os.PathLike[str], api: int) -> Path:
    """Compile the plugin for a plugin API version. Raises CaptureError for unknown versions and without a compiler."""
    if api not in KNOWN_APIS:
        known = ", ".join(map(str, KNOWN_APIS))
        raise CaptureError(f"the plugin is written for QEMU's plugin API {known}, not {api}: what it means there is not known")
    compiler = next((found for name in (os.environ.get("CC"), "cc", "gcc", "clang") if name and (found := shutil.which(name))), None)
    if compiler is None:
        raise CaptureError("there is no C compiler to build the plugin with; install gcc or set CC")
    source = resources.files("tracekit.capture").joinpath("plugin.c").read_bytes()
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [compiler, "-O2", "-shared", "-fPIC", f"-DAPI_VERSION={api}", "-x", "c", "-", "-o", f"{out}.new", "-lpthread"]
    done = subprocess.run(command, input=source, capture_output=True)
    if done.returncode:
        said = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[0]
        raise CaptureError(f"{compiler} cannot build the plugin ({said})")
    os.replace(f"{out}.new", out)
    return out


def find_api(qemu: str = QEMU) -> int:
    """The newest known plugin API version that this QEMU takes, by trial: it has no option that tells. Raises CaptureError."""
    if not shutil.which(qemu):
        raise CaptureError(f"{qemu} is not installed")
    refusal = ""
    with tempfile.TemporaryDirectory(prefix="tracekit-") as folder:
        for api in reversed(KNOWN_APIS):
            plugin = build(Path(folder) / f"api{api}.so", api)
            # Without its arguments the plugin ends QEMU as soon as it has been loaded.
            command = [qemu, "-nodefaults", "-display", "none", "-accel", "tcg", "-S", "-plugin", str(plugin)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
            except subprocess.TimeoutExpired:
                raise CaptureError(f"{qemu} does not end when its plugin refuses") from None
            if "tracekit: needs out=FILE" in done.stderr:
                return api
            refusal = next((line for line in reversed(done.stderr.splitlines()) if "lugin" in line), done.stderr.strip()[-200:])
    raise CaptureError(f"{qemu} takes no plugin of API {KNOWN_APIS[0]} to {KNOWN_APIS[-1]} ({refusal.strip()})")
