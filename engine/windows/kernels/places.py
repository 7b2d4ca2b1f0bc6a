"""Arrays by their address, and memory asked for before it is needed.

State of many event logs goes into one kernel call as a table of addresses: a call from Python with 16 arrays took
longer than the work of a row. Whoever fills the table keeps the arrays alive (engine/windows/plan.py).
"""

from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import carray

from engine.windows.kernels.layout import I4, I8

tools: Any = cgutils


def _fetch(_typing: Any, array: Any, _place: Any) -> Any:
    """Begin to bring a word (array, place) of a one-dimensional array into the cache, and wait for nothing.

    A load would do so too, but the processor can have few unfinished loads behind it before it stops; these it can
    forget at once. A place outside of the array does no harm.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        at = builder.bitcast(builder.gep(data, [args[1]]), tools.voidptr_t)
        int32 = tools.int32_t
        kind = tools.ir.FunctionType(tools.ir.VoidType(), [tools.voidptr_t, int32, int32, int32])
        function = tools.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [at, int32(0), int32(3), int32(1)])  # to read, keep, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _pointer(_typing: Any, _address: Any) -> Any:
    """A pointer from an integer."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], tools.voidptr_t)

    return types.voidptr(types.int64), generate


def _lent(_typing: Any, array: Any) -> Any:
    """The same array, without a share in its memory.

    A kernel that takes arrays counts itself among their owners as it begins, and takes itself off again as it ends: 20
    atomic operations, 0.2 us. Whoever lends must hold the array until the borrower is done.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        array.meminfo = tools.get_null_value(array.meminfo.type)
        array.parent = tools.get_null_value(array.parent.type)
        return array._getvalue()  # noqa: SLF001  how numba itself hands on an array

    return array(array), generate


lent: Any = intrinsic(_lent)
fetch: Any = intrinsic(_fetch)
pointer: Any = intrinsic(_pointer)


@njit(inline="always")
def words_at(address: int, n: int) -> I8:
    """The `n` int64 that begin at `address`."""
    return carray(pointer(address), (n,), np.int64)


@njit(inline="always")
def codes_at(address: int, n: int) -> I4:
    """The `n` int32 that begin at `address`."""
    return carray(pointer(address), (n,), np.int32)
