"""Result tables of the fleet: sharing between VMs of many captures, and who should share a host."""

from tracekit.schema.results import count, pages
from tracekit.schema.table import Column, Table

_GROUP = (
    Column("by", "string", "", "what VMs are grouped by: fleet (all together), a label such as tenant, image or host, or vm (each alone)"),
    Column("group", "string", "", "the label's value; * where there is one group"),
)
FLEET_SHARING = Table(
    "sharing",
    "what sharing every two equal pages would save, if pages were shared only within a group",
    (
        *_GROUP,
        count("vms", "VMs of the group"),
        pages("pages", "pages whose content the traces have told"),
        pages("zero", "pages of zeros"),
        pages("distinct", "distinct contents"),
        pages("shared", "pages that have an equal one in the group"),
        pages("reclaimed", "pages saved: pages less distinct contents"),
        pages("reclaimed_zero", "the part of reclaimed that zero pages are"),
        pages("reclaimed_within", "the part that equal pages of one VM are"),
        pages("reclaimed_between", "the part that equal pages of different VMs are"),
    ),
)
PLACEMENTS = Table(
    "placements",
    "what placements of the VMs on hosts of one size save by sharing within each host; what VMs share within themselves they save anywhere",
    (
        Column(
            "placement",
            "string",
            "",
            "given (label host, where it fits), random (mean of draws), greedy, chosen (after local search), and two bounds",
        ),
        count("hosts", "hosts that have VMs"),
        count("draws", "placements that this row is the mean of"),
        Column(
            "between",
            "int64",
            "page",
            "pages saved between VMs of one host, counted over all contents; as bound, what none exceeds",
            nullable=True,
        ),
        Column("estimate", "float64", "page", "the same estimated from the sketches that the search has gone by", nullable=True),
        Column(
            "low",
            "float64",
            "page",
            "lower end of its 95 % interval; too high for placements that were picked by the sketches",
            nullable=True,
        ),
        Column("high", "float64", "page", "upper end of the estimate's 95 % interval", nullable=True),
        Column("of_bound", "float64", "", "what is saved, as part of the lower bound"),
    ),
)
PLACED = Table(
    "placed",
    "the chosen placement",
    (
        Column("vm", "string", "", "virtual machine, after its capture's name"),
        count("host", "number of the host, from 0"),
        pages("pages", "size of the VM"),
        pages("between", "pages that it shares with VMs of its host, estimated from the sketches: what the host would lose without it"),
    ),
)
