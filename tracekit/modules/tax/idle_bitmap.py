"""The full idle-page bitmap, as of Linux's page_idle: every page is marked idle, and looked at when a period has passed."""

from tracekit.module import Out
from tracekit.modules.tax.accessed import clear
from tracekit.modules.tax.scanner import Scanner


class IdleBitmap(Scanner):
    """Marks every page idle at the start of a period and counts those that are not at its end: exact then, stale in between."""

    name = "idle-bitmap"

    def scan(self, now: int, out: Out) -> None:
        self.found = clear(self.bits)
        self.scans += 2 * self.site.host.vm.pages  # read, and marked idle again
