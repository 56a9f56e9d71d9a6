"""XXH3-64 of memory pages, as fast as memory is read: what captures and imports of images store instead of contents.

The long-input branch of XXH3 (xxHash specification 0.2, section "XXH3 algorithm overview") keeps eight 64-bit
accumulators. Here they are one LLVM vector, which a call of a C library for each page cannot keep up with.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xxhash
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from tracekit.kernel import entry, is_compiled, jit
from tracekit.units import PAGE_BYTES

#: The shortest input that goes through the long-input branch.
LEAST_BYTES = 241
#: Fewer pages than this are not worth a second thread.
_PAGES_A_THREAD = 256

_SECRET_BYTES, _STRIPE, _BLOCK, _FINISH = 192, 64, 1024, 11
_PRIME32_1, _PRIME32_2, _PRIME32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
_PRIME64_1, _PRIME64_2, _PRIME64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_PRIME64_4, _PRIME64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_START = (_PRIME32_3, _PRIME64_1, _PRIME64_2, _PRIME64_3, _PRIME64_4, _PRIME32_2, _PRIME64_5, _PRIME32_1)
_LENGTH_PRIME, _AVALANCHE = np.uint64(_PRIME64_1), np.uint64(0x165667919E3779F9)
_S32, _S37, _LOW = np.uint64(32), np.uint64(37), np.uint64(0xFFFFFFFF)

#: XXH3's default secret (xxHash specification 0.2).
_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)


def page_digests(buffer: Any, page_bytes: int = PAGE_BYTES, key: bytes | None = None, threads: int | None = None) -> np.ndarray:
    """XXH3-64 of every page in ``buffer`` (anything with the buffer protocol), as uint64.

    With a ``key`` the digests are XXH3-64 seeded by ``key_seed(key)``: equal pages of captures made with one key are still
    equal, and nobody without the key can test whether a known page is among them (unless he breaks XXH3, which is no
    cryptographic hash). ``threads`` is all processors if not given. Raises ValueError if the buffer is no whole number of
    pages, or if pages have less than 241 bytes.
    """
    pages = buffer.reshape(-1).view(np.uint8) if isinstance(buffer, np.ndarray) else np.frombuffer(buffer, np.uint8)
    if page_bytes < LEAST_BYTES:
        raise ValueError(f"pages of {page_bytes} bytes, expected at least {LEAST_BYTES}")
    if len(pages) % page_bytes:
        raise ValueError(f"{len(pages)} bytes are no whole number of pages of {page_bytes} bytes")
    count = len(pages) // page_bytes
    out = np.empty(count, np.uint64)
    seed = 0 if key is None else key_seed(key)
    if not is_compiled():
        view = np.ascontiguousarray(pages).data
        out[:] = [xxhash.xxh3_64_intdigest(view[i * page_bytes : (i + 1) * page_bytes], seed) for i in range(count)]
        return out
    pages = np.ascontiguousarray(pages)[:]
    pages.flags.writeable = False  # one type of array, whoever owns the memory
    secret = _seeded_secret(seed)
    wanted = threads if threads is not None else len(os.sched_getaffinity(0))
    parts = max(1, min(wanted, count // _PAGES_A_THREAD))
    edges = [count * i // parts for i in range(parts + 1)]

    finish = np.frombuffer(secret.tobytes(), np.uint64, 8, _FINISH)

    def run(i: int) -> None:
        _digest_pages(pages, page_bytes, secret, finish, np.empty(8, np.uint64), edges[i], edges[i + 1], out)

    if parts == 1:
        run(0)
    else:
        with ThreadPoolExecutor(parts) as pool:
            list(pool.map(run, range(parts)))
    return out


def key_seed(key: bytes) -> int:
    """The XXH3 seed that stands for a key of any length: the first 8 bytes of its BLAKE2b digest."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")


def _seeded_secret(seed: int) -> np.ndarray:
    """The secret that a seed makes of the default one (XXH3 adds it to even words and subtracts it from odd ones)."""
    words = np.frombuffer(_SECRET, np.uint64).copy()
    words[0::2] += np.uint64(seed)
    words[1::2] -= np.uint64(seed)
    return words.view(np.uint8)


class _Lanes(types.Type):
    """Eight 64-bit accumulators."""

    def __init__(self) -> None:
        super().__init__("Lanes")


_LANES = _Lanes()
_I64 = ir.IntType(64)
_VECTOR = ir.VectorType(_I64, 8)


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _splat(*values: int) -> ir.Constant:
    return ir.Constant(_VECTOR, [ir.Constant(_I64, value) for value in (values * 8)[:8]])


def _load(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    place = builder.bitcast(builder.gep(data, [offset]), _VECTOR.as_pointer())
    return builder.load(place, align=1)


@intrinsic
def _start(typing):
    return _LANES(), lambda context, builder, signature, arguments: _splat(*_START)


@intrinsic
def _accumulate(typing, lanes, data, place, secret, where):
    """Take in the 64 bytes at ``data[place]``: each lane gains a product of itself, and its neighbour's bytes."""

    def make(context, builder, signature, arguments):
        words = _load(context, builder, signature.args[1], arguments[1], arguments[2])
        keyed = builder.xor(words, _load(context, builder, signature.args[3], arguments[3], arguments[4]))
        product = builder.mul(builder.and_(keyed, _splat(0xFFFFFFFF)), builder.lshr(keyed, _splat(32)))
        neighbours = ir.Constant(ir.VectorType(ir.IntType(32), 8), [i ^ 1 for i in range(8)])
        swapped = builder.shuffle_vector(words, words, neighbours)
        return builder.add(builder.add(arguments[0], swapped), product)

    return _LANES(lanes, data, types.intp, secret, types.intp), make


@intrinsic
def _scramble(typing, lanes, secret, where):
    """Mix the lanes at the end of a block."""

    def make(context, builder, signature, arguments):
        lanes = builder.xor(arguments[0], builder.lshr(arguments[0], _splat(47)))
        lanes = builder.xor(lanes, _load(context, builder, signature.args[1], arguments[1], arguments[2]))
        return builder.mul(lanes, _splat(_PRIME32_1))

    return _LANES(lanes, secret, types.intp), make


@intrinsic
def _store(typing, lanes, words):
    """Put the lanes into an array of eight words."""

    def make(context, builder, signature, arguments):
        data = context.make_array(signature.args[1])(context, builder, arguments[1]).data
        builder.store(arguments[0], builder.bitcast(data, _VECTOR.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(lanes, words), make


@jit
def _folded(a, b):
    """The halves of the 128-bit product of two words, xored."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _S32, b & _LOW, b >> _S32
    low, cross = a_low * b_low, a_high * b_low
    middle = (low >> _S32) + (cross & _LOW) + a_low * b_high
    return ((middle << _S32) | (low & _LOW)) ^ ((cross >> _S32) + (middle >> _S32) + a_high * b_high)


@entry
def _digest_pages(data, page_bytes, secret, finish, lanes, first, end, out):
    """Digest pages ``first`` … ``end − 1``. ``finish`` is the secret's part for merging, ``lanes`` room for eight words."""
    blocks = (page_bytes - 1) // _BLOCK
    stripes = (page_bytes - 1 - blocks * _BLOCK) // _STRIPE
    for page in range(first, end):
        place = page * page_bytes
        acc = _start()  # pyright: ignore[reportCallIssue]
        for block in range(blocks):
            for stripe in range(_BLOCK // _STRIPE):
                acc = _accumulate(acc, data, place + block * _BLOCK + stripe * _STRIPE, secret, stripe * 8)
            acc = _scramble(acc, secret, _SECRET_BYTES - _STRIPE)
        for stripe in range(stripes):
            acc = _accumulate(acc, data, place + blocks * _BLOCK + stripe * _STRIPE, secret, stripe * 8)
        acc = _accumulate(acc, data, place + page_bytes - _STRIPE, secret, _SECRET_BYTES - _STRIPE - 7)
        _store(acc, lanes)
        digest = np.uint64(page_bytes) * _LENGTH_PRIME
        for i in range(0, 8, 2):
            digest += _folded(lanes[i] ^ finish[i], lanes[i + 1] ^ finish[i + 1])
        digest = (digest ^ (digest >> _S37)) * _AVALANCHE
        out[page] = digest ^ (digest >> _S32)
