"""What is known of each page's content so far, so that a later snapshot adds the pages that changed only."""

import numpy as np

_SPAN = 1 << 16


class Contents:
    """Last digests by page. Memory is 9 bytes a page, in spans of 65536 pages that hold any."""

    def __init__(self) -> None:
        self._spans: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def changed(self, page: np.ndarray, digest: np.ndarray) -> np.ndarray:
        """Which pages hold something new (bool by row); takes the digests in. No page may come twice in one call."""
        new = np.ones(len(page), np.bool_)
        cuts = np.flatnonzero(np.diff(page // _SPAN)) + 1
        for begin, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(page)]):
            if begin == end:
                continue
            span = int(page[begin]) // _SPAN
            known, last = self._spans.setdefault(span, (np.zeros(_SPAN, np.bool_), np.zeros(_SPAN, np.uint64)))
            at = (page[begin:end] % _SPAN).astype(np.int64)
            new[begin:end] = ~known[at] | (last[at] != digest[begin:end])
            known[at], last[at] = True, digest[begin:end]
        return new
