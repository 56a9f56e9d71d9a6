"""What one who knows the future would move: the bound for every policy, and the best choice for good."""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import Site
from tracekit.modules.remapping.remap import Remap


class Chosen(NamedTuple):
    """Pages that are moved before their first copy."""

    page: np.ndarray  # bool by page


class Clairvoyant(Remap):
    """Moves a page before its first copy if all its copies together cost more than moving it, into low memory without end.

    No policy can cost less: one that ever moves a page pays for moving it, one that never does pays for all its copies.
    With ``move = 0ns`` and so little a cost that every page is worth it, it is the bound on bytes: only forced copies are left.
    """

    name = "clairvoyant"
    endless = True

    def gain(self) -> np.ndarray:
        """What moving each page for good saves (int64, ps): its copies less the move."""
        ahead = self.survey
        mine = self.bouncing() & (ahead.forced == 0)
        cost = ahead.transfers[mine] * self.costs.bounce + ahead.copied[mine] * self.costs.byte
        gain = np.zeros(self.site.trace.pages, np.int64)
        np.add.at(gain, ahead.page[mine], cost)
        return gain - self.costs.move

    def state(self, site: Site) -> Chosen:
        return Chosen(self.gain() > 0)

    @staticmethod
    @jit
    def ahead(s, page):
        return s.page[page]

    @staticmethod
    @jit
    def hot(s, page):
        return False


class Static(Clairvoyant):
    """Moves, before their first copy, the pages that low memory has room for and that save most, and no other: the best that
    can be had without ever moving a page twice.
    """

    name = "static"
    endless = False

    def state(self, site: Site) -> Chosen:
        gain = self.gain()
        room = int(self.bounces.low.free.sum())
        chosen = np.zeros(len(gain), np.bool_)
        chosen[np.argsort(-gain, kind="stable")[:room]] = True
        return Chosen(chosen & (gain > 0))
