"""DAMON: access frequencies of regions that adapt, after Linux's documented algorithm (SeongJae Park et al. 2019, 2022).

Each sampling interval one random page of each region is looked at. At the end of an aggregation interval neighbours of
close counts merge, no further than the fewest regions allow; ages count aggregations without change; then regions split at
random, while there are no more than half of the most. ``tracekit.modules.tax.regions`` has the steps.

A region counts as in use if the last aggregation found it accessed at all, as the tool ``damo`` reports working sets. So
the window that DAMON looks at is its aggregation interval, whatever window the truth beside it has.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.errors import ScenarioError
from tracekit.module import Duration, Out, Site, param
from tracekit.modules.machine import window
from tracekit.modules.tax.accessed import clear
from tracekit.modules.tax.estimator import Estimator
from tracekit.modules.tax.regions import Regions, aggregate, check, in_use, mean_age, pick, regions, split
from tracekit.modules.tax.scanner import Bits, OfBits
from tracekit.schema import DAMON
from tracekit.units import format_duration

#: DAMON's sampling interval, where the trace is finer than that.
SAMPLING = 5 * 10**6


class Damon(OfBits):
    """One random page a region and sampling interval; regions merge and split by what is found. Each VM is a context of its own."""

    name = "damon"
    tables = (*Estimator.tables, DAMON)

    @dataclass(frozen=True)
    class Params(Estimator.Params):
        sampling: Duration = param(Duration(0), "sampling interval; 0: 5 ms, or the trace's bucket where that is longer", "ns", low=0)
        samples: int = param(20, "sampling intervals that make an aggregation interval", low=1, high=1 << 20)
        min_regions: int = param(10, "fewest regions of a VM (or its pages, if they are fewer)", low=1, high=1 << 20)
        max_regions: int = param(1000, "most regions of a VM", low=1, high=1 << 20)

    def __init__(self, params: Any):
        super().__init__(params)
        if params.min_regions > params.max_regions:
            raise ScenarioError(f"damon: min_regions = {params.min_regions} exceeds max_regions = {params.max_regions}; lower it")

    def setup(self, site: Site) -> tuple:
        bucket = site.trace.bucket
        self._sampling = self.params.sampling or max(SAMPLING, bucket)
        if self._sampling < bucket:
            raise ScenarioError(
                f"{site.stage}.sampling = {format_duration(self._sampling)} is finer than {site.trace.name}, whose accesses are gathered "
                f"in buckets of {format_duration(bucket)}: make it at least as long"
            )
        return super().setup(site)

    def make(self, truth: window.Window) -> Bits:
        p, books = self.params, self.site.host.vm
        self._ticks = 0
        self._regions: Regions = regions(books.pages, p.min_regions, p.max_regions, self.site.streams(len(books), "regions"))
        self._limit = np.maximum(books.pages // p.min_regions, 1)
        self._least, self._most = self._regions.number.copy(), self._regions.number.copy()  # regions since the last row
        self._found = books.pages.astype(float)
        with np.errstate(over="ignore"):  # the generator's numbers wrap around when not compiled
            for vm in self.vms:
                pick(self._regions, vm)
        return super().make(truth)

    def own_clocks(self) -> Mapping[str, int]:
        return {"sampling": self._sampling}

    def observe(self, now: int, due: Collection[str], out: Out) -> None:
        if "sampling" not in due:
            return
        r, bits = self._regions, self.bits
        self._ticks += 1
        aggregated = self._ticks % self.params.samples == 0
        for vm in self.vms:
            self.scans[vm] += r.number[vm]
            check(r, vm, bits.touched_in, bits.interval[0], self.site.host.vm.first[vm])
            if aggregated:
                aggregate(r, vm, self._limit[vm])
                self._found[vm] = in_use(r, vm)
                self._least[vm] = min(self._least[vm], r.number[vm])
                split(r, vm)
                self._most[vm] = max(self._most[vm], r.number[vm])
            pick(r, vm)
        clear(bits)

    def estimate(self, vm: int) -> float:
        return float(self._found[vm])

    def tell(self, now: int, vm: int, out: Out) -> None:
        out.row(
            "damon", now, self.site.trace.vms[vm].name, estimator=self.label, regions=int(self._regions.number[vm]),
            least=int(self._least[vm]), most=int(self._most[vm]), age=float(mean_age(self._regions, vm)),
        )  # fmt: skip
        self._least[vm] = self._most[vm] = self._regions.number[vm]
