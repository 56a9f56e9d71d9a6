"""Sharing over a whole fleet: contents of thousands of VMs counted, and who should share a host."""
