"""Every column of every trace and result table: its name, type, unit and meaning. Nowhere else.

Docs, readers, writers and checks take them from here. A trace kind is a table of rows in (t, seq) order; a result
table is tidy: one row an observation, beginning with ``variant, trace, t, vm``.
"""

from tracekit.schema.fleet import FLEET_SHARING, PLACED, PLACEMENTS
from tracekit.schema.reclamation import (
    BALLOON,
    FAULTS,
    HEAT,
    MRC,
    PARTITION,
    SWAP,
    WORKING_SET,
    WORKING_SET_CURVE,
    WORKING_SET_PAIRS,
    WORKING_SET_SUMMARY,
)
from tracekit.schema.remapping import CONCENTRATION, COPIES, REMAPS, SWIOTLB, TIERS
from tracekit.schema.results import RESULT_KEY, RUNS, VARIANTS, VM
from tracekit.schema.sharing import CHURN, DISCOVERY, KSM, SAVINGS, STORM
from tracekit.schema.table import Column, Table
from tracekit.schema.tax import ALLOCATION, DAMON, ESTIMATOR_AGES, ESTIMATOR_SUMMARY, ESTIMATORS, HOST, SAMPLING
from tracekit.schema.traces import CAPABILITIES, EVENTS, KINDS, METADATA_KEY, SCHEMA_VERSION, ZERO_DIGEST
from tracekit.schema.truth import QUANTITIES, TRUTH, TRUTH_SUFFIX

__all__ = [
    "ALLOCATION",
    "BALLOON",
    "CAPABILITIES",
    "CHURN",
    "CONCENTRATION",
    "COPIES",
    "DAMON",
    "DISCOVERY",
    "ESTIMATORS",
    "ESTIMATOR_AGES",
    "ESTIMATOR_SUMMARY",
    "EVENTS",
    "FAULTS",
    "FLEET_SHARING",
    "HEAT",
    "HOST",
    "KINDS",
    "KSM",
    "METADATA_KEY",
    "MRC",
    "PARTITION",
    "PLACED",
    "PLACEMENTS",
    "QUANTITIES",
    "REMAPS",
    "RESULTS",
    "RESULT_KEY",
    "RUNS",
    "SAMPLING",
    "SAVINGS",
    "SCHEMA_VERSION",
    "STORM",
    "SWAP",
    "SWIOTLB",
    "TIERS",
    "TRUTH",
    "TRUTH_SUFFIX",
    "VARIANTS",
    "VM",
    "WORKING_SET",
    "WORKING_SET_CURVE",
    "WORKING_SET_PAIRS",
    "WORKING_SET_SUMMARY",
    "ZERO_DIGEST",
    "Column",
    "Table",
]

#: Result tables by name; a module may declare more of its own.
RESULTS: dict[str, Table] = {
    table.name: table
    for table in (
        *(VARIANTS, RUNS, VM),
        *(SAVINGS, DISCOVERY, CHURN, KSM, STORM),
        *(SAMPLING, ALLOCATION, HOST),
        *(ESTIMATORS, ESTIMATOR_SUMMARY, ESTIMATOR_AGES, DAMON),
        *(COPIES, REMAPS, SWIOTLB, CONCENTRATION, TIERS),
        *(FAULTS, BALLOON, SWAP),
        *(WORKING_SET_CURVE, WORKING_SET, WORKING_SET_SUMMARY, WORKING_SET_PAIRS, HEAT),
    )
}
