"""What numba lacks: class masks of 64 bytes at once, unaligned loads of 8 bytes, and counting bits.

They are plain LLVM vector instructions, which LLVM lowers to whatever the machine has (AVX-512, AVX2, NEON, SSE).
"""
# The bodies are what numba calls while it compiles: its contexts, builders and values have no types to annotate.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

import sys
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_BYTE = ir.IntType(8)
_LONG = ir.IntType(64)
_VECTOR = ir.VectorType(_BYTE, 64)


def _all(value: int) -> ir.Constant:
    return ir.Constant(_VECTOR, [value] * 64)


@intrinsic
def classify_64(typingctx, source, start, target, target_start, case_bit):
    """Write 64 bytes of `source`, ASCII letters in lower case, to `target`; return three masks of what they are.

    Args:
        typingctx: numba's.
        source: uint8 array, of which 64 bytes from `start` exist.
        start: the first byte.
        target: uint8 array with room for 64 bytes from `target_start`.
        target_start: where the first byte goes.
        case_bit: 32 to fold case, 0 to leave it.

    Returns:
        uint64 masks, bit i for byte i: ASCII letter, digit or underscore; ASCII space (as `str.isspace`); above 0x7F.
    """
    signature = types.UniTuple(types.uint64, 3)(source, types.int64, target, types.int64, types.uint8)
    return signature, _emit_classify


def _emit_classify(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ANN401
    source, start, target, target_start, case_bit = args
    data = builder.load(_pointer(context, builder, signature.args[0], source, start, _VECTOR), align=1)
    bits = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), case_bit, ir.Constant(ir.IntType(32), 0))
    bits = builder.shuffle_vector(bits, bits, ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64))

    def between(low: int, high: int) -> Any:  # noqa: ANN401
        return builder.icmp_unsigned("<=", builder.sub(data, _all(low)), _all(high - low))

    upper = between(ord("A"), ord("Z"))
    lowered = builder.or_(data, builder.select(upper, bits, _all(0)))
    builder.store(lowered, _pointer(context, builder, signature.args[2], target, target_start, _VECTOR), align=1)
    letter = builder.or_(upper, between(ord("a"), ord("z")))
    word = builder.or_(letter, between(ord("0"), ord("9")))
    word = builder.or_(word, builder.icmp_unsigned("==", data, _all(ord("_"))))
    space = builder.or_(between(0x09, 0x0D), between(0x1C, 0x20))
    high = builder.icmp_unsigned(">=", data, _all(0x80))
    masks = [builder.bitcast(mask, _LONG) for mask in (word, space, high)]
    return context.make_tuple(builder, signature.return_type, masks)


@intrinsic
def load_8(typingctx, source, start):
    """Return 8 bytes of a uint8 array from any place, little-endian, as uint64."""

    def emit(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1], _LONG)
        value = builder.load(pointer, align=1)
        return builder.bswap(value) if sys.byteorder == "big" else value

    return types.uint64(source, types.int64), emit


@intrinsic
def load_8_reversed(typingctx, source, start):
    """Return 8 bytes of a uint8 array from any place, big-endian, as uint64."""

    def emit(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1], _LONG)
        value = builder.load(pointer, align=1)
        return value if sys.byteorder == "big" else builder.bswap(value)

    return types.uint64(source, types.int64), emit


@intrinsic
def lowest_bit(typingctx, mask):
    """Return the index of the lowest bit of a uint64 that is set; 64 if none is."""

    def emit(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), emit


@intrinsic
def count_bits(typingctx, mask):
    """Return how many bits of a uint64 are set."""

    def emit(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), emit


def _pointer(context: Any, builder: Any, kind: Any, value: Any, index: Any, pointee: Any) -> Any:  # noqa: ANN401
    array = context.make_array(kind)(context, builder, value)
    return builder.bitcast(cgutils.gep_inbounds(builder, array.data, index), pointee.as_pointer())
