"""How many pages ksmd scans a wake-up: the kernel's scan-time advisor, and ksmtuned.

Both are arithmetic on whole numbers, as in the originals; the kernel's is described in its documentation
(admin-guide/mm/ksm, "advisor"), with a smoothing weight of 30 %; ksmtuned is the daemon of that name.
"""

from dataclasses import dataclass, field

EWMA_WEIGHT = 30
MIN_CPU = 10


@dataclass
class ScanTimeAdvisor:
    """Aims at a full scan in ``target`` seconds: after each it scales the pages a wake-up by how far off the scan was.

    ``max_cpu`` is in percent of one CPU, ``most`` in pages.
    """

    target: int
    max_cpu: int
    most: int
    _scan_time: int = field(default=0, init=False)
    _change: int = field(default=0, init=False)

    def advise(self, pages: int, scan_time: int, cpu_ms: int) -> int:
        """Pages a wake-up from here on, after a full scan that took ``scan_time`` s (whole) and ``cpu_ms`` of CPU time."""
        scan_time = max(scan_time, 1)
        cpu_percent = max(cpu_ms * 100 // (scan_time * 1000), 1)
        factor = max(self.target * 100 // scan_time, 1)
        change = max(scan_time * 100 // (self._scan_time or scan_time), 1)
        self._change = ((100 - EWMA_WEIGHT) * self._change + EWMA_WEIGHT * change) // 100
        self._scan_time = scan_time
        cost = max(pages // cpu_percent, 1)
        wanted = pages * 100 // factor * self._change // 100
        return min(max(min(wanted, cost * self.max_cpu), cost * MIN_CPU), self.most)


@dataclass(frozen=True)
class Ksmtuned:
    """Scans more while memory is short: every minute 300 pages more a wake-up, or 50 fewer, between 64 and 1250.

    Memory is short where the VMs' sizes and a fifth of memory exceed memory, and less than a fifth is free.
    """

    memory: int  # pages
    committed: int  # pages: Σ sizes of VMs
    boost: int = 300
    decay: int = -50
    least: int = 64
    most: int = 1250

    def tune(self, pages: int, free: int) -> int:
        """Pages a wake-up for the next minute, with ``free`` pages free now; 0: ksmd need not run at all."""
        reserve = self.memory // 5
        if self.committed + reserve <= self.memory:
            return 0
        return min(max(pages + (self.boost if free < reserve else self.decay), self.least), self.most)

    def sleep(self) -> int:
        """ns between wake-ups: 10 ms for 16 GiB of memory, less for more, at least 10 ms."""
        return max(10 * (16 << 18) // self.memory, 10) * 10**6
