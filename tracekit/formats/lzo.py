"""LZO1X, by which makedumpfile packs pages (``-l``): packed bytes to plain ones, no length believed.

Written by the description of the stream in Linux's documentation, "LZO stream format as understood by Linux's LZO decompressor".
"""

import numpy as np

from tracekit.kernel import entry, jit

#: What came before an instruction: no literals, 1 to 3 of them that a match brought along, or a run of them.
_RUN = 4
_LONGEST_LITERAL = 17


@jit
def _length(packed, at, low):
    """The length that an instruction with length bits of 0 goes on with: 255 a zero byte. Returns it and where it ends."""
    length = low
    while at < packed.size and packed[at] == 0:
        length += 255
        at += 1
    if at < packed.size:
        length += np.int64(packed[at])
    return length, at + 1


@entry
def unpack(packed, plain):
    """Unpack into ``plain`` (uint8). Returns how many bytes that makes; −1 if the data are damaged or make more."""
    at, made, state = 0, 0, 0
    if packed.size and packed[0] > _LONGEST_LITERAL:
        literals = np.int64(packed[0]) - _LONGEST_LITERAL
        at = 1
        state = min(literals, _RUN)
    else:
        literals = 0
    while True:
        if at + literals > packed.size or made + literals > plain.size:
            return -1
        for _ in range(literals):
            plain[made] = packed[at]
            at, made = at + 1, made + 1
        if at + 2 >= packed.size:  # the end alone is three bytes
            return -1
        code = np.int64(packed[at])
        at += 1
        if code < 16 and state == 0:
            literals = code + 3
            if code == 0:
                literals, at = _length(packed, at, 18)
            state = _RUN
            continue
        if code < 16:
            distance = (np.int64(packed[at]) << 2) + (code >> 2) + (2049 if state == _RUN else 1)
            length, literals = 3 if state == _RUN else 2, code & 3
            at += 1
        elif code >= 64:
            distance = (np.int64(packed[at]) << 3) + (code >> 2 & 7) + 1
            length, literals = (code >> 5) + 1, code & 3
            at += 1
        else:
            most = 7 if code < 32 else 31
            length = code & most
            if length == 0:
                length, at = _length(packed, at, most)
            length += 2
            if at + 1 >= packed.size:
                return -1
            low = np.int64(packed[at]) | np.int64(packed[at + 1]) << 8
            at += 2
            distance, literals = low >> 2, low & 3
            if code < 32:
                distance += (code & 8) << 11
                if distance == 0:
                    return made
                distance += 16384
            else:
                distance += 1
        if distance > made or made + length > plain.size:
            return -1
        for _ in range(length):
            plain[made] = plain[made - distance]
            made += 1
        state = literals
