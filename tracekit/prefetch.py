"""A word to the processor about memory that will be needed soon: page numbers come in no order, and caches are small."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tracekit.kernel import is_compiled


def _fetch(typing_context, array, index):
    """``prefetch(array, index)``: fetch an element of a one-dimensional array into the cache, for a write to come."""
    byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)

    def code(context, builder, signature, arguments):
        array_type, index_type = signature.args
        struct = context.make_array(array_type)(context, builder, arguments[0])
        if array_type.layout == "C":
            stride = ir.Constant(ir.IntType(64), context.get_abi_sizeof(context.get_data_type(array_type.dtype)))
        else:
            (stride,) = cgutils.unpack_tuple(builder, struct.strides, 1)
        offset = builder.mul(context.cast(builder, arguments[1], index_type, types.intp), stride)
        address = builder.gep(builder.bitcast(struct.data, byte), [offset])
        function = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        builder.call(cgutils.get_or_insert_function(builder.module, function, "llvm.prefetch.p0"), [address, word(1), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(array, index), code


def _nothing(array, index):
    """Uncompiled there is nothing to be had from that."""


#: ``prefetch(array, index)``. Any index will do: nothing is read, and what does not exist is not fetched.
prefetch: Any = intrinsic(_fetch) if is_compiled() else _nothing  # pyright: ignore[reportArgumentType]
