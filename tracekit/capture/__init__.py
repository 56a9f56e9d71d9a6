"""Capturing traces: from live VMs, from processes, from images of memory, from what guests tell of their DMA."""
