"""The reference part of docs/synth.md, from the code: keys, blocks, the truth. ``python -m tracekit.synth.reference FILE`` renews it."""

import inspect
import sys
from pathlib import Path
from typing import Any

from tracekit.schema import QUANTITIES, TRUTH
from tracekit.synth.blocks import BLOCKS
from tracekit.synth.keys import BlockKeys, CaptureKeys, RegionKeys, VmKeys
from tracekit.synth.params import describe

MARK = "<!-- from here on made by tracekit.synth.reference -->\n"


def markdown() -> str:
    """All that follows the mark."""
    parts = [MARK, "## Keys\n"]
    for keys in (CaptureKeys, VmKeys, RegionKeys, BlockKeys):
        parts += [f"**{_prose(keys)}**\n", _parameters(keys)]
    parts.append("## Blocks\n")
    for name, block in BLOCKS.items():
        parts += [f"### `{name}`\n", _prose(block) + "\n", _parameters(block.Params)]
    parts += ["## The truth\n", TRUTH.prose[0].upper() + TRUTH.prose[1:] + ".\n"]
    parts.append(
        _table(
            ("column", "type", "meaning"), [(f"`{c.name}`", c.type, c.prose + (f" [{c.unit}]" if c.unit else "")) for c in TRUTH.columns]
        )
    )
    parts.append(_table(("quantity", "meaning"), [(f"`{name}`", prose) for name, prose in QUANTITIES.items()]))
    return "\n".join(parts)


def renew(page: Path) -> None:
    """Rewrite what follows the mark on the page."""
    page.write_text(page.read_text().partition(MARK)[0] + markdown())


def _prose(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__).replace("``", "`")


def _parameters(params: Any) -> str:
    rows = [
        (f"`{p['name']}`", p["kind"], _default(p["default"]), p["prose"] + (f" [{p['unit']}]" if p["unit"] else ""))
        for p in describe(params)
    ]
    return _table(("key", "kind", "default", "what it decides"), rows)


def _default(text: str) -> str:
    return f"`{text}`" if text else ""


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    renew(Path(sys.argv[1]))
