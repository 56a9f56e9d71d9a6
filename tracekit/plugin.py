"""What a module of one's own is written with: ``from tracekit.plugin import Replacement, jit, …``.

A package registers its classes under the entry points ``tracekit.modules`` as ``family.name``; see docs/modules.md.
"""

from tracekit.host import BALLOONED, GUEST_OUT, HINT, IN_USE, KNOWN, NONE, PRIVATE, SHARED, SWAPPED, TOUCHED, Host
from tracekit.kernel import jit
from tracekit.module import Duration, Module, Out, Site, Size, param
from tracekit.modules.machine import window
from tracekit.modules.reclamation.queues import OneQueue, Queued, Queues, drop, move, newest, oldest, pop, push, queues
from tracekit.modules.reclamation.replacement import Pools, Replacement
from tracekit.modules.reclamation.slots import Slots, put, slots, take_out
from tracekit.modules.reclamation.swap import Swap
from tracekit.modules.remapping.remap import Remap
from tracekit.modules.remapping.tier import Tier, demote, promote
from tracekit.modules.sharing.sharing import Sharing
from tracekit.modules.tax.allocation import Allocation
from tracekit.modules.tax.estimator import Estimator
from tracekit.prefetch import prefetch
from tracekit.rng import below
from tracekit.schema import Column, Table

__all__ = [
    "BALLOONED",
    "GUEST_OUT",
    "HINT",
    "IN_USE",
    "KNOWN",
    "NONE",
    "PRIVATE",
    "SHARED",
    "SWAPPED",
    "TOUCHED",
    "Allocation",
    "Column",
    "Duration",
    "Estimator",
    "Host",
    "Module",
    "OneQueue",
    "Out",
    "Pools",
    "Queued",
    "Queues",
    "Remap",
    "Replacement",
    "Sharing",
    "Site",
    "Size",
    "Slots",
    "Swap",
    "Table",
    "Tier",
    "below",
    "demote",
    "drop",
    "jit",
    "move",
    "newest",
    "oldest",
    "param",
    "pop",
    "prefetch",
    "promote",
    "push",
    "put",
    "queues",
    "slots",
    "take_out",
    "window",
]
