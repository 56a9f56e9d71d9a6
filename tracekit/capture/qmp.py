"""QMP, the JSON protocol by which a running QEMU is asked and told (QEMU documentation: "QEMU Machine Protocol")."""

import json
import os
import socket
import struct
from contextlib import suppress
from typing import Any, Protocol

from tracekit.capture.guardian import Guardian
from tracekit.errors import CaptureError

#: Seconds that QEMU may take to greet, and to answer.
GREETING, ANSWER = 10.0, 120.0


class Monitor(Protocol):
    """Asks one QEMU. ``where`` names it in sentences, ``pid`` is its process (None: not known)."""

    where: str
    pid: int | None

    def execute(self, command: str, **arguments: Any) -> Any:
        """What QEMU returns. Raises CaptureError if it refuses or is gone."""
        ...

    def guardian(self) -> Guardian:
        """Continues the VM if this process is killed while it stands still."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Qmp:
    """A ``Monitor`` at a Unix socket made by ``-qmp unix:PATH,server=on,wait=off``, which serves one client at a time."""

    def __init__(self, path: str | os.PathLike[str], greeting: float = GREETING):
        self.where = os.fspath(path)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(greeting)
        try:
            self._socket.connect(self.where)
        except OSError as error:
            self._socket.close()
            said = f"{self.where}: no QEMU answers there ({error.strerror or error})"
            raise CaptureError(f"{said}; start it with -qmp unix:{self.where},server=on,wait=off") from None
        self._stream = self._socket.makefile("rb")
        self.pid = _process_behind(self._socket)
        try:
            greeted = json.loads(self._line())
            self.version = ".".join(str(greeted["QMP"]["version"]["qemu"][part]) for part in ("major", "minor", "micro"))
            self._socket.settimeout(ANSWER)
            self.execute("qmp_capabilities")
        except (TimeoutError, ValueError, KeyError, TypeError):
            self.close()
            said = "does not greet as QEMU's monitor does; is it a QMP socket, and is no other program connected to it?"
            raise CaptureError(f"{self.where}: {said}") from None
        except CaptureError:
            self.close()
            raise

    def execute(self, command: str, **arguments: Any) -> Any:
        """What QEMU returns; events that come first are skipped. Raises CaptureError if it refuses or is gone."""
        asked = {"execute": command} | ({"arguments": arguments} if arguments else {})
        try:
            self._socket.sendall(json.dumps(asked).encode() + b"\n")
            while True:
                told = json.loads(self._line())
                if "return" in told:
                    return told["return"]
                if "error" in told:
                    raise CaptureError(f"{self.where}: QEMU refuses {command} ({told['error'].get('desc', 'without a reason')})")
        except TimeoutError:
            raise CaptureError(f"{self.where}: QEMU has not answered {command} for {ANSWER:.0f} s; is it stuck?") from None
        except (OSError, ValueError, TypeError, AttributeError):
            raise CaptureError(f"{self.where}: QEMU went away during {command}; did the VM end?") from None

    def guardian(self) -> Guardian:
        """Continues the VM, on this connection, if this process is killed while it stands still."""
        said = json.dumps({"execute": "cont"})
        return Guardian(["sh", "-c", f"echo '{said}'; sleep 2"], stdout=self._socket.fileno())  # until QEMU has heard and answered

    def close(self) -> None:
        """Leave the socket to the next client."""
        self._stream.close()
        self._socket.close()

    def _line(self) -> bytes:
        with suppress(ConnectionError):
            if line := self._stream.readline():
                return line
        raise CaptureError(f"{self.where}: QEMU went away; did the VM end?")


def ask_person(monitor: Monitor, line: str) -> str:
    """What the monitor for people prints (QMP's ``human-monitor-command``): some facts are told nowhere else."""
    return monitor.execute("human-monitor-command", **{"command-line": line}).replace("\r", "")


def _process_behind(connection: socket.socket) -> int | None:
    """The process that listens at the other end; None if it lives where its number means nothing here."""
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return pid or None
