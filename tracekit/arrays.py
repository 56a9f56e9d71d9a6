"""Large arrays for kernels. Page numbers come in no order, so each access to a small memory page costs a walk of the page
tables, in a VM a nested one; huge pages take that away. NumPy asks for them from 4 MiB up only, and begins between two."""

from typing import Any

import numpy as np

_ASKS = 1 << 22
_WORTH = 1 << 18
_HUGE = 1 << 21


def zeros(count: int, dtype: Any) -> np.ndarray:
    """``np.zeros``, from a huge page's start on if it is large enough to gain by it."""
    size = count * np.dtype(dtype).itemsize
    if size < _WORTH:
        return np.zeros(count, dtype)
    room = np.zeros(max(size, _ASKS) + _HUGE, np.uint8)  # of which only what is used is taken
    start = -room.ctypes.data % _HUGE
    return room[start : start + size].view(dtype)


def full(count: int, value: Any) -> np.ndarray:
    """``np.full`` likewise."""
    array = zeros(count, np.asarray(value).dtype)
    array[:] = value
    return array
