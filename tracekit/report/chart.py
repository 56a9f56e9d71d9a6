"""Charts as files that need no network: HTML with the drawing library inside, PNG, SVG."""

import json
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from tracekit import display
from tracekit.errors import TracekitError

#: Rows of the table below a chart.
ROWS = 500
_PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>:root{{color-scheme:light}}body{{font:16px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1.5rem;color:#222;
background:#fff}}h1{{font-size:1.5rem;line-height:1.25;max-width:50rem}}p{{max-width:50rem}}#chart{{margin:1.5rem 0;overflow-x:auto}}
summary{{cursor:pointer}}footer{{color:#666;font-size:.85rem;margin-top:2rem}}</style>
<h1>{title}</h1><div id="chart"></div>{about}<details><summary>The table: {rows} rows</summary>{table}</details>
<footer>{footer}</footer>
<script>{library}</script>
<script>vegaEmbed("#chart", {spec}, {{actions: false, renderer: "svg"}})</script>
</html>
"""


def html(chart: Any, path: Path, title: str, about: dict[str, str], frame: pl.DataFrame, footer: str = "") -> None:
    """A page of one chart, with the paragraphs of ``about`` and the table below; it asks nothing of any network."""
    library = _vl_convert().javascript_bundle(vl_version=_version())
    shown = frame.select(pl.exclude(pl.List, pl.Struct)).head(ROWS)
    more = f"<p>… and {frame.height - ROWS} more</p>" if frame.height > ROWS else ""
    paragraphs = "".join(f"<p><b>{escape(head)}.</b> {escape(text)}</p>" for head, text in about.items())
    spec = json.dumps(chart.to_dict()).replace("<", "\\u003c")  # names in a trace may look like markup
    table = display.html("", [display.html_table(shown), more])
    page = {"title": escape(title), "about": paragraphs, "rows": frame.height, "table": table, "footer": escape(footer)}
    _write(path, _PAGE.format(**page, library=library, spec=spec).encode())


def picture(chart: Any, path: Path, format: str) -> None:
    """A chart as ``png`` (twice its size in pixels) or ``svg``."""
    spec, version = chart.to_dict(), _version()
    if format == "png":
        _write(path, _vl_convert().vegalite_to_png(spec, vl_version=version, scale=2))
    else:
        _write(path, _vl_convert().vegalite_to_svg(spec, vl_version=version).encode())


def _version() -> str:
    """The version of Vega-Lite that Altair writes for, as vl-convert calls it."""
    import altair

    return ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def _vl_convert() -> Any:
    try:
        import vl_convert
    except ImportError:
        raise TracekitError("charts as files need vl-convert, which is not installed; get it with: pip install 'tracekit[png]'") from None
    return vl_convert


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise TracekitError(f"{path}: cannot be written ({error.strerror or error})") from None
