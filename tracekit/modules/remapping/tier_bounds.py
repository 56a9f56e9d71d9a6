"""What brackets every tiering policy: moving nothing, the best placement for good, and knowing the future."""

from typing import NamedTuple

import numpy as np

from tracekit.future import NEVER, Future
from tracekit.kernel import jit
from tracekit.module import Site
from tracekit.modules.machine.bitmap import bitmaps, clear, largest, mark
from tracekit.modules.remapping.tier import FAR, SERVED_FAR, SERVED_NEAR, Tier, demote, promote


class FirstTouch(Tier):
    """A page lies in near memory if there was room when it was first touched. Nothing moves."""

    name = "first-touch"

    @staticmethod
    @jit
    def used(s, b, page):
        """Nothing moves."""


class Best(NamedTuple):
    """The pages that are accessed most."""

    page: np.ndarray  # bool by page


class Static(Tier):
    """The pages that are accessed most lie in near memory from the beginning, and nothing moves: the best that can be had
    without moving.
    """

    name = "static"

    def state(self, site: Site) -> Best:
        accesses = np.zeros(site.trace.pages, np.int64)
        for chunk in site.trace.chunks({"access": ["page", "count"]}):
            rows = chunk.columns["access"]
            np.add.at(accesses, rows["page"], np.maximum(rows["count"].astype(np.int64), 1))
        best = np.zeros(len(accesses), np.bool_)
        best[np.argsort(-accesses, kind="stable")[: self.capacity]] = True
        return Best(best)

    @staticmethod
    @jit
    def place(s, page):
        return s.page[page]

    @staticmethod
    @jit
    def used(s, b, page):
        """Nothing moves."""


class Ahead(NamedTuple):
    """Near pages by their next use."""

    held: np.ndarray  # int64 by page: the next use under which it is held
    at: np.ndarray  # uint32 by access: its page
    end: np.ndarray  # int64, one: accesses of the trace; pages never used again are held beyond
    words: np.ndarray  # uint64
    level: np.ndarray  # int64


class Clairvoyant(Tier):
    """Near memory holds the pages that are used soonest, and moving is free: no policy can cost less.

    This is Belady's MIN where a page may be served where it lies. A policy that serves fewer accesses from far memory has
    promoted as many pages instead; so far accesses and promotions together are never fewer than MIN's far accesses, and each
    costs at least the smaller of the two prices. First touches are free: a policy may have kept room for them.
    """

    name = "clairvoyant"
    free_moves = True

    def state(self, site: Site) -> Ahead:
        self._future = Future(site.trace, False)
        pages, accesses = site.trace.pages, int(self._future.count[0])
        words, level = bitmaps(np.array([accesses + pages]))
        return Ahead(np.zeros(pages, np.int64), self._future.page, np.array([accesses], np.int64), words, level)

    def derive(self, vm: np.ndarray) -> dict[str, np.ndarray]:
        """The column ``next_touch`` of the next accesses."""
        return {"next_touch": self._future.next_uses(vm)}

    @staticmethod
    @jit
    def used(s, b, page, next_touch, was, new, count):
        due = next_touch if next_touch != NEVER else s.end[0] + np.int64(page)
        if was == FAR:  # of a row's accesses only the first need be far, and none of the page's first row
            near = max(np.int64(count), 1) - (0 if new else 1)
            b.tally[b.vm[page], SERVED_FAR] -= near
            b.tally[b.vm[page], SERVED_NEAR] += near
            furthest = largest(s, 0)
            if furthest <= due:
                return
            clear(s, 0, furthest)
            demote(b, np.int64(s.at[furthest]) if furthest < s.end[0] else furthest - s.end[0])
            promote(b, page)
        elif not new:
            clear(s, 0, s.held[page])
        s.held[page] = due
        mark(s, 0, due)
