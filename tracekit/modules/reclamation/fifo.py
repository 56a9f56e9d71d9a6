"""FIFO: the page that has been resident for the longest time leaves (Belady 1966)."""

from tracekit.modules.machine import defaults
from tracekit.modules.reclamation.lru import Lru


class Fifo(Lru):
    """First in, first out: LRU that never looks at uses."""

    name = "fifo"
    touch = staticmethod(defaults.touch)
