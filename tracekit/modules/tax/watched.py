"""Pages watched of all: the watched ones numbered, VM by VM, so that what is kept of them takes room for them alone."""

from typing import NamedTuple

import numpy as np


class Watched(NamedTuple):
    """Numbers run from 0; a VM's watched pages have consecutive ones."""

    number: np.ndarray  # int32 by page: its number, or −1
    first: np.ndarray  # int64 by VM: number of its first watched page
    pages: np.ndarray  # int64 by VM: how many of its are watched


def number(is_watched: np.ndarray, first: np.ndarray, pages: np.ndarray) -> Watched:
    """Number the pages that are watched (bool by page) of VMs whose pages begin at ``first``."""
    ends = np.cumsum(is_watched)
    last = ends[first + pages - 1]
    watched = np.diff(last, prepend=0)
    return Watched(np.where(is_watched, ends - 1, -1).astype(np.int32), last - watched, watched)
