"""The first screen: what a replay found, in 100 columns, for a person at a terminal."""

from collections.abc import Iterable

import polars as pl
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tracekit.report import advice
from tracekit.report.summary import last, swept_labels
from tracekit.results import Results
from tracekit.units import format_bytes, format_count, format_duration, format_pages

WIDTH = 100
#: With more variants than this, one line a variant has to do: the host's, not every VM's.
FEW_VARIANTS = 1


def show(results: Results, console: Console, kept_in: str | None = None) -> None:
    """Print the screen of each trace."""
    labels = swept_labels(results)
    for trace in results.table("runs").select("trace").unique(maintain_order=True).collect().to_series():
        console.print(_screen(results, trace, labels))
    console.print(_closing(kept_in))


def _screen(results: Results, trace: str, labels: dict[str, str]) -> Group:
    runs = _of(results, "runs", trace)
    parts: list[RenderableType] = [_heading(runs)]
    for section in (_savings, _sampling, _allocation, _faults, _copies):
        parts += section(results, trace, labels)
    first = runs.row(0, named=True)
    if first["left_out"]:
        parts.append(Text(f"left out  {first['left_out']}", style="dim"))
    if first["notes"]:
        notes = first["notes"].split("; ")
        more = f" (and {len(notes) - 1} more: tracekit inspect)" if len(notes) > 1 else ""
        parts.append(Text(f"inferred  {notes[0]}{more}", style="dim"))
    elapsed = runs["elapsed"].sum()
    speed = runs["rows"].sum() / elapsed if elapsed else 0.0
    parts.append(Text(f"replayed in {elapsed:.2f} s: {speed / 1e6:.1f} M rows/s over {runs.height} variant(s)\n", style="dim"))
    return Group(*parts)


def _heading(runs: pl.DataFrame) -> Text:
    run = runs.row(0, named=True)
    vms = [vm.rpartition("=") for vm in run["vms"].split(" ")]
    total = sum(int(pages) for _, _, pages in vms)
    listed = ", ".join(f"{name} {format_pages(int(pages))}" for name, _, pages in vms[:6]) + (", …" if len(vms) > 6 else "")
    text = Text(f"{run['trace']}", style="bold")
    text.append(f"  {len(vms)} VM{'s' * (len(vms) > 1)}, {format_pages(total)} ({listed})\n", style="not bold")
    origin = "SYNTHETIC trace" if run["synthetic"] else "captured trace"
    facts = f"{origin}: {run['kinds'].replace(' ', ', ')} · {format_duration(run['span'])} · {format_count(run['rows'])} rows"
    memory = sorted(set(runs["memory"]))
    host = format_bytes(memory[0]) if len(memory) == 1 else f"{format_bytes(memory[0])} … {format_bytes(memory[-1])}"
    without = "memory without end" if memory[0] >= 2 * total * 4096 else f"{host} for guest pages"
    text.append(f"{facts} · host: {without}", style="not bold dim")
    return text


def _table(title: str, *columns: str, labelled: bool) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), width=WIDTH)
    if labelled:
        table.add_column("variant", overflow="fold", ratio=2)
    table.add_column(columns[0], overflow="ellipsis", no_wrap=True, ratio=1)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _of(results: Results, table: str, trace: str) -> pl.DataFrame:
    if table not in results.names:
        return pl.DataFrame()
    return results.table(table).filter(pl.col("trace") == trace).collect()


def _rows(frame: pl.DataFrame, labels: dict[str, str], host: str | None = None) -> Iterable[tuple[list[str], dict]]:
    """Rows with their leading cells: the variant's label where there are several; then only the host's rows if it has any."""
    if len(labels) > FEW_VARIANTS and host is not None:
        frame = frame.filter(pl.col("vm") == host)
    for row in frame.iter_rows(named=True):
        yield ([labels[row["variant"]]] if len(labels) > 1 else []), row


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _savings(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    frame = last(_of(results, "savings", trace))
    if frame.is_empty():
        return []
    title = "savings by sharing, found and possible at the end"
    table = _table(title, "vm", "known", "zero", "possible", "", "found", "", "of possible", "breaks", labelled=len(labels) > 1)
    for lead, row in _rows(frame, labels, "*"):
        pages, possible, found = row["pages"], row["possible_reclaimed"], row["reclaimed"]
        table.add_row(
            *lead, "host" if row["vm"] == "*" else row["vm"], format_pages(pages), format_pages(row["zero"]), format_pages(possible),
            _percent(possible, pages), format_pages(found), _percent(found, pages), _percent(found, possible),
            format_count(row["breaks"]), style="bold" if row["vm"] == "*" and len(labels) == 1 else None,
        )  # fmt: skip
    return [table, *_advice(advice.savings(results, trace, frame))]


def _sampling(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    if "sampling" not in results.names or _of(results, "allocation", trace).is_empty():
        return []
    frame = _of(results, "sampling", trace)
    if frame.is_empty():
        return _advice(advice.sampling(results, trace))
    sizes = dict(_vm_sizes(_of(results, "runs", trace)))
    raw = pl.col("touched") / pl.col("n") * pl.col("vm").replace_strict(sizes, return_dtype=pl.Int64)
    covered = (pl.col("low") <= pl.col("active")) & (pl.col("active") <= pl.col("high"))
    grouped = frame.group_by("variant", "vm", maintain_order=True).agg(
        periods=pl.len(),
        truth=pl.col("active").mean(),
        sampled=raw.mean(),
        error=(raw - pl.col("active")).abs().mean(),
        half=((pl.col("high") - pl.col("low")) / 2).mean(),
        covered=covered.sum(),
        used=pl.col("estimate").mean(),
    )
    title = "sampling accuracy: pages in use, means over the periods"
    names = ("vm", "periods", "truth", "sampled", "error", "95 % interval", "covers", "acted on")
    table = _table(title, *names, labelled=len(labels) > 1)
    for lead, row in _rows(grouped, labels):
        table.add_row(
            *lead, row["vm"], str(row["periods"]), format_pages(row["truth"]), format_pages(row["sampled"]), format_pages(row["error"]),
            f"± {format_pages(row['half'])}", f"{row['covered']} of {row['periods']}", format_pages(row["used"]),
        )  # fmt: skip
    return [table]


def _vm_sizes(runs: pl.DataFrame) -> list[tuple[str, int]]:
    split = [vm.rpartition("=") for vm in runs["vms"][0].split(" ")]
    return [(name, int(pages)) for name, _, pages in split]


def _allocation(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    every = _of(results, "allocation", trace)
    if every.is_empty():
        return []
    frame = last(every)
    states = every.unique(["variant", "t"])["state"].value_counts(sort=True)
    spent = ", ".join(f"{state} {100 * count / states['count'].sum():.0f} %" for state, count in states.iter_rows())
    title = f"allocation at the end (state over time: {spent})"
    table = _table(title, "vm", "size", "in use", "target", "resident", "ballooned", "swapped", "share/page", labelled=len(labels) > 1)
    for lead, row in _rows(frame, labels):
        sizes = (row[name] for name in ("max", "active", "target", "resident", "ballooned", "swapped"))
        table.add_row(*lead, row["vm"], *map(format_pages, sizes), f"{row['price']:.4f}")
    return [table]


def _faults(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    frame = last(_of(results, "faults", trace))
    if frame.is_empty():
        return []
    title = "faults, and pages that host and guest paged out"
    columns = ("vm", "accesses", "cold", "major", "minor", "out", "shared", "double", "guest major", "guest out")
    table = _table(title, *columns, labelled=len(labels) > 1)
    names = ("accesses", "cold", "major", "minor", "page_outs", "shared_out", "double_paged", "guest_major", "guest_page_outs")
    for lead, row in _rows(frame, labels):
        table.add_row(*lead, row["vm"], *(format_count(row[name]) for name in names))
    return [table, *_advice(advice.faults(results, trace, frame))]


def _copies(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    frame = last(_of(results, "copies", trace), "device")
    if frame.is_empty():
        return []
    title = "bounce-buffer copies by device, without and with remapping"
    columns = ("device", "transfers", "moved", "bounced", "copied without", "copied with", "saved", "of it forced", "pages moved")
    table = _table(title, *columns, labelled=len(labels) > 1)
    several = frame["vm"].n_unique() > 1
    for lead, row in _rows(frame, labels):
        kept, baseline = row["copied_bytes"], row["baseline_bytes"]
        name = f"{row['vm']} {row['device']}" if several else row["device"]
        table.add_row(
            *lead, name, format_count(row["transfers"]), format_bytes(row["bytes"]), format_count(row["bounced"]), format_bytes(baseline),
            format_bytes(kept), _percent(baseline - kept, baseline), format_bytes(row["forced_bytes"]), format_count(row["remapped"]),
        )  # fmt: skip
    return [table, *_advice(advice.copies(frame))]


def _advice(lines: Iterable[str]) -> list[RenderableType]:
    return [Text(f"→ {line}", style="yellow") for line in lines]


def _closing(kept_in: str | None) -> Text:
    if kept_in:
        return Text(f"tables in {kept_in}/*/*.parquet: tracekit compare {kept_in}, or tracekit.open({kept_in!r}) in Python", style="dim")
    return Text("tables not kept: add -o DIR to keep them as Parquet, or --format json to pipe them on", style="dim")
