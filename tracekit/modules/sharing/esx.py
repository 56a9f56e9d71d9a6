"""ESX's content-based sharing: random pages are scanned, any page may become a hint (paper section 4)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit import rng
from tracekit.errors import ScenarioError
from tracekit.host import MASK, MASK_HI
from tracekit.kernel import jit
from tracekit.module import Out, Site, param
from tracekit.modules.sharing.sharing import Sharing

#: Pages of a large page (2 MiB).
LARGE = 512


class Draws(NamedTuple):
    """One random stream a VM, and which memory is still large pages."""

    rng: np.ndarray  # uint64 (vm, 2)
    large: np.ndarray  # bool by 512 page ids: still one large page


class Esx(Sharing):
    """Random scan with replacement: coverage after t seconds at r pages/s of P is 1 − e^(−rt/P).

    The table keeps ``hash_bits`` of a page's hash: where two contents have them in common, the full compare finds them
    different, and the page scanned later is not shared (what collides beyond the bits that the trace tells contents by is
    not known). Memory backed by large pages is not shared until these are
    broken, in page order, as many as free memory falls short of ``break_below`` (as in later ESXi); a page that is
    about to be paged out has been broken out of its large page.
    """

    name = "esx"

    @dataclass(frozen=True)
    class Params(Sharing.Params):
        hash_bits: int = param(64, "bits of a page's hash that the table keeps", "bit", low=16, high=128)
        large_pages: bool = param(False, "guest memory is backed by pages of 2 MiB, which are not shared until broken")
        break_below: float = param(0.06, "part of the host's memory below which free memory makes it break large pages", low=0.0, high=1.0)

    def state(self, site: Site) -> Draws:
        bits, known = self.params.hash_bits, site.trace.digest_bits
        if bits > known:
            raise ScenarioError(
                f"sharing.hash_bits = {bits}: {site.trace.name} tells contents by digests of {known} bits, so nobody knows what hashes "
                "of more do; lower it, or give content rows a digest_hi"
            )
        site.host.rules[MASK], site.host.rules[MASK_HI] = (1 << min(bits, 64)) - 1, (1 << max(bits - 64, 0)) - 1
        blocks = -(-site.trace.pages // LARGE)
        self._large = np.full(blocks, self.params.large_pages)
        return Draws(site.streams(len(site.trace.vms), "scan"), self._large)

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        if self.params.large_pages:
            host, usable = self.site.host, self.site.usable
            free = usable - len(host.refs) + int(host.free[0])
            lacking = int(self.params.break_below * usable) - free
            whole = np.flatnonzero(self._large)
            self._large[whole[: -(-max(lacking, 0) // LARGE)]] = False
        super().control(now, due, out)

    @staticmethod
    @jit
    def due(s, h, vm):
        return h.vm[vm].first + rng.below(s.rng[vm], h.vm[vm].pages)

    @staticmethod
    @jit
    def trust(s, h, page):
        return not s.large[np.int64(page) // LARGE]
