"""The kernels behind ``lines.py``: one that interprets compiled patterns over a block of lines, one that reads lists of numbers."""

import numpy as np

from tracekit.kernel import entry, jit

#: Operations of a compiled pattern.
LITERAL, BLANKS, FIND, REST, WORD, CHAR, SECONDS, HEX, DEC, INT, END, THERE = range(12)
_MOST_SECONDS = 9 * 10**9
_ZERO, _NINE, _DOT, _MINUS, _NEWLINE, _RETURN, _BLANK, _TAB = (np.uint8(ord(c)) for c in "09.-\n\r \t")
_FNV, _TENTH = np.uint64(0x100000001B3), np.uint64(((1 << 64) - 1) // 10)


@jit
def _digit(byte):
    """The value of a hexadecimal digit, 16 for any other byte."""
    if byte >= _ZERO and byte <= _NINE:
        return np.int64(byte) - 48
    lower = byte | np.uint8(32)
    if lower >= np.uint8(97) and lower <= np.uint8(102):
        return np.int64(lower) - 87
    return np.int64(16)


@jit
def _number(data, at, end, base, most):
    """A number of at most ``most`` digits: its value, and where it ends (where it began if it is none)."""
    value, begin = np.uint64(0), at
    while at < end:
        digit = _digit(data[at])
        if digit >= base or at - begin == most:
            break
        if at - begin == 19 and base == 10 and (value > _TENTH or (value == _TENTH and digit > 5)):
            return value, begin  # beyond 64 bits
        value = value * np.uint64(base) + np.uint64(digit)
        at += 1
    if at < end and _digit(data[at]) < base:
        return value, begin
    return value, at


@jit
def _is_blank(byte):
    return (byte == _BLANK) | (byte == _TAB)


@jit
def _is_at(data, at, end, literals, begin, stop):
    """Whether a literal stands here."""
    if at + stop - begin > end:
        return False
    for k in range(stop - begin):
        if data[at + k] != literals[begin + k]:
            return False
    return True


@entry
def parse_lines(data, literals, ops, starts, fields, groups, ways, plain, kept, which, values, counts):
    """Match every line. Returns rows; ``counts`` are lines by pattern, and last those that match none.

    ``starts`` are where the operations of ``ways`` heads begin, then those of ``plain`` patterns without a head, then those of
    the patterns with one; ``fields`` says likewise which columns each of them fills in, ``groups`` which group a pattern is of.
    """
    rows, at = 0, 0
    while at < data.size and rows < which.size:
        end = at
        while data[end] != _NEWLINE:
            end += 1
        following = end + 1
        while end > at and (_is_blank(data[end - 1]) or data[end - 1] == _RETURN):
            end -= 1
        while at < end and _is_blank(data[at]):
            at += 1
        if at < end:
            matched = _first_match(data, at, end, literals, ops, starts, fields, groups, ways, plain, values, rows)
            if matched < 0:
                counts[counts.size - 1] += 1
            else:
                counts[matched] += 1
            if matched >= 0 and matched < kept:
                which[rows] = matched
                rows += 1
        at = following
    return rows


@jit
def _first_match(data, begin, end, literals, ops, starts, fields, groups, ways, plain, values, row):
    """The group of the first pattern that a line matches, −1 if it matches none; its fields go to ``values[row]``."""
    for way in range(-1, ways):  # −1: patterns without a head
        at = begin if way < 0 else _matched_to(data, begin, end, literals, ops, starts[way], values, row)
        if at >= 0:
            for pattern in range(0 if way < 0 else plain, plain if way < 0 else groups.size):
                if _matched_to(data, at, end, literals, ops, starts[ways + pattern], values, row) >= 0:
                    for column in range(values.shape[1]):
                        if not (fields[ways + pattern, column] or (way >= 0 and fields[way, column])):
                            values[row, column] = np.uint64(0)  # what patterns that did not match have left there
                    return groups[pattern]
    return -1


@jit
def _matched_to(data, begin, end, literals, ops, op, values, row):
    """Up to where a line matches what begins at ``op``, −1 if it does not; its fields go to ``values[row]``."""
    at, start = begin, begin
    again, again_at = -1, -1  # where to go on if what follows a {*} does not match
    while True:
        code, first, last, column = ops[op, 0], ops[op, 1], ops[op, 2], ops[op, 3]
        ok = True
        if code == END:
            if at == end:
                return at
            ok = False
        elif code == THERE:
            return at
        elif code == REST:
            if column >= 0:
                values[row, column + 1] = np.uint64(at) << np.uint64(32) | np.uint64(end - at)
            return end
        elif code == LITERAL:
            ok = _is_at(data, at, end, literals, first, last)
            at += last - first
        elif code == BLANKS:
            ok = at < end and _is_blank(data[at])
            while at < end and _is_blank(data[at]):
                at += 1
        elif code == FIND:
            if again == op:
                at = again_at
            else:
                start = at
            blank = literals[first] == _BLANK
            while at + last - first <= end:
                if blank:
                    if _is_blank(data[at]):
                        break
                elif data[at] == literals[first] and _is_at(data, at, end, literals, first, last):
                    break
                at += 1
            ok = at + last - first <= end
            if not ok:
                return -1
            again, again_at = op, at + 1
            while blank and again_at < end and _is_blank(data[again_at]):
                again_at += 1
            if column >= 0:
                values[row, column + 1] = np.uint64(start) << np.uint64(32) | np.uint64(at - start)
        elif code == WORD:
            word, mixed = at, np.uint64(0xCBF29CE484222325)
            while at < end and not _is_blank(data[at]) and data[at] != np.uint8(first):
                mixed = (mixed ^ np.uint64(data[at])) * _FNV
                at += 1
            ok = at > word
            values[row, column] = mixed ^ (mixed >> np.uint64(32))
            values[row, column + 1] = np.uint64(word) << np.uint64(32) | np.uint64(at - word)
        elif code == CHAR:
            ok = at < end
            if ok:
                values[row, column] = np.uint64(data[at])
                at += 1
        elif code == SECONDS:
            whole, stop = _number(data, at, end, 10, 19)
            ok = stop > at and whole <= np.uint64(_MOST_SECONDS)
            at = stop
            part, scale = np.uint64(0), np.uint64(10**9)
            if ok and at < end and data[at] == _DOT:
                at += 1
                while at < end and data[at] >= _ZERO and data[at] <= _NINE:
                    if scale > np.uint64(1):
                        scale = scale // np.uint64(10)
                        part += scale * np.uint64(_digit(data[at]))
                    at += 1
            values[row, column] = whole * np.uint64(10**9) + part
        else:
            negative = code == INT and at < end and data[at] == _MINUS
            if negative:
                at += 1
            value, stop = _number(data, at, end, 16 if code == HEX else 10, 16 if code == HEX else 18 if code == INT else 20)
            ok = stop > at
            at = stop
            values[row, column] = np.uint64(0) - value if negative else value
        if ok:
            op += 1
        elif again >= 0:
            op = again
        else:
            return -1


@entry
def hex_lists(data, begin, end, most, counts, numbers):
    """Parse lists of hexadecimal numbers, with or without 0x, parted by commas. Returns how many numbers there are."""
    found = 0
    for row in range(begin.size):
        at, stop, first = begin[row], end[row], found
        while at < stop:
            if at + 2 < stop and data[at] == _ZERO and data[at + 1] == np.uint8(120):
                at += 2
            value, after = _number(data, at, stop, 16, 16)
            if after == at or (after < stop and data[after] != np.uint8(44)) or found - first == most:
                found = first
                break
            numbers[found] = value
            found += 1
            at = after + 1
        counts[row] = -1 if found == first and stop > begin[row] else found - first
    return found


@entry
def encode(keys, table, codes, firsts):
    """Number distinct keys as they come: ``codes`` by row, and in ``firsts`` the row at which each came first. Returns how many.

    ``table`` is −1, and of a power of two of places, more than there are keys.
    """
    mask, found = table.size - 1, 0
    for row in range(keys.size):
        at = np.int64(keys[row] & np.uint64(mask))
        while table[at] >= 0 and keys[firsts[table[at]]] != keys[row]:
            at = (at + 1) & mask
        if table[at] < 0:
            table[at] = found
            firsts[found] = row
            found += 1
        codes[row] = table[at]
    return found
