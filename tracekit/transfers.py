"""Transfers as devices make them, by address and length, split into rows of one page each."""

import numpy as np

from tracekit.units import PAGE_BYTES


def split_pages(address: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pages that transfers touch, in order: number of the transfer, page, and bytes of it in that page (int64 each).

    ``address`` and ``size`` are bytes (whole numbers below 2⁶²); a transfer of no bytes touches no page.
    """
    address, size = np.asarray(address, np.int64), np.asarray(size, np.int64)
    first = address // PAGE_BYTES
    pages = np.where(size > 0, (address + size - 1) // PAGE_BYTES - first + 1, 0)
    transfer = np.repeat(np.arange(len(size)), pages)
    page = first[transfer] + np.arange(len(transfer)) - np.repeat(np.cumsum(pages) - pages, pages)
    begin = np.maximum(page * PAGE_BYTES, address[transfer])
    end = np.minimum((page + 1) * PAGE_BYTES, (address + size)[transfer])
    return transfer, page, end - begin
