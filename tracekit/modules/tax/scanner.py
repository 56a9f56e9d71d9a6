"""Estimators that look at pages' accessed bits: what they have in common, and what those that look at all at once have."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import Duration, Out, param
from tracekit.modules.machine import window
from tracekit.modules.tax.accessed import Accessed, accessed, mark
from tracekit.modules.tax.estimator import Estimator


class Bits(NamedTuple):
    """What is kept."""

    truth: window.Window
    accessed: Accessed


class OfBits(Estimator):
    """An estimator that sees of an access only that it sets the page's bit: ``self.bits`` has them."""

    def make(self, truth: window.Window) -> Bits:
        self.bits = accessed(self.site.trace.pages, len(self.site.trace.vms))
        return Bits(truth, self.bits)

    @staticmethod
    @jit
    def on_access(s, vm, page):
        window.see(s.truth, vm, page)
        mark(s.accessed, vm, page)


class Scanner(OfBits):
    """An estimator by scans, once a period. Subclasses give ``scan``, and a hook of their own where not every touch sets a bit.

    Unless they give an estimate of their own, it is the pages that the last scan found, which they leave in ``found``.
    """

    found: np.ndarray | None = None  # int64 by VM

    @dataclass(frozen=True)
    class Params(Estimator.Params):
        period: Duration = param(Duration(30 * 10**9), "how often all pages are looked at and marked idle again", "ns", low=10**6)

    def scan(self, now: int, out: Out) -> None:
        """Read and clear the bits, ``self.bits``, at the end of a period, and count what it costs."""
        raise NotImplementedError

    def own_clocks(self) -> Mapping[str, int]:
        return {"scan": self.params.period}

    def observe(self, now: int, due: Collection[str], out: Out) -> None:
        if "scan" in due:
            self.scan(now, out)

    def estimate(self, vm: int) -> float | None:
        return None if self.found is None else float(self.found[vm])
