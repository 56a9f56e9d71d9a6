"""Lines of text parsed by patterns: what all readers of text formats share, at the speed of compiled code.

A pattern is a line with fields in braces::

    {*}[{cpu:dec}] {flags:word} {t:seconds}: swiotlb_bounced: dev_name: {device:word} dma_mask={mask:hex} {*}

``dec``, ``hex`` (no ``0x``), ``int`` (may be negative) and ``char`` are numbers; ``seconds`` is a decimal number as ns;
``word`` ends at a blank, or where the pattern goes on; ``span`` takes everything up to where the pattern goes on; ``{*}``
likewise, without keeping it (at the end: the rest of the line); ``{{`` is a brace. A blank matches any number of blanks, at
least one; around the line they do not count. Where what follows the last ``{*}`` or ``span`` so far does not match, it is
tried further on.

Patterns are compiled to a table that one kernel interprets; of several the first that matches counts. Where many patterns
begin alike, ``heads`` are the ways in which they do, and a pattern that begins with ``{head}`` says what follows: a line is
read up to there once, however many patterns are tried on the rest. Every line that matches none is counted, and nothing else
happens to it. A last line without an end is never taken: it cannot be told from one that was cut off.
"""

import os
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from tracekit.formats import line_kernels as kernels
from tracekit.formats.source import BLOCK_BYTES, Stream

_NUMBERS = {"hex": kernels.HEX, "dec": kernels.DEC, "int": kernels.INT, "char": kernels.CHAR, "seconds": kernels.SECONDS}
#: Operations whose field takes two columns: a hash, and where the text lies.
_TEXTS = (kernels.WORD, kernels.FIND, kernels.REST)
_HEAD = "{head}"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PIECES = re.compile(r"\{(\*)\}|\{(\w+):(\w+)\}|( +)|((?:\{\{|[^{ ])+)")


class Patterns:
    """Patterns by name, several of one name if there are several ways to write it.

    Those in ``skipped`` make no rows; lines that match are counted under the name, unless it begins with #. Patterns without
    a head are tried before those with one.
    """

    def __init__(
        self,
        patterns: Mapping[str, str | Sequence[str]],
        skipped: Mapping[str, str | Sequence[str]] | None = None,
        heads: Sequence[str] = (),
    ):
        self.names = [*patterns, *(skipped or {})]
        self._kept = len(patterns)
        self._columns: dict[str, int] = {}
        self._width = 0
        named = list(enumerate([*patterns.values(), *(skipped or {}).values()]))
        grouped = [(group, text) for group, texts in named for text in ((texts,) if isinstance(texts, str) else texts)]
        grouped.sort(key=lambda pair: pair[1].startswith(_HEAD))
        literals, ops, starts = bytearray(), list[tuple[int, int, int, int]](), [0]
        for text, end in [*((head, kernels.THERE) for head in heads), *((text, kernels.END) for _, text in grouped)]:
            ops += [*self._compile(text.removeprefix(_HEAD), literals), (end, 0, 0, -1)]
            starts.append(len(ops))
        self._literals = np.frombuffer(bytes(literals) + b"\0", np.uint8)
        self._ops, self._starts, self._groups = (np.array(made, np.int64) for made in (ops, starts, [group for group, _ in grouped]))
        self._fields = np.zeros((len(starts) - 1, max(self._width, 1)), np.bool_)
        for i, (begin, stop) in enumerate(pairwise(starts)):
            for op, _, _, column in ops[begin:stop]:
                if column >= 0:
                    self._fields[i, column : column + (2 if op in _TEXTS else 1)] = True
        self._ways, self._plain = len(heads), sum(not text.startswith(_HEAD) for _, text in grouped)

    def _compile(self, text: str, literals: bytearray) -> list[tuple[int, int, int, int]]:
        """One row (operation, begin and end of its literal, column) for each piece of the pattern."""
        pieces = list(_PIECES.finditer(text))
        ops: list[tuple[int, int, int, int]] = []
        for piece, following in zip(pieces, [*pieces[1:], None]):
            star, name, kind, blanks, literal = piece.groups()
            onward = (" " if following[4] else (following[5] or "").replace("{{", "{")) if following else ""
            begin = len(literals)
            if star or kind == "span":
                literals += onward.encode()
                place = self._place(name, 2) if kind == "span" else -1
                ops.append((kernels.FIND if onward else kernels.REST, begin, len(literals), place))
            elif blanks:
                ops.append((kernels.BLANKS, 0, 0, -1))
            elif literal:
                literals += literal.replace("{{", "{").encode()
                ops.append((kernels.LITERAL, begin, len(literals), -1))
            elif kind == "word":
                ops.append((kernels.WORD, ord(onward[0]) if onward else 0, 0, self._place(name, 2)))
            else:
                ops.append((_NUMBERS[kind], 0, 0, self._place(name, 1)))
        return ops

    def _place(self, name: str, width: int) -> int:
        if name not in self._columns:
            self._columns[name] = self._width
            self._width += width
        return self._columns[name]

    def parse(self, block: np.ndarray) -> "Parsed":
        """Parse a block of whole lines."""
        lines = int(np.count_nonzero(block == ord("\n")))
        which, values = np.empty(lines, np.int16), np.empty((lines, max(self._width, 1)), np.uint64)
        counts = np.zeros(len(self.names) + 1, np.int64)
        tables = self._literals, self._ops, self._starts, self._fields, self._groups, self._ways, self._plain
        rows = kernels.parse_lines(block, *tables, self._kept, which, values, counts)
        return Parsed(block, self, which[:rows], values[:rows], counts)

    def read(self, stream: Stream, tally: Any) -> Iterator["Parsed"]:
        """Parse what is left of a stream, some blocks at once; ``tally.drop(reason, lines)`` hears of what makes no rows."""
        workers = min(4, len(os.sched_getaffinity(0)))
        with ThreadPoolExecutor(workers) as pool:
            ahead: deque[Future[Parsed]] = deque()
            for block in whole_lines(stream, tally):
                ahead.append(pool.submit(self.parse, block))
                if len(ahead) > workers:
                    yield self._counted(ahead.popleft().result(), tally)
            while ahead:
                yield self._counted(ahead.popleft().result(), tally)

    def _counted(self, parsed: "Parsed", tally: Any) -> "Parsed":
        for name, count in zip([*self.names[self._kept :], "line not understood"], parsed.counts[self._kept :].tolist()):
            if count and not name.startswith("#"):
                tally.drop(name, count)
        return parsed


class Parsed:
    """Rows of a block: which pattern each line matched, and its fields."""

    def __init__(self, block: np.ndarray, patterns: Patterns, which: np.ndarray, values: np.ndarray, counts: np.ndarray):
        self._block, self._patterns, self.which, self._values, self.counts = block, patterns, which, values, counts

    def __len__(self) -> int:
        return len(self.which)

    def of(self, *names: str) -> "Parsed":
        """The rows that matched one of these patterns."""
        kept = np.isin(self.which, [self._patterns.names.index(name) for name in names])
        return self.where(kept)

    def where(self, kept: np.ndarray) -> "Parsed":
        """Some of the rows (bool by row)."""
        return self if kept.all() else Parsed(self._block, self._patterns, self.which[kept], self._values[kept], self.counts)

    def part(self, begin: int, end: int) -> "Parsed":
        """Rows ``begin`` … ``end − 1``."""
        return Parsed(self._block, self._patterns, self.which[begin:end], self._values[begin:end], self.counts)

    def __getitem__(self, name: str) -> np.ndarray:
        """A number by row (uint64; ``int`` and ``seconds`` are to be viewed as int64); 0 where the pattern has no such field."""
        return np.ascontiguousarray(self._values[:, self._patterns._columns[name]])

    def signed(self, name: str) -> np.ndarray:
        """A number by row as int64."""
        return self[name].view(np.int64)

    def texts(self, name: str) -> tuple[np.ndarray, list[str]]:
        """A word or span by row, as codes (int32) and the texts they stand for. Told apart by 64-bit hashes."""
        place = self._patterns._columns[name]
        codes, firsts = np.empty(len(self), np.int32), np.empty(len(self), np.int64)
        table = np.full(2 << len(self).bit_length(), -1, np.int32)
        found = kernels.encode(self[name], table, codes, firsts)
        return codes, [self._text(int(span)) for span in self._values[firsts[:found], place + 1]]

    def spans(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Begin and end in the block of a word or span by row (int64 each)."""
        both = np.ascontiguousarray(self._values[:, self._patterns._columns[name] + 1])
        begin = (both >> np.uint64(32)).astype(np.int64)
        return begin, begin + (both & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def hex_lists(self, name: str, most: int = 1 << 16) -> tuple[np.ndarray, np.ndarray]:
        """Spans such as ``0x1000,0x2000``: how many numbers by row (−1: no such list), and all numbers (uint64)."""
        begin, end = self.spans(name)
        counts = np.empty(len(begin), np.int64)
        numbers = np.empty(int((end - begin).sum()) // 2 + len(begin) + 1, np.uint64)
        found = kernels.hex_lists(self._block, begin, end, most, counts, numbers)
        return counts, numbers[:found]

    def _text(self, span: int) -> str:
        begin, length = span >> 32, min(span & 0xFFFFFFFF, 200)
        return self._block[begin : begin + length].tobytes().decode(errors="replace")


def whole_lines(stream: Stream, tally: Any) -> Iterator[np.ndarray]:
    """Blocks of whole lines; a last one without an end, and any of more than ``BLOCK_BYTES``, are dropped."""
    rest = b""
    overlong = False
    first = stream.read(BLOCK_BYTES).removeprefix(_BYTE_ORDER_MARK)
    while piece := first or stream.read(BLOCK_BYTES):
        first = b""
        cut = piece.rfind(b"\n") + 1
        if not cut:
            overlong = overlong or len(rest) + len(piece) > BLOCK_BYTES
            rest = b"" if overlong else rest + piece
            continue
        if overlong:
            tally.drop("line too long", 1)
            begin = piece.find(b"\n") + 1
            rest, piece, cut, overlong = b"", piece[begin:], cut - begin, False
        block = rest + piece[:cut] if rest else piece[:cut]
        rest = piece[cut:]
        if block:
            yield np.frombuffer(block, np.uint8)
    if rest.strip() or overlong:
        tally.drop("last line without an end", 1)
    if stream.cut:
        tally.drop(stream.cut, 1)
