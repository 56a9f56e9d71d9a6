"""Which pages changed since they were last seen: a capture tells of those only."""

import numpy as np


class LastDigests:
    """The digest that each page of a guest had last; memory is 9 bytes a page."""

    def __init__(self) -> None:
        self._digests = np.zeros(0, np.uint64)
        self._known = np.zeros(0, np.bool_)

    def exchange(self, pages: np.ndarray, digests: np.ndarray) -> np.ndarray:
        """Whether each of ``pages`` (distinct) is new or has another digest than last time; the new ones are kept."""
        if not len(pages):
            return np.zeros(0, np.bool_)
        self._reach(int(pages.max()) + 1)
        changed = ~self._known[pages] | (self._digests[pages] != digests)
        self._digests[pages], self._known[pages] = digests, True
        return changed

    def _reach(self, size: int) -> None:
        if size > len(self._known):
            more = max(size, len(self._known) * 5 // 4) - len(self._known)
            self._digests = np.concatenate([self._digests, np.zeros(more, np.uint64)])
            self._known = np.concatenate([self._known, np.zeros(more, np.bool_)])
