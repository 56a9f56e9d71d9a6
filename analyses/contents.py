"""What the analyses of contents share: the contents that the pages of a trace hold at its end."""

import numpy as np

from tracekit.duplicates import one_word
from tracekit.trace import Trace

MIB = 256  # pages


def last_contents(trace: Trace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By page: the last digest (uint64, also of 128 bits), whether the trace has told it, and the index of the page's VM (uint16)."""
    digest, told = np.zeros(trace.pages, np.uint64), np.zeros(trace.pages, bool)
    for chunk in trace.chunks({"content": ("page", "digest", "digest_hi")}):
        columns = chunk.columns["content"]
        digest[columns["page"]], told[columns["page"]] = one_word(columns["digest"], columns["digest_hi"]), True
    return digest, told, np.repeat(np.arange(len(trace.vms), dtype=np.uint16), [vm.pages for vm in trace.vms])
