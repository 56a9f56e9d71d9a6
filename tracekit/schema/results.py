"""What all result tables have in common, and the tables of every replay: tidy, one row an observation."""

from tracekit.schema.table import Column, Table

RESULT_KEY = (
    Column("variant", "string", "", "digest of the variant's resolved parameters; see table variants"),
    Column("trace", "string", "", "name of the capture, or of the captures joined by + under --together"),
    Column("t", "int64", "ns", "trace time of the row"),
)
VM_NAME = Column("vm", "string", "", "virtual machine; * is the host as a whole")


def pages(name: str, prose: str) -> Column:
    return Column(name, "int64", "page", prose)


def count(name: str, prose: str) -> Column:
    return Column(name, "int64", "", prose)


VARIANTS = Table(
    "variants",
    "one row a parameter of a variant; the module chosen for a stage is its param `module`",
    (
        RESULT_KEY[0],
        Column("stage", "string", "", "stage, or host, replay"),
        Column("param", "string", "", "parameter"),
        Column("value", "string", "", "resolved value, as --set would take it"),
    ),
)
RUNS = Table(
    "runs",
    "one row a variant and trace: where the numbers come from",
    (
        *RESULT_KEY[:2],
        Column("tracekit", "string", "", "version of tracekit"),
        Column("source", "string", "", "digest of the trace files: their footers and sizes"),
        Column("synthetic", "bool", "", "the trace was synthesized, not captured"),
        Column("kinds", "string", "", "kinds of rows that the capture has"),
        Column("left_out", "string", "", "modules left out, and why"),
        Column("notes", "string", "", "what was inferred about the trace rather than stated by it"),
        Column("vms", "string", "page", "VMs and their sizes, as name=pages"),
        Column("memory", "int64", "byte", "machine memory for guest pages (less than the host's by the VMs' overhead)"),
        count("rows", "rows replayed"),
        Column("span", "int64", "ns", "trace time from the first row to the last"),
        Column("elapsed", "float64", "s", "wall time of the replay, compilation left out"),
        Column("peak_rss", "int64", "byte", "peak resident memory of the process"),
        Column("seed", "int64", "", "run seed"),
        Column("created", "string", "", "when the replay ended, UTC"),
        Column("environment", "string", "", "Python, numpy, numba, polars, pyarrow and platform"),
    ),
)
VM = Table(
    "vm",
    "a VM's pages and cumulative counters over time",
    (
        *RESULT_KEY,
        VM_NAME,
        pages("resident", "guest pages mapped to machine memory, shared ones included"),
        pages("ballooned", "guest pages held by the balloon driver"),
        pages("swapped", "guest pages paged out by the host"),
        pages("target", "pages that the VM should hold (its size where nobody sets targets)"),
        count("accesses", "access rows so far"),
        count("cold", "first touches so far"),
        count("major", "page-ins by the host so far"),
        count("minor", "faults without I/O so far"),
        count("page_outs", "pages paged out by the host so far"),
        count("double_paged", "pages read in by the host only for the guest to page them out, so far"),
        count("guest_major", "page-ins by the guest itself so far"),
        count("breaks", "copy-on-write breaks so far"),
    ),
)
