"""The page that is handed on: what was replayed, what came of it, charts, figures, parameters, where it all comes from.

One HTML file without a script and without any request: charts are SVG, colours follow the reader's light or dark setting,
and what is pointed at tells its values by CSS alone. Its content policy forbids everything else, so that not even a hostile
name in a trace could make a browser do more than show it.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import polars as pl

from tracekit.compare import shown
from tracekit.compare.metrics import summary
from tracekit.compare.swept import swept_labels
from tracekit.errors import ScenarioError, TracekitError
from tracekit.report.advice import pages_out
from tracekit.report.page import about, copies, estimators, faults, memory, sampling, sharing, tiers, usage
from tracekit.report.page.capture import Capture, Section
from tracekit.report.page.html import Markup, notes, table, tag
from tracekit.report.page.seen import Seen
from tracekit.results import Results
from tracekit.units import format_bytes, format_count, format_duration, format_pages

#: Columns of the overview: the section whose finding stands there, and what it is about.
_OVERVIEW = {"sharing": "memory saved", "faults": "who paid", "accuracy": "accuracy of sampling", "copies": "bounce-buffer copies"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(results: Results, seen: Seen | None = None, title: str = "Replay of virtual-machine memory") -> str:
    """The page of all captures in the results, with what their traces themselves tell where these were given."""
    captures = [
        Capture(results, name) for name in results.table("runs").select("trace").unique(maintain_order=True).collect().to_series().sort()
    ]
    found = sorted(((capture, _sections(capture, seen)) for capture in captures), key=lambda pair: -len(pair[1]))
    captures = [capture for capture, _ in found]
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    numbers = {capture.name: f"t{i}" for i, capture in enumerate(captures)}
    body = [
        _head(results, captures, title, created),
        _overview(found, numbers),
        _compared(results),
        *(_capture(capture, sections, numbers[capture.name]) for capture, sections in found),
        tag(
            "section", tag("h2", "Parameters"), about.variants(results), about.parameters(results), about.left_out(results), id="parameters"
        ),
        tag(
            "section", tag("h2", "Where the numbers come from"), about.provenance(results, created), about.tables(results), id="provenance"
        ),
    ]
    return document(title, body, _contents(captures, numbers))


def document(title: str, body: Iterable[Markup], contents: Markup) -> str:
    """A whole page: head with style and content policy, contents, body."""
    style = Markup(files("tracekit.report.page").joinpath("style.css").read_text())
    head = [
        Markup(f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'),
        tag("title", title), tag("style", style),
    ]  # fmt: skip
    return "<!doctype html>\n" + tag("html", tag("head", *head), tag("body", contents, tag("main", *body)), lang="en") + "\n"


def write(text: str, path: Path) -> None:
    """Write a page. Raises TracekitError if it cannot be."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TracekitError(f"{path}: the page cannot be written there ({error.strerror}); choose another file with -o") from None


def _sections(capture: Capture, seen: Seen | None) -> list[Section]:
    found = [
        sharing.section(capture),
        memory.section(capture),
        faults.section(capture),
        sampling.section(capture),
        estimators.section(capture),
    ]
    found += [*tiers.sections(capture), usage.section(capture, seen), copies.section(capture)]
    return [section for section in found if section is not None]


def _contents(captures: Sequence[Capture], numbers: dict[str, str]) -> Markup:
    links = [("#top", "overview"), *((f"#{numbers[capture.name]}", capture.name) for capture in captures)]
    links += [("#parameters", "parameters"), ("#provenance", "provenance")]
    return tag("nav", tag("span", "tracekit", class_="brand"), *(tag("a", name, href=target) for target, name in links))


def _head(results: Results, captures: Sequence[Capture], title: str, created: str) -> Markup:
    synthetic = sum(capture.run["synthetic"] for capture in captures)
    origin = "synthetic" if synthetic == len(captures) else "captured" if not synthetic else f"captured and synthetic ({synthetic})"
    rows = sum(capture.run["rows"] for capture in captures)
    vms = sum(len(capture.vms) for capture in captures)
    variants = len(swept_labels(results))
    said = f"{len(captures)} {origin} trace{'s' * (len(captures) != 1)} of {vms} VM{'s' * (vms != 1)}, {format_count(rows)} rows, "
    said += f"replayed by {variants} variants of a scenario" if variants > 1 else f"replayed: {_scenario(results)}"
    return tag("header", tag("h1", title), tag("p", said + ".", class_="lead"), tag("p", created, class_="date"), id="top")


def _scenario(results: Results) -> str:
    rows = results.table("variants").filter(pl.col("param") == "module").collect()
    return ", ".join(f"{stage} {module}" for stage, module in rows.select("stage", "value").iter_rows())


def _overview(found: Sequence[tuple[Capture, list[Section]]], numbers: dict[str, str]) -> Markup:
    """Figures in large of one capture; a table of several, each finding with a link to its section."""
    if len(found) == 1:
        capture, sections = found[0]
        cards = [
            tag("a", tag("b", section.says[0]), tag("span", section.says[1]), href=f"#{numbers[capture.name]}-{section.name}")
            for section in sections if section.says
        ]  # fmt: skip
        return tag("section", *cards, class_="cards")
    rows = []
    for capture, sections in found:
        says = {section.name: section for section in sections}
        cells = [
            tag("a", tag("b", says[name].says[0]), tag("span", says[name].says[1]), href=f"#{numbers[capture.name]}-{name}")  # pyright: ignore
            if name in says and says[name].says else tag("span", "–", class_="none")
            for name in _OVERVIEW
        ]  # fmt: skip
        about = tag(
            "span",
            f"{len(capture.vms)} VM{'s' * (len(capture.vms) > 1)}, {format_pages(capture.pages)}, {format_duration(capture.run['span'])}",
        )
        rows.append((tag("a", tag("b", capture.name), about, href=f"#{numbers[capture.name]}"), *cells))
    columns = [name for i, name in enumerate(_OVERVIEW) if any("href" in row[i + 1] for row in rows)]
    kept = [0, *(i + 1 for i, name in enumerate(_OVERVIEW) if name in columns)]
    shown = table(("trace", *(_OVERVIEW[name] for name in columns)), [[row[i] for i in kept] for row in rows], 9)
    return tag("section", tag("h2", "At a glance"), shown, class_="glance")


def _compared(results: Results) -> Markup:
    """Variants side by side by their figures, best and worst; where they have no parameter in common, by their figures alone."""
    if len(swept_labels(results)) < 2:
        return Markup("")
    try:
        comparison = results.compare()
        frame, said = shown.readable(shown.table(comparison)), shown.sentences(comparison)
    except ScenarioError:
        frame, said = summary(results).drop("variant"), []
    rows = [[_cell(value) for value in row] for row in frame.head(60).iter_rows()]
    words = sum(name == "trace" or "." in name for name in frame.columns)
    more = tag("p", f"60 of {frame.height} lines; tracekit compare has all.", class_="limits") if frame.height > 60 else None
    return tag("section", tag("h2", "Variants side by side"), table(frame.columns, rows, words), more, notes(said))


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float) and abs(value) < 1000:
        return f"{value:.4g}"
    return "–" if value is None else format_count(value) if isinstance(value, (int, float)) else str(value)


def _capture(capture: Capture, sections: Sequence[Section], number: str) -> Markup:
    run = capture.run
    vms = ", ".join(f"{name} {format_pages(pages)}" for name, pages in list(capture.vms.items())[:12]) + (
        ", …" if len(capture.vms) > 12 else ""
    )
    memory = sorted({run["memory"] for run in capture.runs.iter_rows(named=True) if pages_out(capture.results, run)})
    host = " to ".join(format_bytes(size) for size in dict.fromkeys((*memory[:1], *memory[-1:]))) or "memory without end"
    badge = tag("span", "synthetic", class_="badge") if run["synthetic"] else tag("span", "captured", class_="badge real")
    facts = f"{vms} · {run['kinds'].replace(' ', ', ')} rows · {format_duration(run['span'])} · {format_count(run['rows'])} rows · "
    facts += f"{host} for guest pages"
    drawn = [tag("div", tag("h3", section.title), *section.parts, id=f"{number}-{section.name}", class_="part") for section in sections]
    nothing = tag("p", "None of the modules that were asked for had anything to tell of this trace.") if not drawn else None
    return tag("section", tag("h2", capture.name, badge), tag("p", facts, class_="facts"), *drawn, nothing, id=number)
