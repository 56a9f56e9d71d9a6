"""Miniature simulation: any replacement policy on a spatial sample of the pages, in a memory as much smaller (Waldspurger et
al., ATC 2017).

The replay engine itself runs on the part of the trace that is sampled, one variant a size. Of n pages in use s are sampled:
memory of c pages becomes one of c · s/n, and a miss stands for n/s misses. Where the sample then stands for more or fewer
accesses than there were, popular pages are the reason, and the difference is hits (as in SHARDS-adj). At rate 1 it is the
replay, exactly.

The interval spans all of these. (1) The sample falls into GROUPS parts, each a stratified sample of rate R/GROUPS, which are
replayed too, in memories of their own scale: the truth lies between the least and the most that they say with
1 − 2 · ½⁶ = 97 %, whatever their distribution (the sign test's interval of a median), but for what scaling itself does to the
policy; drawn in about the sample's own answer by √(1 − R), for a sample without replacement. (2) What the sample says of
memories of c ± 1.96 √(c (1 − R)/R) pages, as in SHARDS. No group may be left less than a page of memory.

Some policies have curves that no sample can tell: under SIEVE and its like, loops make the miss ratio jump to and fro between
sizes a few pages apart, and one size's truth may lie outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tracekit import registry
from tracekit.engine import Progress, advance
from tracekit.errors import TracekitError
from tracekit.mrc.pools import Pools
from tracekit.mrc.table import Curve
from tracekit.part import Part
from tracekit.run import Run
from tracekit.scenario import variants
from tracekit.spatial import hashes, limit

GROUPS = 6
_Z = 1.96


def mini(pools: Pools, policy: str, rate: float, seed: int, progress: Progress) -> list[Curve]:
    """The curves of all pools under ``paging.<policy>``. Sizes are simulated when a curve is asked for them."""
    registry.load("paging", policy)
    accesses = np.zeros(pools.trace.pages, np.int64)
    for _, page in pools.rows():
        np.add.at(accesses, page, 1)
    hashed = hashes(pools.trace.pages, seed)
    below = [hashed <= limit(rate * group / GROUPS) for group in range(1, GROUPS + 1)]
    sampled = [below[-1]] + [below[0], *(more & ~less for less, more in pairwise(below))] * (rate < 1)
    found = []
    for name, first, pages in zip(pools.names, pools.first.tolist(), pools.pages.tolist()):
        used = accesses > 0
        used[:first] = used[first + pages :] = False
        if used.any():
            samples = [used & mine for mine in sampled]
            least = int(np.ceil(GROUPS / rate)) if rate < 1 else 1
            pool = _Miniature(pools, policy, seed, progress, samples, least, int(used.sum()), int(accesses[used].sum()))
            found.append(Curve(name, pool.used, pool.accesses, int(accesses[samples[0]].sum()), pool.at, least))
    return found


@dataclass(frozen=True)
class _Miniature:
    """A pool's samples (bool by page; the whole sample first, then its groups), ready to be replayed."""

    pools: Pools
    policy: str
    seed: int
    progress: Progress
    samples: Sequence[np.ndarray]
    least: int  # smallest memory that each of them can simulate
    used: int  # pages in use
    accesses: int

    def at(self, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Miss ratios and their intervals."""
        if sizes.min() < self.least:
            raise TracekitError(
                f"a memory of {sizes.min()} pages is too small for miniatures of it at this rate: they need {self.least}; "
                "give larger sizes or a higher rate"
            )
        if not self.samples[0].any():
            nothing = np.zeros(len(sizes))
            return nothing + np.nan, nothing, nothing + 1.0
        rate = self.samples[0].sum() / self.used
        whole, reach = self.samples[0], np.rint(_Z * np.sqrt(sizes * (1.0 - rate) / rate)).astype(np.int64)
        around = [(whole, sizes - reach), (whole, sizes + reach)] if rate < 1 else []
        found, *others = self._ratios([(whole, sizes), *around, *((group, sizes) for group in self.samples[1:])])
        low, high = np.min([found, *others[:2]], axis=0), np.max([found, *others[:2]], axis=0)
        for group in others[2:]:
            drawn = found + np.sqrt(1.0 - rate) * (group - found)
            low, high = np.fmin(low, drawn), np.fmax(high, drawn)
        return found, low, high

    def _ratios(self, asked: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Miss ratios by sample and sizes that are asked for; NaN where a sample has no pages."""
        runs: list[Run] = []
        which = np.full((len(asked), len(asked[0][1])), -1)
        parts = {id(sample): Part(self.pools.trace, sample) for sample, _ in asked if sample.any()}
        for (sample, sizes), mine in zip(asked, which):
            pages = int(sample.sum())
            if pages:
                frames, order = np.unique(np.clip(np.rint(sizes * (pages / self.used)), 1, pages).astype(int), return_inverse=True)
                mine[:] = order + len(runs)
                chosen = variants({"replay": {"seed": self.seed}, "paging": {"module": self.policy, "frames": frames.tolist()}})
                runs += [Run(parts[id(sample)], variant, of=4 * len(sizes)) for variant in chosen]
        advance(self.pools.trace, runs, self.pools.chunk, None, self.progress)
        misses = np.array([sum(row["cold"] + row["major"] for row in run.tables()["faults"][1]) for run in runs])
        scale = np.array([self.used / max(int(sample.sum()), 1) for sample, _ in asked])
        return np.minimum(np.where(which < 0, np.nan, misses[which]) * scale[:, None] / self.accesses, 1.0)
