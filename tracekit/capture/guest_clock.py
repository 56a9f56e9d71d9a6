"""A guest's clock on the host's: it stands still while the VM does, so each snapshot puts it back by a pause.

The host hears a mark a little after the guest made it, never before, and the guest only ever falls behind. So between two
pauses the host is ahead by no more than the smallest difference of any mark heard from then on.
"""

from collections.abc import Sequence

import numpy as np


class GuestClock:
    """Made of ``marks`` (host ns when heard, guest ns when made; at least one) and the VM's ``pauses`` (host ns since when, ns).

    ``error_ns`` is by how much marks between the same two pauses differ, halfway: what the host may be behind by.
    """

    def __init__(self, marks: Sequence[tuple[int, int]], pauses: Sequence[tuple[int, int]] = ()):
        heard, made = np.array(marks, np.int64).reshape(-1, 2).T
        since, lengths = np.array(sorted(pauses), np.int64).reshape(-1, 2).T
        stretch = np.searchsorted(since, heard, "right")
        unknown = np.iinfo(np.int64).max
        ahead = np.full(len(since) + 1, unknown, np.int64)
        np.minimum.at(ahead, stretch, heard - made)
        known = np.flatnonzero(ahead != unknown)
        for k in range(known[0], 0, -1):  # where no mark was heard, the pauses alone tell
            ahead[k - 1] = ahead[k] - lengths[k - 1]
        for k in range(known[0] + 1, len(ahead)):
            if ahead[k] == unknown:
                ahead[k] = ahead[k - 1] + lengths[k - 1]
        self._ahead = np.minimum.accumulate(ahead[::-1])[::-1]
        self._edges = since - self._ahead[:-1]  # in the guest's time
        self.error_ns = int(np.median(heard - made - self._ahead[stretch]))

    def on_host(self, t: np.ndarray) -> np.ndarray:
        """The host's time of the guest's times (int64 ns each); never falls where the guest's does not."""
        return t + self._ahead[np.searchsorted(self._edges, t, "right")]
