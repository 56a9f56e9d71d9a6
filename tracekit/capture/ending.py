"""How a capture is ended from outside: a signal is remembered, so that what is under way is finished first."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SLICE = 0.05


class Ending:
    """``by`` is the signal that has ended the capture (0: none yet)."""

    by = 0

    def sleep_until(self, due: int) -> bool:
        """Sleep until ``due`` (ns of CLOCK_MONOTONIC); False once a signal has ended the capture."""
        while not self.by and (left := due - time.monotonic_ns()) > 0:
            time.sleep(min(left / 1e9, _SLICE))
        return not self.by


@contextmanager
def signals() -> Iterator[Ending]:
    """SIGINT and SIGTERM are remembered within the block; a second one interrupts at once."""
    ending = Ending()

    def end(number: int, _: object) -> None:
        if ending.by:
            raise KeyboardInterrupt
        ending.by = number

    if threading.current_thread() is not threading.main_thread():  # which alone may be told of signals
        yield ending
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
