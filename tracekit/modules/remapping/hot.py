"""Hot I/O pages are remapped (paper section 7); what brackets that: nothing is, everything is, and hardware that needs neither."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import Site, param
from tracekit.modules.remapping.remap import Remap


class Threshold(NamedTuple):
    """Copies beyond which a page is hot."""

    copies: np.ndarray  # int64, one


class Hot(Remap):
    """A page is moved once its copies exceed a threshold; the copy that exceeds it is still paid."""

    name = "hot"

    @dataclass(frozen=True)
    class Params(Remap.Params):
        threshold: int = param(8, "copies of a page beyond which it is moved into reach", low=0, high=1 << 31)

    def state(self, site: Site) -> Threshold:
        return Threshold(np.array([self.params.threshold], np.int64))

    @staticmethod
    @jit
    def hot(s, page, copies):
        return copies > s.copies[0]


class BounceAll(Remap):
    """Nothing is ever moved: bouncing alone."""

    name = "bounce-all"

    @staticmethod
    @jit
    def hot(s, page):
        return False


class RemapAll(Remap):
    """Every page is moved at its first copy: the most that moving without foresight can save."""

    name = "remap-all"

    @staticmethod
    @jit
    def hot(s, page):
        return True


class Iommu(Remap):
    """No copies: an IOMMU lets every device reach all memory, and each mapping costs. Forced transfers bounce all the same."""

    name = "iommu"
    translated = True

    @staticmethod
    @jit
    def hot(s, page):
        return False
