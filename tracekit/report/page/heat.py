"""Heat maps: a picture of one pixel a cell inside a frame with axes."""

import base64
import struct
import zlib

import numpy as np

from tracekit.report.page.axis import Axis
from tracekit.report.page.html import Markup, tag

#: Cold to hot: from clear over orange to dark red, seen on white as on black.
_RAMP = np.array([(255, 214, 102, 0), (255, 190, 80, 120), (240, 120, 50, 220), (205, 50, 60, 255), (150, 20, 80, 255)], float)


def chart(cells: np.ndarray, x: Axis, y: Axis, *, width: int = 560, height: int = 220) -> Markup:
    """Draw an array (row 0 at the bottom) of values from 0, coloured by their logarithm."""
    left, top, right, bottom = 58, 22, width - 12, height - 36
    marks = []
    for value in y.ticks(4):
        marks.append(tag("text", y.show(value), x=left - 6, y=f"{y.at(value, bottom, top):.1f}", class_="tick e"))
    for value in x.ticks(6):
        marks.append(tag("text", x.show(value), x=f"{x.at(value, left, right):.1f}", y=bottom + 14, class_="tick m"))
    picture = tag(
        "image", x=left, y=top, width=right - left, height=bottom - top, preserveAspectRatio="none", class_="heat",
        href="data:image/png;base64," + base64.b64encode(_png(_colours(cells))).decode(),
    )  # fmt: skip
    edge = tag("rect", x=left, y=top, width=right - left, height=bottom - top, class_="edge")
    words = tag("text", y.title, x=4, y=11, class_="unit"), tag("text", x.title, x=(left + right) / 2, y=height - 4, class_="unit m")
    described = f"heat map, {y.title} over {x.title}"
    return tag("svg", picture, edge, *marks, *words, viewBox=f"0 0 {width} {height}", role="img", aria_label=described)


def _colours(cells: np.ndarray) -> np.ndarray:
    warm = np.log1p(cells) / np.log1p(max(float(cells.max(initial=0)), 1.0))
    place = warm * (len(_RAMP) - 1)
    low = np.minimum(place.astype(int), len(_RAMP) - 2)
    mixed = _RAMP[low] + (_RAMP[low + 1] - _RAMP[low]) * (place - low)[..., None]
    return np.flipud(mixed).round().astype(np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    """An RGBA picture as PNG (ISO/IEC 15948): one IDAT, no filter."""
    rows, columns, _ = pixels.shape
    raw = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(pixels))

    def piece(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", columns, rows, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + piece(b"IHDR", head) + piece(b"IDAT", zlib.compress(raw, 9)) + piece(b"IEND", b"")
