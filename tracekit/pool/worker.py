"""A worker of this machine: does the tasks that come in over a pipe, one after the other, until it is closed.

It holds no state that matters. When its parent dies, the pipe is closed and it ends at once, in the midst of a task.
"""

import os
import pickle
import queue
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from tracekit.pool.memory import give_back
from tracekit.pool.task import attempt

#: Seconds between two messages that say how far a task is.
_PERIOD = 0.3


def main(handle: int) -> None:
    """Serve the socket that has this file descriptor."""
    parent = Connection(handle)
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(parent, tasks), daemon=True).start()
    while True:
        try:
            parent.send(_do(parent, tasks.get()))
            give_back()
        except OSError:
            return


def _receive(parent: Connection, tasks: "queue.SimpleQueue[bytes]") -> None:
    try:
        while True:
            tasks.put(parent.recv_bytes())
    except (EOFError, OSError):
        os._exit(1)


def _do(parent: Connection, payload: bytes) -> tuple[str, Any]:
    last = time.monotonic()

    def advance(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > _PERIOD:
            last = time.monotonic()
            parent.send(("units", done))

    def unpack_and_work() -> Any:
        work, arguments = pickle.loads(payload)
        return work(advance, *arguments)

    return attempt(unpack_and_work)


if __name__ == "__main__":
    main(int(sys.argv[1]))
