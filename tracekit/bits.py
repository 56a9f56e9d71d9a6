"""Bits of 64-bit words, each by one instruction of the processor."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tracekit.kernel import is_compiled


def _popcount(typing_context, word):
    return types.int64(types.uint64), lambda context, builder, signature, arguments: builder.ctpop(arguments[0])


def _trailing_zeros(typing_context, word):
    undefined_for_zero = ir.Constant(ir.IntType(1), 1)
    return types.int64(types.uint64), lambda context, builder, signature, arguments: builder.cttz(arguments[0], undefined_for_zero)


def _leading_zeros(typing_context, word):
    undefined_for_zero = ir.Constant(ir.IntType(1), 1)

    def code(context, builder, signature, arguments):
        return builder.sub(ir.Constant(ir.IntType(64), 63), builder.ctlz(arguments[0], undefined_for_zero))

    return types.int64(types.uint64), code


def _count(word: Any) -> int:
    return int(word).bit_count()


def _last(word: Any) -> int:
    return (int(word) & -int(word)).bit_length() - 1


def _first(word: Any) -> int:
    return int(word).bit_length() - 1


#: ``ones(word)``: how many bits of a uint64 are set; ``lowest(word)`` and ``highest(word)``: the number of such a bit, where one is.
ones: Any = intrinsic(_popcount) if is_compiled() else _count  # pyright: ignore[reportArgumentType]
lowest: Any = intrinsic(_trailing_zeros) if is_compiled() else _last  # pyright: ignore[reportArgumentType]
highest: Any = intrinsic(_leading_zeros) if is_compiled() else _first  # pyright: ignore[reportArgumentType]
