"""Counting equal contents: by VM for the sharing tables, and fast over very many digests.

Fast means: values are first spread over parts that fit a core's cache, then each part is counted in a table. Kernels
release the GIL, so parts are counted on all cores.

A value is spread by a mix that can be undone. Within a part the mix's top bits are the same for all, so their room in a
slot of the table holds the count: a value costs one word. Counts beyond that overflow into a second array, which is
seldom looked at. A table's lines of eight slots are lines of cache, and a line is searched at once, without a branch that
depends on what it holds: a processor that need not guess works on several values at a time.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tracekit import arrays
from tracekit.kernel import entry, is_compiled, jit

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_GATHER = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
_HALF = np.uint64(32)
_ONE = np.uint64(1)
_THREE = np.uint64(3)
_EIGHT = np.uint64(8)
_WORD = ir.IntType(64)
_LINE = ir.VectorType(_WORD, 8)
_EMPTY = np.uint64(0)
#: Bits of values per part: a table of its distinct values fits a core's second-level cache. More parts would be
#: written to faster than a core can keep their ends in its cache.
_PART_BITS = 16
#: There are at least 2^8 parts, so that counts have 8 bits in a slot.
_LEAST_BITS = 8
#: Bits of lines of the table to begin with, of eight slots each.
_LINE_BITS = 7
#: Pieces of work a thread: parts differ in size where values do in number.
_PIECES = 8

#: Columns of ``by_vm``.
GROUPED = ("pages", "zero", "distinct", "shared", "reclaimed_zero", "reclaimed_within", "reclaimed_between")


@jit
def mixed(value):
    """A value spread over 64 bits, also where values are small numbers."""
    z = np.uint64(value) * _SPREAD
    return z ^ (z >> np.uint64(32))


def one_word(digest: np.ndarray, digest_hi: np.ndarray) -> np.ndarray:
    """Digests of 128 bits as numbers of 64: of equal lower halves they differ where the upper ones do; 0 changes nothing."""
    return digest ^ (digest_hi * _SPREAD)


def by_vm(digest: np.ndarray, told: np.ndarray, vm: np.ndarray, vms: int, zero: int) -> dict[str, np.ndarray]:
    """What sharing every two equal pages would do, by VM (int64): see ``GROUPED``.

    ``told`` says which pages count, ``vm`` whose they are, pages of a VM standing together. Of several equal pages the
    first one's VM is charged for the frame; what others save counts as zero pages, within their VM (not its first
    such page) or between VMs.
    """
    slots = 1 << max(2 * int(np.count_nonzero(told)), 2).bit_length()
    counts = np.zeros((len(GROUPED), vms), np.int64)
    table = np.zeros(slots, np.uint64), np.zeros(slots, np.uint32), np.zeros(slots, np.uint32), np.zeros(slots, np.uint16)
    _group(digest, told, vm, np.uint64(zero), *table, counts)
    return dict(zip(GROUPED, counts, strict=True))


@entry
def _group(digest, told, page_vm, zero, slot, first, count, last, out):
    mask = np.uint64(slot.size - 1)
    for page in range(digest.size):
        if not told[page]:
            continue
        vm, value = page_vm[page], digest[page]
        out[0, vm] += 1
        if value == zero:
            out[1, vm] += 1
        i = mixed(value) & mask
        while count[i] and slot[i] != value:
            i = (i + _ONE) & mask
        if count[i] == 0:
            slot[i] = value
            first[i] = page
            out[2, vm] += 1
        else:
            if count[i] == 1:
                out[3, page_vm[first[i]]] += 1
            out[3, vm] += 1
            out[4 if value == zero else 5 if last[i] == vm else 6, vm] += 1
        last[i] = vm
        count[i] += 1


def count_values(values: np.ndarray, threads: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(distinct values, how often each occurs), in no particular order; ``values`` is uint64."""
    if not is_compiled():
        distinct, counts = np.unique(values, return_counts=True)
        return distinct, counts.astype(np.uint32)
    threads = threads or os.cpu_count() or 1
    bits = max(_LEAST_BITS, (len(values) >> _PART_BITS).bit_length())
    with ThreadPoolExecutor(threads) as pool:
        bounds, spread = _partition(values, bits, threads, pool)
        counts = np.empty(len(values), np.uint32)
        # What is found in a piece of the parts stands where its values stood, from the first place on.
        pieces = np.linspace(0, 1 << bits, _PIECES * threads + 1).astype(np.int64).tolist()
        found = list(pool.map(lambda a, b: _count_parts(spread, bounds, bits, a, b, counts), pieces[:-1], pieces[1:]))
    kept = 0
    for first, more in zip(bounds[pieces[:-1]].tolist(), found, strict=True):
        for array in (spread, counts):
            array[kept : kept + more] = array[first : first + more]
        kept += more
    for array in (spread, counts):
        array.resize(kept, refcheck=False)  # gives the rest back and copies nothing
    return spread, counts


def mixes(values: np.ndarray) -> np.ndarray:
    """Values (uint64) spread evenly over 64 bits, each to another one."""
    with np.errstate(over="ignore"):
        return (values ^ (values >> _HALF)) * _SPREAD


def _partition(values: np.ndarray, bits: int, threads: int, pool: ThreadPoolExecutor) -> tuple[np.ndarray, np.ndarray]:
    """The mixes of values in 2^bits parts by their top bits: (bounds of the parts, the mixes by part)."""
    parts, shift = 1 << bits, np.uint64(64 - bits)
    edges = np.linspace(0, len(values), threads + 1).astype(np.int64)
    starts = np.zeros((threads, parts), np.int64)
    spread = np.empty_like(values)
    list(pool.map(lambda i: _histogram(values, edges[i], edges[i + 1], shift, starts[i]), range(threads)))
    bounds = np.concatenate([[0], np.cumsum(starts.sum(axis=0))]).astype(np.int64)
    starts[:] = bounds[:-1] + np.cumsum(starts, axis=0) - starts
    list(pool.map(lambda i: _scatter(values, edges[i], edges[i + 1], shift, starts[i], spread), range(threads)))
    return bounds, spread


@jit
def _mix(value):
    """A value spread over 64 bits, small numbers and multiples too; another one for every other value."""
    return (value ^ (value >> _HALF)) * _SPREAD


@jit
def _unmix(mix):
    value = mix * _GATHER
    return value ^ (value >> _HALF)


@entry
def _histogram(values, begin, end, shift, sizes):
    for i in range(begin, end):
        sizes[_mix(values[i]) >> shift] += 1


@entry
def _scatter(values, begin, end, shift, at, spread):
    for i in range(begin, end):
        mix = _mix(values[i])
        part = mix >> shift
        spread[at[part]] = mix
        at[part] += 1


def _count_parts(spread, bounds, bits, begin, end, counts) -> int:
    """Count the parts ``begin`` … ``end − 1``: how many distinct values there are. The table may grow until it is half empty."""
    most = int(np.diff(bounds[begin : end + 1]).max(initial=0))
    slots = max(8 << _LINE_BITS, 2 << most.bit_length())
    table = arrays.zeros(slots, np.uint64), np.zeros(slots, np.uint32)
    return int(_count(spread, bounds, np.uint64(bits), begin, end, *table, counts))


@intrinsic
def _find(typing, slot, line, value, mask):
    """The first slot of a line of eight that holds a value, or else the first empty one, or else 8."""

    def make(context, builder, signature, arguments):
        slots, line, value, mask = arguments
        data = context.make_array(signature.args[0])(context, builder, slots).data
        held = builder.load(builder.bitcast(builder.gep(data, [line]), _LINE.as_pointer()), align=8)
        here = builder.icmp_unsigned("==", builder.and_(held, _eight(builder, mask)), _eight(builder, value))
        empty = builder.icmp_unsigned("==", held, ir.Constant(_LINE, [0] * 8))
        found = builder.zext(builder.bitcast(builder.or_(here, empty), ir.IntType(8)), _WORD)
        return builder.cttz(builder.or_(found, ir.Constant(_WORD, 1 << 8)), ir.Constant(ir.IntType(1), 1))

    return types.uint64(slot, types.uint64, types.uint64, types.uint64), make


def _eight(builder, word):
    """A line that holds the word eight times."""
    one = builder.insert_element(ir.Constant(_LINE, ir.Undefined), word, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8))


@entry
def _count(spread, bounds, bits, begin, end, slot, over, counts):
    low = np.uint64(64) - bits  # bits of a slot that tell a value from others of its part; the others count it
    mask, full = (_ONE << low) - _ONE, np.uint32((_ONE << bits) - _ONE)
    line_bits = np.uint64(_LINE_BITS)  # of the table: grows with the distinct values of a part, of which parts have about as many
    out = np.uint64(bounds[begin])
    for part in range(begin, end):
        values = spread[bounds[part] : bounds[part + 1]]
        overflows = -1
        while overflows < 0:
            overflows = _fill(values, slot[: _EIGHT << line_bits], over, low, low - line_bits, slot.size)
            line_bits += np.uint64(overflows < 0)
        kept = _compact(slot[: _EIGHT << line_bits], over, overflows > 0)
        top = np.uint64(part) << low
        for i in range(kept):
            spread[out + i] = _unmix(top | (slot[i] & mask))
            counts[out + i] = np.uint32(slot[i] >> low)
            slot[i] = _EMPTY
        if overflows:
            for i in range(kept):
                counts[out + i] += full * over[i]
                over[i] = 0
        out += kept
    return out - np.uint64(bounds[begin])


@jit
def _fill(values, slot, over, low, shift, most):
    """Count values in a table: how many counts overflowed. If it should be larger, for too many lines are full: −1, and it is empty."""
    mask, once, last_slot = (_ONE << low) - _ONE, _ONE << low, np.uint64(slot.size) - _ONE
    patience = values.size >> 4 if slot.size < most else values.size * slot.size
    overflows = 0
    for k in range(np.uint64(values.size)):
        value = values[k] & mask
        line = (value >> shift) << _THREE
        i = _find(slot, line, value, mask)  # pyright: ignore[reportCallIssue]
        while i == _EIGHT and patience >= 0:
            patience -= 1
            line = (line + _EIGHT) & last_slot
            i = _find(slot, line, value, mask)  # pyright: ignore[reportCallIssue]
        if patience < 0:
            break
        i |= line
        held = slot[i] | value
        if held >= ~mask:
            over[i] += np.uint32(1)
            overflows += 1
            held = value
        slot[i] = held + once
    if patience < 0:
        for i in range(slot.size):
            slot[i] = _EMPTY
            over[i] = 0
        return -1
    return overflows


@jit
def _compact(slot, over, has_overflow):
    """Bring the slots in use to the front: how many there are."""
    kept = np.uint64(0)
    for i in range(np.uint64(slot.size)):
        held = slot[i]
        slot[i] = _EMPTY
        slot[kept] = held
        if has_overflow:
            more = over[i]
            over[i] = 0
            over[kept] = more
        kept += np.uint64(held != _EMPTY)
    return kept
