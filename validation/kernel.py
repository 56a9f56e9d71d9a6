"""A Debian kernel for the validation's guests: downloaded with apt, unpacked, not installed."""

import os
import subprocess
import sys
from pathlib import Path

#: Debian releases of which the first whose kernel tells all DMA (Linux 6.12) is taken.
SUITES = ("bookworm", "trixie")
PACKAGE = "linux-image-cloud-amd64"
WANTED = (6, 12)
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def find_kernel(folder: Path) -> Path:
    """The kernel that TRACEKIT_KERNEL names, else Debian's, kept in ``folder``. Ends the program if there is none."""
    if named := os.environ.get("TRACEKIT_KERNEL"):
        return Path(named)
    folder = folder.resolve()
    if kept := sorted(folder.glob("boot/vmlinuz-*")):
        return kept[-1]
    folder.mkdir(parents=True, exist_ok=True)
    for options in ([], *(_lists_of(folder, suite) for suite in SUITES)):
        name = _depends(options)
        if name and _version(name) >= WANTED:
            subprocess.run(["apt-get", *options, "-q", "download", name], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            (package,) = folder.glob(f"{name}_*.deb")
            subprocess.run(["dpkg", "-x", package, folder], check=True)
            package.unlink()
            return next(folder.glob("boot/vmlinuz-*"))
    sys.exit("no Debian kernel of Linux 6.12 or newer is to be had by apt; set TRACEKIT_KERNEL to a vmlinuz with NVMe built in")


def _lists_of(folder: Path, suite: str) -> list[str]:
    """Options of apt that look into another release of the mirror in use, beside the host's own lists."""
    told = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True, check=True).stdout
    mirror = next((uri for uri in told.split() if uri.rstrip("/").endswith("/debian")), None)
    if mirror is None:
        return []
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / "apt" / part).mkdir(parents=True, exist_ok=True)
    sources = folder / "apt" / f"{suite}.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {mirror} {suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "/dev/null", "Dir::State::lists": folder / "apt" / "lists",
        "Dir::Cache": folder / "apt" / "cache", "APT::Sandbox::User": "root",
    }  # fmt: skip
    options = [item for name, value in settings.items() for item in ("-o", f"{name}={value}")]
    subprocess.run(["apt-get", *options, "-q", "update"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return options


def _depends(options: list[str]) -> str | None:
    told = subprocess.run(["apt-cache", *options, "depends", PACKAGE], capture_output=True, text=True, check=False).stdout
    return next((line.split()[-1] for line in told.splitlines() if "Depends: linux-image-" in line), None)


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.removeprefix("linux-image-").split("-")[0].split("+")[0].split(".")[:2])
