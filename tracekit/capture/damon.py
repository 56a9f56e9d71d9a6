"""DAMON, the kernel's own sampling of accesses: one monitoring set up, listened to, and taken down again.

Regions of addresses are taken to be used alike; each is looked at in one page of its own every sampling interval, and split
and joined as that goes. See the Linux documentation, "DAMON: data access monitor", "sysfs interface" and "tracepoints".
"""

import os
import re
import select
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tracekit.capture.ending import Ending
from tracekit.errors import CaptureError

ADMIN = Path("/sys/kernel/mm/damon/admin/kdamonds")
TRACING = Path("/sys/kernel/tracing")
INSTANCE = "tracekit"
_LINE = re.compile(rb"\] \S+ +(\d+)\.(\d+): damon_aggregated: target_id=\d+ nr_regions=\d+ (\d+)-(\d+): (\d+)")


@dataclass(frozen=True)
class Region:
    """Bytes ``start`` to ``end`` were found accessed in ``count`` samples of the interval that ended at ``t`` (ns of CLOCK_MONOTONIC)."""

    t: int
    start: int
    end: int
    count: int


class Damon:
    """Monitors ``ranges`` of addresses: of process ``pid``, or physical ones. Use as a context manager; needs root.

    Raises CaptureError where the kernel has no DAMON or none of this kind, and where somebody else uses it.
    """

    def __init__(self, ranges: Sequence[tuple[int, int]], pid: int | None, sample_us: int = 5000, aggregate_us: int = 100_000):
        self._ranges, self._pid, self._intervals = sorted(ranges), pid, (sample_us, aggregate_us)
        self._instance = TRACING / "instances" / INSTANCE

    def __enter__(self) -> "Damon":
        refuse_without_damon()
        try:
            _write(ADMIN / "nr_kdamonds", 1)
            self._set_up(ADMIN / "0/contexts")
            self._instance.mkdir()
            _write(self._instance / "trace_clock", "mono")
            _write(self._instance / "events/damon/damon_aggregated/enable", 1)
            self._pipe = os.open(self._instance / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
            _write(ADMIN / "0/state", "on")
        except OSError as error:
            self.__exit__()
            raise CaptureError(f"{error.filename}: DAMON cannot be set up ({error.strerror})") from None
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            _write(ADMIN / "0/state", "off")
        with suppress(OSError):
            _write(ADMIN / "nr_kdamonds", 0)
        with suppress(OSError, AttributeError):
            os.close(self._pipe)
        with suppress(OSError):
            self._instance.rmdir()

    def regions(self, ending: Ending, until: int | None) -> Iterator[Region]:
        """Regions in the order in which DAMON tells of them, until ``until`` (ns of CLOCK_MONOTONIC), a signal, or the process's end."""
        half = b""
        while not ending.by and (until is None or time.monotonic_ns() < until):
            if not select.select([self._pipe], [], [], 0.05)[0] and (ADMIN / "0/state").read_text().strip() != "on":
                return
            with suppress(BlockingIOError):
                *lines, half = (half + os.read(self._pipe, 1 << 16)).split(b"\n")
                for line in lines:
                    if match := _LINE.search(line):
                        seconds, micro, start, end, count = map(int, match.groups())
                        yield Region(seconds * 10**9 + micro * 1000, start, end, count)

    def _set_up(self, contexts: Path) -> None:
        _write(contexts / "nr_contexts", 1)
        context = contexts / "0"
        operations = "paddr" if self._pid is None else "fvaddr"
        if operations not in (context / "avail_operations").read_text().split():
            what = "physical addresses (CONFIG_DAMON_PADDR)" if self._pid is None else "processes (CONFIG_DAMON_VADDR)"
            raise CaptureError(f"this kernel's DAMON does not monitor {what}")
        _write(context / "operations", operations)
        for name, value in zip(("sample_us", "aggr_us"), self._intervals):
            _write(context / "monitoring_attrs/intervals" / name, value)
        _write(context / "targets/nr_targets", 1)
        target = context / "targets/0"
        if self._pid is not None:
            _write(target / "pid_target", self._pid)
        _write(target / "regions/nr_regions", len(self._ranges))
        for i, (start, end) in enumerate(self._ranges):
            _write(target / f"regions/{i}/start", start)
            _write(target / f"regions/{i}/end", end)


def refuse_without_damon() -> None:
    """Raise CaptureError unless DAMON can be used here, and by us."""
    if not ADMIN.exists():
        raise CaptureError("this kernel has no DAMON that can be set up through sysfs (CONFIG_DAMON_SYSFS, Linux 5.18)")
    if not (TRACING / "events/damon/damon_aggregated").exists():
        raise CaptureError(f"{TRACING}/events/damon is not there; mount -t tracefs tracefs {TRACING}, as root")
    try:
        used = (ADMIN / "nr_kdamonds").read_text().strip()
    except OSError as error:
        raise CaptureError(f"DAMON may not be used ({error.strerror}); are you root?") from None
    if used != "0":
        raise CaptureError(f"DAMON is in use by somebody else ({ADMIN}/nr_kdamonds is {used}); end that first")


def _write(path: Path, value: object) -> None:
    path.write_text(str(value))
