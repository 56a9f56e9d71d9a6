"""A QEMU that libvirt runs: asked through ``virsh``, which shares its monitor."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tracekit.capture.guardian import Guardian
from tracekit.capture.qmp import ANSWER
from tracekit.errors import CaptureError

#: Where libvirt keeps the process ids of its QEMUs, as root and as a user.
PID_FOLDERS = (Path("/run/libvirt/qemu"), Path.home() / ".cache/libvirt/qemu/run")


class Domain:
    """A ``Monitor`` of a libvirt domain by name. Stopping and continuing it is left to libvirt, which then knows of it."""

    def __init__(self, name: str):
        if not shutil.which("virsh"):
            raise CaptureError(f"domain {name!r} cannot be asked: virsh is not installed (apt-get install libvirt-clients)")
        self.where = name
        state = self._virsh("domstate", name).strip()
        if state not in ("running", "paused"):
            raise CaptureError(f"domain {name!r} is {state or 'unknown'}, expected running; start it: virsh start {name}")
        self.pid = next((int(file.read_text()) for folder in PID_FOLDERS if (file := folder / f"{name}.pid").exists()), None)

    def execute(self, command: str, **arguments: Any) -> Any:
        """What QEMU returns. Raises CaptureError if libvirt or QEMU refuses."""
        if command in ("stop", "cont"):
            self._virsh("suspend" if command == "stop" else "resume", self.where)
            return {}
        asked = {"execute": command} | ({"arguments": arguments} if arguments else {})
        try:
            told = json.loads(self._virsh("qemu-monitor-command", self.where, json.dumps(asked)))
            if "error" in told:
                raise CaptureError(f"{self.where}: QEMU refuses {command} ({told['error'].get('desc', 'without a reason')})")
            return told["return"]
        except (ValueError, KeyError, TypeError):
            raise CaptureError(f"{self.where}: virsh does not give QEMU's answer to {command}; is it a domain of QEMU's?") from None

    def guardian(self) -> Guardian:
        """Continues the domain if this process is killed while it stands still."""
        return Guardian(["virsh", "resume", self.where])

    def close(self) -> None:
        """Nothing is held open."""

    def _virsh(self, *words: str) -> str:
        try:
            done = subprocess.run(["virsh", "--quiet", *words], capture_output=True, text=True, timeout=ANSWER, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise CaptureError(f"{words[1]}: virsh {words[0]} does not answer") from None
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["without a reason"])[0].removeprefix("error: ")
            raise CaptureError(f"{words[1]}: virsh {words[0]} fails ({said})")
        return done.stdout
