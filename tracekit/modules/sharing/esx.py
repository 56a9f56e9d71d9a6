"""ESX's content-based sharing: random pages are scanned, any page may become a hint (paper section 4)."""

from typing import NamedTuple

import numpy as np

from tracekit import rng
from tracekit.kernel import jit
from tracekit.module import Site
from tracekit.modules.sharing.sharing import Sharing


class Draws(NamedTuple):
    """One random stream a VM."""

    rng: np.ndarray  # uint64 (vm, 2)


class Esx(Sharing):
    """Random scan with replacement: coverage after t seconds at r pages/s of P is 1 − e^(−rt/P)."""

    name = "esx"

    def state(self, site: Site) -> Draws:
        return Draws(site.streams(len(site.trace.vms), "scan"))

    @staticmethod
    @jit
    def due(s, h, vm):
        return h.vm[vm].first + rng.below(s.rng[vm], h.vm[vm].pages)
