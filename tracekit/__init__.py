"""tracekit: trace-driven replay of virtual-machine memory (Waldspurger, OSDI 2002, and what came after)."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tracekit.engine import replay
    from tracekit.report.analyses import load as analysis
    from tracekit.results import Results
    from tracekit.results import open_results as open
    from tracekit.trace import Trace, open_trace

__all__ = ["Results", "Trace", "analysis", "open", "open_trace", "replay"]

_LAZY = {
    "analysis": ("tracekit.report.analyses", "load"),
    "replay": ("tracekit.engine", "replay"),
    "open": ("tracekit.results", "open_results"),
    "Results": ("tracekit.results", "Results"),
    "open_trace": ("tracekit.trace", "open_trace"),
    "Trace": ("tracekit.trace", "Trace"),
}


def __getattr__(name: str) -> Any:
    """Load the heavy parts (numba, polars) only when they are used."""
    if name not in _LAZY:
        raise AttributeError(f"module 'tracekit' has no attribute {name!r}")
    import importlib

    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(module), attribute)
