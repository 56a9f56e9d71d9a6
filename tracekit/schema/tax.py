"""Result tables of sampling and allocation."""

from tracekit.schema.results import RESULT_KEY, VM_NAME, count, pages
from tracekit.schema.table import Column, Table

SAMPLING = Table(
    "sampling",
    "one row a VM and sampling period: the truth beside the estimate (paper section 5.3)",
    (
        *RESULT_KEY,
        VM_NAME,
        pages("active", "truth: distinct pages that the VM touched in the period"),
        pages("n", "pages sampled"),
        pages("touched", "sampled pages that were touched"),
        Column("estimate", "float64", "page", "what the host acts on: the largest of the slow, the fast and the running average"),
        Column("slow", "float64", "page", "slow moving average after the period"),
        Column("fast", "float64", "page", "fast moving average after the period"),
        Column("low", "float64", "page", "lower end of the period's own 95 % interval for `active` (Wilson, finite population)"),
        Column("high", "float64", "page", "upper end of that interval"),
        Column(
            "error",
            "float64",
            "page",
            "standard error of P · touched / n at the truth, by its closed form: P · √(f(1−f)/n · (P−n)/(P−1))",
        ),
        pages("device", "pages that devices wrote in the period and the VM itself did not touch: unseen, and not part of `active`"),
        pages("ballooned", "pages of the sample that the balloon held at the period's end: the guest cannot touch them"),
        pages("remapped", "pages of the sample that came to lie elsewhere in the period: paged, shared, or moved within a device's reach"),
        Column("length", "int64", "ns", "wall time that the period took"),
    ),
)
ALLOCATION = Table(
    "allocation",
    "who holds how much, and what the host wants them to hold (paper sections 5 and 6)",
    (
        *RESULT_KEY,
        VM_NAME,
        pages("min", "guaranteed pages"),
        pages("max", "the VM's configured size"),
        count("shares", "shares"),
        pages("target", "pages the VM should hold"),
        pages("resident", "guest pages mapped to machine memory"),
        pages("ballooned", "guest pages held by the balloon driver"),
        pages("swapped", "guest pages paged out by the host"),
        pages("active", "estimate of the pages in use, as of this moment"),
        Column("price", "float64", "share/page", "shares per page, idle pages taxed: ρ = S / (P (f + k (1 − f)))"),
        Column("state", "string", "", "the host's worst state since the row before: high, soft, hard or low"),
    ),
)
