"""SHA-256 of sixteen short messages at once, modulo a number of buckets: DSIR's hash.

A round works on 16 lanes of 32 bits, where Python calls hashlib for each message, formats 64 hex digits and reads them
back. The two shift registers of the definition (FIPS 180-4, section 6.2) are written as two sequences: `a` and
`e` of every round; the other six variables are their values one to three rounds before.
"""
# ruff: noqa: ANN001, ANN201, ANN202, ANN401
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types, uint8, uint32, uint64
from numba.core import cgutils
from numba.extending import intrinsic

from hf_curation.sampling.kernels.blocks import load_8_reversed
from hf_curation.sampling.kernels.jit import compiled

LANES = 16
SHORT = 55
"""Bytes of the longest message that fits one block, with its end mark and its length."""

_VECTOR = ir.VectorType(ir.IntType(32), LANES)


def _fractions(root: float, count: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Return the first 32 bits of the fractions of roots of the first primes: integer arithmetic, so exact."""
    primes: list[int] = []
    candidate = 2
    while len(primes) < count:
        if all(candidate % prime for prime in primes):
            primes.append(candidate)
        candidate += 1
    power = round(1 / root)
    return np.array([_integer_root(prime << 32 * power, power) & 0xFFFFFFFF for prime in primes], np.uint32)


def _integer_root(value: int, power: int) -> int:
    low, high = 0, 1 << 64
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**power <= value else (low, middle)
    return low


START = _fractions(1 / 2, 8)
CONSTANTS = _fractions(1 / 3, 64)


@intrinsic
def sha_schedule(typingctx, words, t):
    """Write row t of the message schedule, uint32[64, LANES], from the rows before."""

    def emit(context, builder, signature, args):
        def row(back):
            return _row(context, builder, signature.args[0], args[0], builder.sub(args[1], _long(back)))

        w2, w7, w15, w16 = (builder.load(row(back), align=4) for back in (2, 7, 15, 16))
        small0 = _xor3(builder, _rotate(builder, w15, 7), _rotate(builder, w15, 18), builder.lshr(w15, _all(3)))
        small1 = _xor3(builder, _rotate(builder, w2, 17), _rotate(builder, w2, 19), builder.lshr(w2, _all(10)))
        total = builder.add(builder.add(w16, small0), builder.add(w7, small1))
        builder.store(total, row(0), align=4)
        return context.get_dummy_value()

    return types.void(words, types.int64), emit


@intrinsic
def sha_round(typingctx, a_rows, e_rows, words, t, constant):
    """Write row t + 4 of `a` and `e`, uint32[68, LANES], from the four rows before and row t of the schedule."""

    def emit(context, builder, signature, args):
        def load(which, ahead):
            place = builder.add(args[3], _long(ahead))
            return builder.load(_row(context, builder, signature.args[which], args[which], place), align=4)

        a, b, c, d = (load(0, ahead) for ahead in (3, 2, 1, 0))
        e, f, g, h = (load(1, ahead) for ahead in (3, 2, 1, 0))
        big1 = _xor3(builder, *(_rotate(builder, e, by) for by in (6, 11, 25)))
        big0 = _xor3(builder, *(_rotate(builder, a, by) for by in (2, 13, 22)))
        choice = builder.xor(g, builder.and_(e, builder.xor(f, g)))
        majority = builder.or_(builder.and_(a, b), builder.and_(c, builder.or_(a, b)))
        k = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), args[4], ir.Constant(ir.IntType(32), 0))
        k = builder.shuffle_vector(k, k, ir.Constant(_VECTOR, [0] * LANES))
        t1 = builder.add(builder.add(builder.add(h, big1), builder.add(choice, k)), load(2, 0))
        after = builder.add(args[3], _long(4))
        new_a = builder.add(t1, builder.add(big0, majority))
        builder.store(new_a, _row(context, builder, signature.args[0], args[0], after), align=4)
        builder.store(builder.add(d, t1), _row(context, builder, signature.args[1], args[1], after), align=4)
        return context.get_dummy_value()

    return types.void(a_rows, e_rows, words, types.int64, types.uint32), emit


class Lanes(NamedTuple):
    """Registers for 16 messages.

    They come from outside the kernels, so that LLVM does not know how many rounds there are: it would unroll them,
    three times over, and take a minute.
    """

    state: Any
    """uint32[8, LANES]"""
    words: Any
    """uint32[64, LANES]: the message schedule; rows 0 to 15 are the block."""
    a_rows: Any
    """uint32[68, LANES]"""
    e_rows: Any
    """uint32[68, LANES]"""


def make_lanes() -> Lanes:
    """Return registers."""
    return Lanes(*(np.zeros((rows, LANES), np.uint32) for rows in (8, 64, 68, 68)))


@compiled
def compress(lanes: Any) -> None:
    """Take one block of every lane into the state."""
    state, words, a_rows, e_rows = lanes
    for t in range(16, len(words)):
        sha_schedule(words, t)
    for i in range(4):
        for lane in range(LANES):
            a_rows[i, lane], e_rows[i, lane] = state[3 - i, lane], state[7 - i, lane]
    for t in range(len(words)):
        sha_round(a_rows, e_rows, words, t, CONSTANTS[t])
    for i in range(4):
        for lane in range(LANES):
            state[i, lane] += a_rows[67 - i, lane]
            state[i + 4, lane] += e_rows[67 - i, lane]


@compiled
def fill_lane(message: Any, start: int, lane: int, words: Any) -> None:
    """Write 64 bytes of a message as rows 0 to 15 of one lane, big-endian."""
    for row in range(0, 16, 2):
        eight = load_8_reversed(message, start + 4 * row)
        words[row, lane] = uint32(eight >> uint64(32))
        words[row + 1, lane] = uint32(eight & uint64(0xFFFFFFFF))


@compiled
def pad(message: Any, length: int) -> Any:
    """Write the end mark and the length behind a message; return its number of blocks. Needs 72 bytes of room."""
    num_blocks = (length + 8) // 64 + 1
    for at in range(length, 64 * num_blocks - 8):
        message[at] = uint8(0)
    message[length] = uint8(0x80)
    for i in range(8):
        message[64 * num_blocks - 1 - i] = uint8((uint64(length) * uint64(8)) >> uint64(8 * i))
    return num_blocks


@compiled
def reset(state: Any) -> None:
    """Write the initial value to every lane."""
    for i in range(8):
        for lane in range(LANES):
            state[i, lane] = START[i]


@compiled
def lane_bucket(state: Any, lane: int, num_buckets: Any) -> Any:
    """Return the digest of a lane, a big-endian number of 256 bits, modulo `num_buckets` (uint64, at most 2^28)."""
    remainder = uint64(0)
    for i in range(8):
        remainder = (remainder << uint64(32) | uint64(state[i, lane])) % num_buckets
    return remainder


def _long(value: int) -> ir.Constant:
    return ir.Constant(ir.IntType(64), value)


def _all(value: int) -> ir.Constant:
    return ir.Constant(_VECTOR, [value] * LANES)


def _rotate(builder: Any, value: Any, by: int) -> Any:
    return builder.or_(builder.lshr(value, _all(by)), builder.shl(value, _all(32 - by)))


def _xor3(builder: Any, x: Any, y: Any, z: Any) -> Any:
    return builder.xor(builder.xor(x, y), z)


def _row(context: Any, builder: Any, kind: Any, value: Any, row: Any) -> Any:
    array = context.make_array(kind)(context, builder, value)
    pointer = cgutils.gep_inbounds(builder, array.data, builder.mul(row, _long(LANES)))
    return builder.bitcast(pointer, _VECTOR.as_pointer())
