"""A copy-on-write storm: what happens when many sharers write at once (paper section 4.1 says what a single write does)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from tracekit import rng
from tracekit.errors import ScenarioError
from tracekit.host import NONE, STATES, saved
from tracekit.module import Duration, Module, Out, Site, param
from tracekit.schema import STORM

SECOND = 10**9
#: Writes come in so many portions, with a row of the table after each.
STEPS = 100


class Storm(Module):
    """From a moment on a part of the pages that share a frame are written, one after the other, evenly over a time.

    Which pages, and in which order, is drawn at random among those that share when it begins; each holds a content of its
    own from then on. A write needs a frame unless nobody else maps the page any more: with memory without end the table
    ``storm`` tells how many that are, the reserve to hold back; in a smaller host what is paged out for want of it.
    These are writes besides the trace's own: replay both with and without.
    """

    family = "storm"
    name = "write"
    needs = frozenset({"content", "digest64"})
    tables = (STORM,)

    @dataclass(frozen=True)
    class Params:
        at: Duration = param(Duration(0), "when it begins, after the trace's first row", "ns", low=0)
        part: float = param(0.5, "part of the sharing pages that are written", low=0.0, high=1.0)
        within: Duration = param(Duration(60 * SECOND), "time within which they are", "ns", low=SECOND // 10)

    def setup(self, site: Site) -> Any:
        if "sharing" not in site.stages:
            raise ScenarioError("storm: nothing is shared without a stage sharing; add one, such as --set sharing.module=share-everything")
        self._pages, self._written, self._began = np.empty(0, np.uint32), 0, -1
        return super().setup(site)

    def start(self, kernels: ModuleType, states: Mapping[str, Any]) -> None:
        given = [states[name] for name in ("host", "paging", "sharing", "sharing_host", "discovery")]
        self._write = lambda now, pages, contents: kernels.overwrite(*given, pages, contents, now)
        self._write(0, self._pages, np.empty(0, np.uint64))  # compiles it

    def clocks(self) -> Mapping[str, int]:
        return {"write": self.params.within // STEPS}

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        since = now - self.site.origin - self.params.at
        if since < 0 or (self._began >= 0 and self._written == len(self._pages)):
            return
        if self._began < 0:
            self._begin(now)
            self._tell(now, out)
        until = min(len(self._pages), int(len(self._pages) * (now - self._began) / self.params.within))
        if until > self._written:
            pages = self._pages[self._written : until]
            with np.errstate(over="ignore"):
                contents = np.array([rng.bits(self._stream) for _ in pages], np.uint64)
            self._write(now, pages, contents)
            self._written = until
            self._tell(now, out)

    def _begin(self, now: int) -> None:
        host = self.site.host
        mapped = np.flatnonzero(host.frame != NONE)
        sharers = mapped[host.refs[host.frame[mapped]] > 1].astype(np.uint32)
        self._stream = self.site.stream("writers")
        self._pages = sharers[rng.sample(self._stream, len(sharers), round(self.params.part * len(sharers)))]
        self._began, self._sharers, self._before = now, len(sharers), host.vm.copy()

    def _tell(self, now: int, out: Out) -> None:
        host = self.site.host
        since = {name: int((host.vm[name] - self._before[name]).sum()) for name in ("breaks", "page_outs", "major")}
        state = STATES[int(host.state[0])] if "tax" in self.site.stages else None
        sizes = {"saved": saved(host), "free": int(host.free[0])}
        out.row("storm", now, "*", sharers=self._sharers, written=self._written, **since, **sizes, state=state)
