"""Result tables of sharing."""

from tracekit.schema.results import RESULT_KEY, VM_NAME, count, pages
from tracekit.schema.table import Column, Table

SAVINGS = Table(
    "savings",
    "what sharing found, against what sharing everything would save at the same moment (paper section 4)",
    (
        *RESULT_KEY,
        VM_NAME,
        pages("pages", "pages whose content the trace has told"),
        pages("shared", "pages mapped to a machine page that at least one other page maps too"),
        pages("reclaimed", "machine pages saved: shared less the distinct frames that hold them (a VM is charged "
               "for a frame if it maps it first by page order)"),
        pages("zero", "pages of zeros"),
        pages("distinct", "distinct contents (of a VM: those charged to it)"),
        pages("possible_shared", "shared, if every two equal pages were shared"),
        pages("possible_reclaimed", "reclaimed, if every two equal pages were shared"),
        pages("reclaimed_zero", "the part of reclaimed that zero pages are"),
        pages("reclaimed_within", "the part that equal pages of one VM are"),
        pages("reclaimed_between", "the part that equal pages of different VMs are"),
        pages("possible_zero", "the part of possible_reclaimed that zero pages are"),
        pages("possible_within", "the part that equal pages of one VM are"),
        pages("possible_between", "the part that equal pages of different VMs are"),
        pages("scanned", "pages scanned so far"),
        count("merged", "scans so far that have put a page on a shared frame"),
        count("false_matches", "scans so far whose page was not shared because the table took another content for its own"),
        count("breaks", "copy-on-write breaks so far: private copies made for a write or a change of content"),
        count("overflow", "shared frames whose count exceeds 16 bits and lives in the overflow table"),
        pages("hints", "frames listed as hints"),
        pages("stale_hints", "hints whose page holds something else by now"),
        Column("table_bytes", "int64", "byte", "table of frames, 16 byte each: a VM's hints; the host's hints and shared frames"),
    ),
)  # fmt: skip
DISCOVERY = Table(
    "discovery",
    "how long equal pages went unfound over the whole replay, and what finding them cost",
    (
        *RESULT_KEY,
        VM_NAME,
        pages("found", "contents of pages that were shared while an equal page was there"),
        pages("missed", "contents of pages that ended unshared though an equal page had been there"),
        Column("mean", "float64", "s", "mean time from when two pages were equal until the page was shared", nullable=True),
        Column("p10", "float64", "s", "time within which 10 % of them were shared, to within 19 %", nullable=True),
        Column("p50", "float64", "s", "likewise 50 %", nullable=True),
        Column("p90", "float64", "s", "likewise 90 %", nullable=True),
        Column("p99", "float64", "s", "likewise 99 %", nullable=True),
        pages("scanned", "pages scanned"),
        pages("wasted", "scans that neither shared their page nor made it a new hint"),
        Column("cpu", "float64", "s", "CPU time of the scans, at the stated cost of a page"),
        Column("cpu_per_gib", "float64", "s/GiB", "that CPU time for each GiB saved at the end", nullable=True),
    ),
)
CHURN = Table(
    "churn",
    "how long pages shared a frame, and why they ceased to: from report to report (replay.report), so that each time is exact to "
    "within one of these, and what was shared for less may not be seen at all",
    (
        *RESULT_KEY,
        VM_NAME,
        Column(
            "why",
            "string",
            "",
            "content (the trace told a new one), write (broken, or taken out by madvise, and no new content), "
            "others (nobody else was left on the frame), paged out, ballooned, VM ended, or still: shared at the end",
        ),
        pages("pages", "pages that ceased to share for this reason, each time; or that still share"),
        Column("mean", "float64", "s", "how long they had shared, on average"),
        Column("p10", "float64", "s", "time that 10 % of them shared at most, to within 19 %"),
        Column("p50", "float64", "s", "likewise 50 %"),
        Column("p90", "float64", "s", "likewise 90 %"),
        Column("p99", "float64", "s", "likewise 99 %"),
    ),
)
STORM = Table(
    "storm",
    "a copy-on-write storm as it goes on: before the first write, and after each of a hundred portions",
    (
        *RESULT_KEY,
        VM_NAME,
        pages("sharers", "pages that shared a frame when it began"),
        pages("written", "of these, written so far"),
        count("breaks", "private copies made since it began: the frames that it needs"),
        count("page_outs", "page-outs since it began"),
        count("major", "page-ins since it began"),
        pages("saved", "machine pages that sharing saves now"),
        pages("free", "free machine pages now"),
        Column("state", "string", "", "the host's state now; null without an allocation stage", nullable=True),
    ),
)
KSM = Table(
    "ksm",
    "KSM's counters under the kernel's names, after each full scan and at the end (admin-guide/mm/ksm)",
    (
        *RESULT_KEY,
        VM_NAME,
        count("full_scans", "times that all mergeable pages have been scanned"),
        pages("pages_shared", "merged pages: nodes of the stable tree"),
        pages("pages_sharing", "further sites that map them: what is saved"),
        pages("pages_unshared", "pages that are unique but repeatedly checked"),
        pages("pages_volatile", "pages that change too fast to be placed in a tree, or are skipped"),
        pages("pages_scanned", "visits so far"),
        pages("pages_skipped", "visits that smart scan has saved so far"),
        pages("ksm_zero_pages", "pages that map the kernel's zero page"),
        count("stable_node_chains", "contents of which there are several merged pages, max_page_sharing being reached"),
        count("stable_node_dups", "merged pages of such contents"),
        Column("general_profit", "int64", "byte", "pages_sharing and ksm_zero_pages less 64 byte for every page that ksmd keeps track of"),
        pages("pages_to_scan", "pages that the next wake-up visits at most"),
    ),
)
