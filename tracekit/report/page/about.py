"""Where the numbers come from: parameters with what they decide, modules left out, traces and their digests, versions."""

import dataclasses

import polars as pl

from tracekit import __version__, registry
from tracekit.compare.swept import swept, swept_labels
from tracekit.errors import TracekitError
from tracekit.module import Duration, Size, type_of
from tracekit.report.page.html import Markup, folded, join, table, tag
from tracekit.report.summary import vm_sizes
from tracekit.results import Results
from tracekit.scenario import HostParams, ReplayParams, VmParams
from tracekit.schema import RESULTS, Table
from tracekit.units import format_bytes, format_count, format_duration, format_pages

_SECTIONS = {"host": HostParams, "replay": ReplayParams}


def parameters(results: Results) -> Markup:
    """Every parameter: its value, or the values that were swept, and what it decides."""
    rows = results.table("variants").collect()
    modules = rows.filter(pl.col("param") == "module").group_by("stage").agg(pl.col("value").unique(maintain_order=True))
    by_stage = dict(modules.iter_rows())
    known = {stage: _fields(stage, by_stage.get(stage, ())) for stage in rows["stage"].unique()}
    cells = []
    for (stage, name), mine in rows.group_by("stage", "param", maintain_order=True):
        field = known[str(stage)].get(str(name))
        values = list(dict.fromkeys(_shown(field, value) for value in mine["value"]))
        about = field.metadata["prose"] if field else "module of the stage" if name == "module" else ""
        cells.append((tag("code", f"{stage}.{name}"), " | ".join(values), about))
    return table(("parameter", "value", "what it decides"), cells, 3)


def _fields(stage: str, modules: list[str]) -> dict[str, dataclasses.Field]:
    """The fields of a stage's parameters, as far as the modules that filled it are installed here."""
    params = [_SECTIONS.get(stage, VmParams if stage.startswith("vm ") else None)]
    for name in modules:
        try:
            params.append(registry.load(stage.partition("_")[0], name).Params)
        except TracekitError:
            continue
    return {field.name: field for cls in params if cls is not None for field in dataclasses.fields(cls)}


def _shown(field: dataclasses.Field | None, value: str) -> str:
    if field is None or not value.removesuffix("ns").isdigit():
        return value or "–"
    if type_of(field) is Size:
        return format_bytes(int(value))
    if type_of(field) is Duration:
        return format_duration(int(value.removesuffix("ns")))
    return value


def variants(results: Results) -> Markup:
    """In what the variants differ; nothing where there is one."""
    frame = swept(results)
    if frame.height < 2:
        return Markup("")
    labels = swept_labels(results)
    names = frame.columns[1:]
    rows = [
        (labels[row["variant"]], *("–" if row[name] is None else row[name] for name in names), tag("code", row["variant"]))
        for row in frame.iter_rows(named=True)
    ]
    return join([tag("h3", f"{frame.height} variants"), table(("variant", *names, "digest"), rows, len(names) + 2)])


def provenance(results: Results, created: str) -> Markup:
    """One row a trace: its files' digest, what it holds, and what replayed it."""
    runs = results.table("runs").collect().sort("trace", "created")
    rows = []
    for (name,), mine in runs.group_by("trace", maintain_order=True):
        run = mine.row(0, named=True)
        sources = " ".join(dict.fromkeys(mine["source"]))
        vms = vm_sizes(run["vms"])
        rows.append((
            name, tag("code", sources), "synthetic" if run["synthetic"] else "captured", run["kinds"].replace(" ", ", "),
            format_count(run["rows"]), format_duration(run["span"]), f"{len(vms)}, {format_pages(sum(vms.values()))}",
            format_bytes(run["memory"]), " ".join(str(seed) for seed in sorted(mine["seed"].unique())), mine["created"].max(),
        ))  # fmt: skip
    columns = ("trace", "digest of its files", "origin", "rows of", "rows", "span", "VMs", "memory for guest pages", "seed", "replayed")
    said = f"This page was written {created} by tracekit {__version__}; "
    said += "; ".join(
        f"replayed by tracekit {version} on {where}" for version, where in runs.select("tracekit", "environment").unique().rows()
    )
    return join([table(columns, rows, (4, 5)), tag("p", said + ".", class_="limits")])


def left_out(results: Results) -> Markup:
    """What was not replayed, and why."""
    said = [f"not replayed: {reason}" for reason in results.refused]
    for row in results.table("runs").select("trace", "left_out", "notes").unique(maintain_order=True).collect().iter_rows(named=True):
        reasons: dict[str, list[str]] = {}
        for item in filter(None, row["left_out"].split("; ")):
            module, _, reason = item.partition(": ")
            reasons.setdefault(reason, []).append(module)
        said += [f"{row['trace']}: without {', '.join(modules)}, which {reason}" for reason, modules in reasons.items()]
        said += [f"{row['trace']}: {note}" for note in filter(None, row["notes"].split("; "))]
    return join([tag("h3", "Left out, or inferred"), tag("ul", *(tag("li", line) for line in said))]) if said else Markup("")


def tables(results: Results) -> Markup:
    """What else the results hold, each column explained."""
    return join(_table(results, name) for name in results.names)


def _table(results: Results, name: str) -> Markup:
    told: Table | None = RESULTS.get(name)
    columns = list(results.table(name).collect_schema())
    known = {column.name: column for column in told.columns} if told else {}
    rows = [(tag("code", c), known[c].unit if c in known else "", known[c].prose if c in known else "") for c in columns]
    count = results.table(name).select(pl.len()).collect().item()
    return folded(f"{name}: {told.prose if told else ''} ({format_count(count)} rows)", table(("column", "unit", "what it says"), rows, 3))
