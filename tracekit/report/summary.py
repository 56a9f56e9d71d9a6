"""What screens and advice look up in result tables."""

import re

from tracekit.compare.metrics import last
from tracekit.compare.swept import swept, swept_labels

__all__ = ["last", "swept", "swept_labels", "vm_sizes"]


def vm_sizes(vms: str) -> dict[str, int]:
    """Sizes in pages by VM, from the column ``vms`` of the table ``runs``."""
    return {name: int(pages) for name, pages in re.findall(r"(.+?)=(\d+)(?: |$)", vms, re.DOTALL)}
