"""Policies that find each VM's need by trying: a limit a VM, lowered while it does not suffer; memory is divided within limits."""

import numpy as np

from tracekit.modules.tax.allocation import Allocation


class Limited(Allocation):
    """Subclasses lower and raise ``self.limit`` (pages by VM) in ``observe``; shares decide where limits do not."""

    proactive = True

    def _set_up(self) -> None:
        host = self.site.host
        self.limit = host.max.copy()
        self._looked, self._ins = self.site.origin, self.page_ins()

    def page_ins(self) -> np.ndarray:
        """Pages that a VM has waited for so far: read by the host, or by the guest behind its balloon."""
        books = self.site.host.vm
        return books.major + books.guest_major

    def since(self, now: int, period: int) -> np.ndarray | None:
        """Page-ins of each VM since this was last answered, once a period; else None."""
        if now - self._looked < period:
            return None
        ins = self.page_ins()
        found, self._ins, self._looked = ins - self._ins, ins, now
        return found

    def divide(self, least: np.ndarray, most: np.ndarray, memory: int) -> np.ndarray:
        return super().divide(least, np.clip(self.limit, least, most), memory)
