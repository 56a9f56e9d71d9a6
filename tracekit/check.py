"""Named rules that a trace must satisfy, and whether a file or a capture does.

``check_file`` streams one file through every rule of its kind; ``check_capture`` compares the files of a capture. Memory
is bounded by the VMs' pages. Rows are counted from 0.
"""

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tracekit.check_rows import RowRules
from tracekit.errors import TraceError, first_line
from tracekit.location import Place, Url, place, source
from tracekit.metadata import Metadata
from tracekit.schema import KINDS, METADATA_KEY
from tracekit.tracefile import TraceFile
from tracekit.units import format_duration

#: Row groups of fewer rows decode slowly, of more rows need much memory.
FEW_ROWS, MANY_ROWS = 1 << 16, 1 << 22


@dataclass(frozen=True)
class Rule:
    """What must hold. ``error``: it cannot be replayed; ``warning``: its results may mislead; ``note``: good to know."""

    severity: str
    prose: str


RULES: dict[str, Rule] = {
    "readable": Rule("error", "the file is there, whole, and Parquet"),
    "not-empty": Rule("error", "it holds rows"),
    "metadata-present": Rule("warning", "it says of itself what it is; else kind, VM sizes and capabilities are inferred"),
    "metadata-valid": Rule("error", "its metadata can be read, and VM names and sizes make sense"),
    "kind-known": Rule("error", "it is of a kind that tracekit knows"),
    "columns-present": Rule("error", "it has the columns that its kind needs"),
    "column-types": Rule("error", "columns are of the schema's types, or safely cast to them"),
    "values-fit": Rule("error", "values lie within the range of the schema's type"),
    "no-nulls": Rule("error", "every row has a value, except where the schema allows null"),
    "t-non-negative": Rule("error", "no row lies before the capture began"),
    "sorted-t": Rule("error", "t never falls"),
    "seq-increasing": Rule("error", "seq rises strictly where t ties"),
    "vm-declared": Rule("error", "every VM of the rows is in the metadata's VM table"),
    "vm-unused": Rule("note", "every VM of the metadata's VM table has rows"),
    "ppn-in-vm": Rule("error", "every PPN lies below its VM's size"),
    "bytes-in-page": Rule("error", "a transfer moves 1 to 4096 bytes of a page"),
    "mask-shape": Rule("warning", "a DMA mask is 2^k − 1"),
    "bounced-matches-mask": Rule("warning", "a transfer bounced exactly if it was forced to or its page lies beyond the mask"),
    "clock-monotonic": Rule("error", "a VM's own execution time (event clock, a) never falls"),
    "duplicates": Rule("warning", "a content row tells a change: the digest differs from the page's last"),
    "zero-digest": Rule("note", "the declared digest of the zero page appears"),
    "row-group-size": Rule("note", f"row groups hold {FEW_ROWS} to {MANY_ROWS} rows, for speed and bounded memory"),
    "vm-sizes-agree": Rule("error", "a VM has one size in all files of its capture"),
    "one-clock": Rule("warning", "the files of a capture overlap in time, as they do on one clock"),
}


@dataclass(frozen=True)
class Finding:
    """A rule that does not hold: in how many rows, the first of them (None: not a matter of rows), and a sentence."""

    file: str
    rule: str
    severity: str
    rows: int
    first_row: int | None
    message: str

    def as_row(self) -> dict[str, Any]:
        """The finding as a row of a table."""
        return asdict(self)


def check_file(path: str | os.PathLike[str] | Url) -> list[Finding]:
    """Every rule that one trace file breaks, errors first. Never raises for what is in the file."""
    path = place(path)
    try:
        file = TraceFile(path)
    except TraceError as error:
        return [_finding(path, _rule_of_refusal(path), str(error))]
    rules = RowRules(file)
    found = (
        []
        if file.metadata
        else [_finding(path, "metadata-present", f"{path}: has no tracekit metadata; kind, VM sizes and capabilities are inferred")]
    )
    try:
        rules.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        found.append(_finding(path, "readable", f"{path}: damaged ({first_line(error)}); copy or write the file again"))
    else:
        found += _check_row_groups(path) + [_finding(path, rule, f"{path}: {said}") for rule, said in rules.absences()]
    for rule, tally in rules.tallies.items():
        more = f" (and {tally.rows - 1} more rows)" if tally.rows > 1 else ""
        found.append(_finding(path, rule, f"{path}, row {tally.first_row}: {tally.said}{more}", tally.rows, tally.first_row))
    return _worst_first(found)


def check_capture(paths: Iterable[str | os.PathLike[str] | Url]) -> list[Finding]:
    """Rules between the files of each capture among ``paths``. Files that cannot be opened are left to ``check_file``."""
    captures: dict[str, list[TraceFile]] = {}
    for path in paths:
        try:
            file = TraceFile(path)
        except TraceError:
            continue
        captures.setdefault(file.capture, []).append(file)
    return _worst_first([finding for files in captures.values() for finding in _check_sizes(files) + _check_clock(files)])


def _finding(path: Place, rule: str, message: str, rows: int = 0, first_row: int | None = None) -> Finding:
    return Finding(str(path), rule, RULES[rule].severity, rows, first_row, message)


def _worst_first(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda finding: ("error", "warning", "note").index(finding.severity))


def _rule_of_refusal(path: Place) -> str:
    """Which rule a file breaks that ``TraceFile`` refuses."""
    try:
        footer = pq.read_metadata(source(path))
        schema = footer.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, ValueError):
        return "readable"
    raw = (schema.metadata or footer.metadata or {}).get(METADATA_KEY)
    if raw:
        try:
            kind = Metadata.from_json(raw, path).kind
        except TraceError as error:
            return "kind-known" if "unknown kind" in str(error) else "metadata-valid"
    else:
        kind = path.name.removesuffix(".parquet").rpartition(".")[2]
    tables = [KINDS[kind]] if kind in KINDS else list(KINDS.values())
    needed = [{column.name for column in table.columns if not column.optional} for table in tables]
    if not any(columns <= set(schema.names) for columns in needed):
        return "columns-present" if kind in KINDS else "kind-known"
    return "not-empty" if footer.num_rows == 0 else "column-types"


def _check_row_groups(path: Place) -> list[Finding]:
    footer = pq.read_metadata(source(path))
    largest = max(footer.row_group(i).num_rows for i in range(footer.num_row_groups))
    if largest > MANY_ROWS:
        return [
            _finding(path, "row-group-size", f"{path}: a row group of {largest} rows needs much memory; write groups of about 1 M rows")
        ]
    if footer.num_row_groups > 1 and footer.num_rows / footer.num_row_groups < FEW_ROWS:
        said = f"{footer.num_row_groups} row groups for {footer.num_rows} rows decode slowly; write groups of about 1 M rows"
        return [_finding(path, "row-group-size", f"{path}: {said}")]
    return []


def _check_sizes(files: list[TraceFile]) -> list[Finding]:
    found, known = [], {}
    for file in files:
        for vm in file.metadata.vms if file.metadata else ():
            pages, other = known.setdefault(vm.name, (vm.pages, file.path))
            if pages != vm.pages:
                said = f"{file.path}: VM {vm.name!r} has {vm.pages} pages here and {pages} in {other}; correct one of them"
                found.append(_finding(file.path, "vm-sizes-agree", said))
    return found


def _check_clock(files: list[TraceFile]) -> list[Finding]:
    spans = sorted((*file.span(), str(file.path)) for file in files)
    found = []
    for (_, last, before), (first, _, after) in pairwise(spans):
        if first > last:
            said = f"{after}: begins {format_duration(first - last)} after {before} ends; are both of one capture, on one clock?"
            found.append(_finding(place(after), "one-clock", said))
    return found
