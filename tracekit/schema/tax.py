"""Result tables of sampling and allocation."""

from tracekit.schema.results import RESULT_KEY, VM_NAME, count, pages
from tracekit.schema.table import Column, Table

SAMPLING = Table(
    "sampling",
    "one row a VM and sampling period: the truth beside the estimate (paper section 5.3)",
    (
        *RESULT_KEY,
        VM_NAME,
        Column("stage", "string", "", "stage that samples"),
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
        pages(
            "remapped",
            "pages of the sample that lie elsewhere at the period's end than at its start: paged out, shared, or moved",
        ),
        Column("length", "int64", "ns", "wall time that the period took"),
    ),
)
_ESTIMATOR = Column("estimator", "string", "", "label of the estimator's stage, or its module's name")
_WINDOW = Column("window", "int64", "ns", "window of the working set: the pages used within it before")
_FAULTS = count("faults", "page faults that the VM has taken so far because it is watched")
_SCANS = count("scans", "pages whose mapping or accessed bit the estimator has looked at or changed so far")
ESTIMATORS = Table(
    "estimators",
    "estimators of the working set beside the truth and their cost, over time from the first whole window on",
    (
        *RESULT_KEY,
        VM_NAME,
        _ESTIMATOR,
        _WINDOW,
        pages("truth", "distinct pages that the VM used within the window before"),
        Column(
            "estimate",
            "float64",
            "page",
            "pages in use as the estimator believes at this moment; null while it knows nothing",
            nullable=True,
        ),
        _FAULTS,
        _SCANS,
    ),
)
ESTIMATOR_SUMMARY = Table(
    "estimator_summary",
    "how far estimators were from the truth over the whole replay, how late, and at which cost",
    (
        *RESULT_KEY,
        VM_NAME,
        _ESTIMATOR,
        _WINDOW,
        count("moments", "rows of table estimators with an estimate"),
        Column("truth", "float64", "page", "mean of the truth"),
        Column("estimate", "float64", "page", "mean of the estimate"),
        Column("bias", "float64", "page", "mean of estimate − truth"),
        Column("error", "float64", "page", "mean of its amount"),
        Column("rms", "float64", "page", "square root of the mean of its square"),
        Column(
            "lag", "int64", "ns", "by how much the truth has to be shifted to later for the least mean error, over the later half of "
            "the moments; null if the truth never changes", nullable=True
        ),
        Column("error_at_lag", "float64", "page", "that least mean error", nullable=True),
        _FAULTS,
        _SCANS,
    ),
)  # fmt: skip
ESTIMATOR_AGES = Table(
    "estimator_ages",
    "histograms of page ages at each scan of kstaled (Lagar-Cavilla et al. 2019); ages without pages are left out",
    (
        *RESULT_KEY,
        VM_NAME,
        _ESTIMATOR,
        count("age", "scans since the page was last touched; 0: since the scan before; 255: that many or more, or never"),
        pages("pages", "pages of this age: the cold-age histogram"),
        pages("promoted", "pages found touched that had this age before: the promotion histogram"),
    ),
)
DAMON = Table(
    "damon",
    "DAMON's regions, whenever its estimate is told",
    (
        *RESULT_KEY,
        VM_NAME,
        _ESTIMATOR,
        count("regions", "regions now"),
        count("least", "fewest since the row before (once merged)"),
        count("most", "most since the row before (once split)"),
        Column("age", "float64", "", "aggregations for which a page's region has not changed, on average over the VM's pages"),
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
        pages(
            "entitled", "pages that its shares alone entitle it to, between min and max, of what the VMs present can have without sharing"
        ),
        Column("blocked", "int64", "ns", "time so far that it would have been stopped: above its target in the state low"),
        count("ignored", "rows of it so far that came while it was not on the host"),
        Column("price", "float64", "share/page", "shares per page, idle pages taxed: ρ = S / (P (f + k (1 − f)))"),
        Column("state", "string", "", "the host's worst state since the row before: high, soft, hard or low"),
    ),
)
HOST = Table(
    "host",
    "the host over time: its state, and where machine memory is (paper section 6); memory = overhead + used + held + free",
    (
        *RESULT_KEY,
        VM_NAME,
        Column(
            "why", "string", "", "report, or what has happened: state, arrival, refused, departure, shares; vm is then the VM, or * (state)"
        ),
        Column("note", "string", "", "why a VM was refused, with the arithmetic; else empty"),
        Column("state", "string", "", "high, soft, hard or low (or clear), as of this moment"),
        count("vms", "VMs on the host"),
        pages("memory", "machine memory"),
        pages("overhead", "what the VMs on the host cost beyond their pages"),
        pages("used", "machine pages that guest pages are mapped to"),
        pages("held", "machine pages that hold compressed pages"),
        pages("free", "machine pages that are free"),
        pages("resident", "guest pages mapped to machine pages"),
        pages("shared", "of those, the ones whose machine page others map as well"),
        pages("saved", "machine pages that sharing saves: resident − used"),
        pages("ballooned", "guest pages held by balloons"),
        pages("swapped", "guest pages paged out by the host"),
        pages("min", "Σ of the guaranteed pages"),
        pages("target", "Σ of the pages that VMs should hold: more than the machine has, where pages are shared"),
    ),
)
