"""The first screen: what a replay found, in 100 columns, for a person at a terminal."""

from collections.abc import Iterable, Sequence

import polars as pl
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tracekit.report import advice
from tracekit.report.spark import spark
from tracekit.report.summary import last, swept_labels, vm_sizes
from tracekit.results import Results
from tracekit.units import format_bytes, format_count, format_duration, format_pages

WIDTH = 100
#: Longest label of a variant that a table has room for.
LABEL = 10
#: Longest table of a sweep; one line a variant and VM may be more.
MANY_ROWS = 40
#: The VM of a line that sums up all of them.
ALL = "all"


def show(results: Results, console: Console, kept_in: str | None = None) -> None:
    """Print the screen of each trace."""
    labels, legend = _short(swept_labels(results))
    width = min(WIDTH, console.width)
    for trace in results.table("runs").select("trace").unique(maintain_order=True).collect().to_series():
        console.print(_screen(results, trace, labels, legend), width=width)
    for reason in results.refused:
        console.print(Text(f"not replayed  {reason}", style="dim"), width=width)
    console.print(_closing(kept_in), width=width)


def _short(labels: dict[str, str]) -> tuple[dict[str, str], str]:
    """Labels that fit into a column, and a legend that explains them: values alone, or numbers where those are too long."""
    parts = {variant: [part.partition("=") for part in label.split(" ")] for variant, label in labels.items()}
    values = {variant: " ".join(value or name for name, _, value in split) for variant, split in parts.items()}
    names = list(dict.fromkeys(name for split in parts.values() for name, _, _ in split))
    if all(len(value) <= LABEL for value in values.values()) and all(len(split) == len(names) for split in parts.values()):
        return values, f"{len(labels)} variants by {', '.join(names)}"
    numbers = {variant: str(i) for i, variant in enumerate(labels, 1)}
    return numbers, "\n".join(f"variant {numbers[variant]}: {label}" for variant, label in labels.items())


def _screen(results: Results, trace: str, labels: dict[str, str], legend: str) -> Group:
    runs = _of(results, "runs", trace)
    parts: list[RenderableType] = [_heading(results, runs)]
    if len(labels) > 1:
        parts.append(Text(legend, style="dim"))
    for section in (_savings, _sampling, _allocation, _faults, _swap, _copies, _tiers, _working_sets, _estimators):
        parts += section(results, trace, labels)
    for reason, modules in _left_out(runs):
        parts.append(Text(f"left out  {', '.join(modules)}: {reason}", style="dim"))
    notes = [note for note in runs["notes"][0].split("; ") if note]
    if notes:
        more = f" (and {len(notes) - 1} more: tracekit inspect)" if len(notes) > 1 else ""
        parts.append(Text(f"inferred  {notes[0]}{more}", style="dim"))
    elapsed = float(runs["elapsed"].sum())
    speed = int(runs["rows"].sum()) / elapsed if elapsed else 0.0
    parts.append(Text(f"replayed in {elapsed:.2f} s: {speed / 1e6:.1f} M rows/s over {runs.height} variant(s)\n", style="dim"))
    return Group(*parts)


def _left_out(runs: pl.DataFrame) -> Iterable[tuple[str, list[str]]]:
    """Modules left out of any variant, by the reason why."""
    reasons: dict[str, list[str]] = {}
    for item in dict.fromkeys(item for listed in runs["left_out"] for item in listed.split("; ") if item):
        module, _, reason = item.partition(": ")
        reasons.setdefault(reason, []).append(module)
    return reasons.items()


def _heading(results: Results, runs: pl.DataFrame) -> Text:
    run = runs.row(0, named=True)
    vms = vm_sizes(run["vms"])
    total = sum(vms.values())
    text = Text(f"{run['trace']}", style="bold")
    text.append(f"  {len(vms)} VM{'s' * (len(vms) > 1)}, {format_pages(total)}", style="not bold")
    if list(vms) != [run["trace"]]:
        listed = ", ".join(f"{name} {format_pages(pages)}" for name, pages in list(vms.items())[:6]) + (", …" if len(vms) > 6 else "")
        text.append(f" ({listed})", style="not bold")
    origin = "SYNTHETIC trace" if run["synthetic"] else "captured trace"
    facts = f"{origin}: {run['kinds'].replace(' ', ', ')} · {format_duration(run['span'])} · {format_count(run['rows'])} rows"
    memory = sorted({run["memory"] for run in runs.iter_rows(named=True) if advice.pages_out(results, run)})
    host = " … ".join(format_bytes(size) for size in sorted({*memory[:1], *memory[-1:]}))
    text.append(f"\n{facts} · host: {f'{host} for guest pages' if memory else 'memory without end'}", style="not bold dim")
    return text


def _table(title: str, *columns: str, labelled: bool) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.expand = True
    if labelled:
        table.add_column("variant", no_wrap=True)
    table.add_column(columns[0], overflow="ellipsis", no_wrap=True, ratio=1, min_width=9)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _of(results: Results, table: str, trace: str) -> pl.DataFrame:
    if table not in results.names:
        return pl.DataFrame()
    return results.table(table).filter(pl.col("trace") == trace).collect()


def _rows(frame: pl.DataFrame, labels: dict[str, str]) -> Iterable[tuple[list[str], dict]]:
    """Rows with their leading cells: the variant's label where there are several."""
    for row in frame.iter_rows(named=True):
        yield ([labels[row["variant"]]] if len(labels) > 1 else []), row


def _over_time(labels: dict[str, str]) -> list[str]:
    """The heading of a column of plots, for which there is room where no variant is named."""
    return ["over time"] if len(labels) == 1 else []


def _sparks(frame: pl.DataFrame, vm: str, column: str, labels: dict[str, str], most: float | None = None) -> list[str]:
    """A VM's rows of ``column`` as a plot, where there is room for one."""
    return [spark(frame.filter(pl.col("vm") == vm)[column].to_list(), most)] if len(labels) == 1 else []


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _savings(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    every = _of(results, "savings", trace)
    frame = last(every)
    if frame.is_empty():
        return []
    title = "savings by sharing, found and possible at the end" + ("; found over time" if len(labels) == 1 else "")
    columns = ("vm", "known", "zero", "possible", "", "found", "", "of possible", "breaks", *_over_time(labels))
    table = _table(title, *columns, labelled=len(labels) > 1)
    for lead, row in _rows(frame.filter(pl.col("vm") == "*") if len(labels) > 1 else frame, labels):
        pages, possible, found = row["pages"], row["possible_reclaimed"], row["reclaimed"]
        table.add_row(
            *lead, "host" if row["vm"] == "*" else row["vm"], format_pages(pages), format_pages(row["zero"]), format_pages(possible),
            _percent(possible, pages), format_pages(found), _percent(found, pages), _percent(found, possible),
            format_count(row["breaks"]), *_sparks(every, row["vm"], "reclaimed", labels),
            style="bold" if row["vm"] == "*" and len(labels) == 1 else None,
        )  # fmt: skip
    return [table, *_advice(advice.savings(results, trace, frame))]


def _sampling(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    allocated = _of(results, "allocation", trace)
    if "sampling" not in results.names or allocated.is_empty():
        return []
    frame = _of(results, "sampling", trace).filter(pl.col("stage") == "tax")
    if frame.is_empty():
        return _advice(advice.sampling(results, trace, allocated["variant"][0]))
    run = _of(results, "runs", trace).row(0, named=True)
    sizes = vm_sizes(run["vms"])
    size = pl.col("vm").replace_strict(sizes, return_dtype=pl.Int64)
    frame = frame.with_columns(sampled=pl.col("touched") / pl.col("n") * size)
    covered = (pl.col("low") <= pl.col("active")) & (pl.col("active") <= pl.col("high"))
    if len(labels) > 1 and len(sizes) > 1:
        frame = frame.with_columns(vm=pl.lit(ALL))
    grouped = frame.group_by("variant", "vm", maintain_order=True).agg(
        periods=pl.len(),
        truth=pl.col("active").mean(),
        sampled=pl.col("sampled").mean(),
        error=(pl.col("sampled") - pl.col("active")).abs().mean(),
        half=((pl.col("high") - pl.col("low")) / 2).mean(),
        covered=covered.sum(),
        used=pl.col("estimate").mean(),
    )
    periods = sorted({advice.duration_param(results, variant, "tax", "period") for variant in frame["variant"].unique()})
    clock = "execution" if "event" in run["kinds"].split(" ") else "wall"
    title = f"sampling accuracy: pages in use, means over periods of {' … '.join(map(format_duration, periods))} of {clock} time"
    names = ("vm", "periods", "truth", "sampled", "error", "95 % interval", "covers", "acted on")
    table = _table(title, *names, labelled=len(labels) > 1)
    for lead, row in _rows(grouped, labels):
        table.add_row(
            *lead, row["vm"], str(row["periods"]), format_pages(row["truth"]), format_pages(row["sampled"]), format_pages(row["error"]),
            f"± {format_pages(row['half'])}", f"{row['covered']} of {row['periods']}", format_pages(row["used"]),
        )  # fmt: skip
    return [table]


def _allocation(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    every = _of(results, "allocation", trace)
    if every.is_empty():
        return []
    frame = last(every)
    title = "allocation at the end"
    if frame.height > MANY_ROWS:
        return [Text(f"{title}: {frame.height} lines are too many here: --table allocation", style="dim")]
    if len(labels) == 1:
        states = every.unique("t")["state"].value_counts(sort=True)
        spent = ", ".join(f"{state} {100 * count / every['t'].n_unique():.0f} %" for state, count in states.iter_rows())
        title += f"; resident, of the size, over time; states {spent}"
    columns = ("vm", "size", "in use", "target", "resident", "ballooned", "swapped", "share/page", *_over_time(labels))
    table = _table(title, *columns, labelled=len(labels) > 1)
    for lead, row in _rows(frame, labels):
        sizes = (row[name] for name in ("max", "active", "target", "resident", "ballooned", "swapped"))
        plot = _sparks(every, row["vm"], "resident", labels, row["max"])
        table.add_row(*lead, row["vm"], *map(format_pages, sizes), f"{row['price']:.4f}", *plot)
    return [table]


def _faults(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    frame = last(_of(results, "faults", trace))
    if frame.is_empty() or not frame["accesses"].sum():
        return []
    title = "faults, and pages that host and guest paged out"
    columns = ("vm", "accesses", "cold", "major", "minor", "paged out", "shared", "double", "guest major", "guest out")
    table = _table(title, *columns, labelled=len(labels) > 1)
    names = ("accesses", "cold", "major", "minor", "page_outs", "shared_out", "double_paged", "guest_major", "guest_page_outs")
    shown = _sum_vms(frame, names) if len(labels) > 1 else frame
    for lead, row in _rows(shown, labels):
        table.add_row(*lead, row["vm"], *(format_count(row[name]) for name in names))
    return [table, *_advice(advice.faults(results, trace, frame))]


def _swap(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    frame = last(_of(results, "swap", trace)).filter(pl.col("vm") == "*") if "swap" in results.names else pl.DataFrame()
    if frame.is_empty() or not frame["access_ns"].is_not_null().any():
        return []
    title = "where paged-out pages are at the end (pages of zeros among the packed), and page-ins from there"
    columns = ("vm", "packed", "in pool", "remote", "disk", "packed in", "remote in", "disk in", "ns/access")
    table = _table(title, *columns, labelled=len(labels) > 1)
    for lead, row in _rows(frame, labels):
        sizes = map(format_pages, (row["zero"] + row["compressed"], row["pool"], row["remote"], row["disk"]))
        packed = row["from_zero"] + row["from_compressed"]
        counts = map(format_count, (packed, row["from_remote"], row["from_disk"]))
        table.add_row(*lead, ALL, *sizes, *counts, f"{row['access_ns']:.0f}")
    return [table]


def _sum_vms(frame: pl.DataFrame, names: Sequence[str], *more: str) -> pl.DataFrame:
    """The sums over all VMs of each variant (and ``more``)."""
    vm = pl.lit(ALL).alias("vm") if frame["vm"].n_unique() > 1 else pl.col("vm").first()
    return frame.group_by("variant", *more, maintain_order=True).agg(vm, pl.col(*names).sum())


def _copies(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    frame = _of(results, "copies", trace)
    if frame.is_empty():
        return []
    title = "bounce-buffer copies by device, bytes copied without and with remapping"
    columns = ("device", "transfers", "moved", "bounced", "without", "with", "saved", "forced", "remapped")
    table = _table(title, *columns, labelled=len(labels) > 1)
    names = ("transfers", "bytes", "bounced", "baseline_bytes", "copied_bytes", "forced_bytes", "remapped")
    frame = frame.group_by("variant", "vm", "device", maintain_order=True).agg(pl.col(*names, "unknown").sum())
    shown = _sum_vms(frame, names, "device") if len(labels) > 1 else frame
    several = shown["vm"].n_unique() > 1
    for lead, row in _rows(shown, labels):
        kept, baseline = row["copied_bytes"], row["baseline_bytes"]
        name = f"{row['vm']} {row['device']}" if several else row["device"]
        table.add_row(
            *lead, name, format_count(row["transfers"]), format_bytes(row["bytes"]), format_count(row["bounced"]), format_bytes(baseline),
            format_bytes(kept), _percent(baseline - kept, baseline), format_bytes(row["forced_bytes"]), format_count(row["remapped"]),
        )  # fmt: skip
    return [table, *_advice(advice.copies(frame))]


def _tiers(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    frame = last(_of(results, "tiers", trace))
    if frame.is_empty():
        return []
    title = "accesses served by near and far memory, average latency without and with what moving costs"
    table = _table(
        title, "vm", "near", "far", "far part", "promoted", "demoted", "moved", "latency", "with moves", labelled=len(labels) > 1
    )
    for lead, row in _rows(frame, labels):
        accesses = row["near"] + row["far"]
        if accesses:
            table.add_row(
                *lead, row["vm"], format_count(row["near"]), format_count(row["far"]), _percent(row["far"], accesses),
                format_count(row["promoted"]), format_count(row["demoted"]), format_bytes(row["migrated_bytes"]),
                f"{row['amat']:.0f} ns", f"{row['amat_moved']:.0f} ns",
            )  # fmt: skip
    return [table]


def _working_sets(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    frame = _of(results, "working_set_summary", trace)
    if frame.is_empty():
        return []
    windows = " … ".join(map(format_duration, sorted(frame["window"].unique())))
    title = f"working sets: pages used within {windows}, over time"
    table = _table(title, "vm", "mean", "5 %", "50 %", "95 %", "peak", "sum of peaks", "correlation", labelled=len(labels) > 1)
    pairs = _of(results, "working_set_pairs", trace)
    several = frame["vm"].n_unique() > 2
    for lead, row in _rows(frame.filter(pl.col("vm") == "*") if len(labels) > 1 else frame, labels):
        whole = row["vm"] == "*"
        if whole and not several and len(labels) == 1:
            continue
        mine = pairs.filter(variant=row["variant"]) if pairs.height else pairs
        if mine.height and not whole:
            mine = mine.filter((pl.col("vm") == row["vm"]) | (pl.col("other") == row["vm"]))
        known = mine["correlation"].drop_nulls() if mine.height else []
        table.add_row(
            *lead, ALL if whole else row["vm"], *(format_pages(row[name]) for name in ("mean", "p5", "p50", "p95", "peak")),
            format_pages(row["sum_of_peaks"]) if whole else "", f"{sum(known) / len(known):.2f}" if len(known) else "",
            style="bold" if whole and len(labels) == 1 else None,
        )  # fmt: skip
    return [table]


def _estimators(results: Results, trace: str, labels: dict[str, str]) -> list[RenderableType]:
    frame = _of(results, "estimator_summary", trace)
    lines = _advice(advice.estimators(results, trace, _of(results, "estimators", trace))) if "estimators" in results.names else []
    if frame.is_empty():
        return lines
    windows = " … ".join(map(format_duration, sorted(frame["window"].unique())))
    title = f"estimators of the pages used within {windows}, means over time; cost: faults that VMs took, pages that were looked at"
    if frame.height > MANY_ROWS:
        return [Text(f"{title}: {frame.height} lines are too many here: --table estimator_summary", style="dim")]
    table = _table(title, "vm", "estimator", "truth", "estimate", "error", "late by", "faults", "scans", labelled=len(labels) > 1)
    for lead, row in _rows(frame, labels):
        sizes = (format_pages(row[name]) for name in ("truth", "estimate", "error"))
        late = "–" if row["lag"] is None else format_duration(row["lag"])
        table.add_row(*lead, row["vm"], row["estimator"], *sizes, late, format_count(row["faults"]), format_count(row["scans"]))
    return [table, *lines]


def _advice(lines: Iterable[str]) -> list[RenderableType]:
    return [Text(f"→ {line}", style="yellow") for line in lines]


def _closing(kept_in: str | None) -> Text:
    if kept_in:
        next_ = f"tracekit report {kept_in}, tracekit compare {kept_in}, or tracekit.open({kept_in!r}) in Python"
        return Text(f"tables in {kept_in}/*/*.parquet: {next_}", style="dim")
    return Text("tables not kept: add -o DIR to keep them as Parquet, or --format json to pipe them on", style="dim")
