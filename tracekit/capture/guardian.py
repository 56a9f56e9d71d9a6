"""Lets a guest go on that stands still when this process is killed: a shell that waits for its end, and then does one thing."""

import os
import shlex
import subprocess
from collections.abc import Sequence

_WAIT = 'while read -r state; do last=$state; done; if [ "$last" = stopped ]; then {then}; fi'


class Guardian:
    """Runs ``command``, with ``stdout``, if this process ends between ``stopped`` and ``going``, by whatever signal."""

    def __init__(self, command: Sequence[str], stdout: int = subprocess.DEVNULL):
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _WAIT.format(then=shlex.join(command))], stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.DEVNULL,
            start_new_session=True, bufsize=0,
        )  # fmt: skip

    def stopped(self) -> None:
        """The guest is about to stand still."""
        self._tell(b"stopped\n")

    def going(self) -> None:
        """The guest goes on."""
        self._tell(b"going\n")

    def close(self) -> None:
        """No more guest to look after."""
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait()

    def _tell(self, what: bytes) -> None:
        assert self._shell.stdin is not None
        os.write(self._shell.stdin.fileno(), what)
