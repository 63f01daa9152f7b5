"""Counts of the exponents of float32s, as the raw 8-bit field of the pattern, which are added to a row at the end.

Two ways count a block. One store for each value works for all values, and takes more time than all sums together. Where
the fields of a block lie within a window of 32, a value is one bit of a word, at the place of its field, and words are
added up column by column with logical operations: `planes[0]` has the lowest bit of each count, `planes[1]` the next,
for 16 lanes side by side (bit-sliced, carry-save adders; Muła, Kurz, Lemire, "Faster population counts using AVX2
instructions", 2018). That takes a quarter of the time, however many fields occur.
"""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
# pyrefly: ignore-errors[missing-argument, unsupported-operation]
# (numba passes an intrinsic's first argument itself)

import numpy as np
from llvmlite import ir
from numba import int64, njit, types, uint32
from numba.core import cgutils
from numba.extending import intrinsic

from tandv.measure._lanes import and32, shr32
from tandv.measure._row_sums import COUNTS
from tandv.statistics import LOWEST

BLOCK = 4096  # values that are counted in a window at once; half of the first-level cache of most processors
_SPAN = 32  # fields of a window
_WINDOWS = 3  # one below the other; a block that reaches further is counted by stores
_ROOM = 28  # the first reaches this far below the largest field: larger values come seldom, smaller ones often
_LANES = 16
_FOLDS = 4  # half of the lanes are added to the others so often
_FIRST = COUNTS + 1 - 127 - LOWEST  # where a row has the count of field 1
_BASE, _LOW, _HIGH, _BLOCKS = 0, 1, 2, 3  # state: window's first field, fields that were stored, blocks of each window
_NONE, _NEVER = -1000, -1001  # as a first field: none is chosen yet; too small a tensor

_WORD, _INDEX = ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_WORD, _LANES)
_IN_BLOCK = 8  # planes that the 256 vectors of a block are added to; they carry one vector of weight 2^8
_TURNS = 16  # of 16 vectors each
_PLANES = 40


@njit(nogil=True)
def new_counter(largest):
    """Return the memory of a counter of tensors of at most so many elements.

    It is: counts by field; planes of each window, and carries that wait for a second one; the state.
    """
    planes = _PLANES if largest >= BLOCK else 0
    words = np.zeros(1024 + _WINDOWS * 2 * planes * _LANES + 16, np.uint32)  # one allocation, which takes most time
    fields, windows, state = words[:1024], words[1024:-16], words[-16:]
    return fields.reshape(4, 256), windows.reshape(_WINDOWS, 2, planes, _LANES), state.view(np.int64)


@njit(nogil=True)
def begin(counter, size):
    """Begin to count a tensor of so many elements."""
    state = counter[2]
    state[_BASE] = _NONE if size >= BLOCK else _NEVER
    state[_LOW], state[_HIGH] = 255, 0


@njit(nogil=True)
def count(v, lowest, highest, counter, ints):
    """Count the fields of a block, whose non-zero values have fields from `lowest` to `highest`."""
    fields, windows, state = counter
    if v.size == BLOCK and lowest > 0 and state[_BASE] != _NEVER:
        if state[_BASE] == _NONE or highest >= state[_BASE] + _SPAN:
            _end_windows(windows, state, ints)
            state[_BASE] = highest - _ROOM
        if state[_BASE] - lowest <= (_WINDOWS - 1) * _SPAN:
            for window in range(_WINDOWS):
                base = state[_BASE] - window * _SPAN
                if highest >= base:
                    _count_in_window(v, base, windows[window], state[_BLOCKS + window])
                    state[_BLOCKS + window] += 1
                if lowest >= base:
                    return
    _count_by_store(v, fields)
    state[_LOW], state[_HIGH] = min(state[_LOW], max(1, lowest)), max(state[_HIGH], highest)


@njit(nogil=True)
def end(counter, ints):
    """Add what was counted to a row, and forget it."""
    fields, windows, state = counter
    _end_windows(windows, state, ints)
    for field in range(state[_LOW], state[_HIGH] + 1):
        for k in range(4):
            ints[_FIRST + field - 1] += int64(fields[k, field])
            fields[k, field] = uint32(0)


@njit(nogil=True)
def _count_by_store(v, fields):
    # Four counts side by side: a value that follows its equal does not wait for the count to be stored.
    even = v.size & ~3
    for i in range(0, even, 4):
        fields[0, and32(shr32(v[i], uint32(23)), uint32(255))] += uint32(1)
        fields[1, and32(shr32(v[i + 1], uint32(23)), uint32(255))] += uint32(1)
        fields[2, and32(shr32(v[i + 2], uint32(23)), uint32(255))] += uint32(1)
        fields[3, and32(shr32(v[i + 3], uint32(23)), uint32(255))] += uint32(1)
    for i in range(even, v.size):  # (of zeros, field 0, and of what is not finite, 255, counts are not read)
        fields[0, and32(shr32(v[i], uint32(23)), uint32(255))] += uint32(1)


@njit(nogil=True)
def _count_in_window(v, base, planes, blocks):
    """Count a block in a window that has counted so many blocks."""
    size = 4 * _LANES  # bytes of a plane
    start = planes.ctypes.data
    carry = start + size * (_PLANES - 1)  # the last plane is never reached, and serves as memory
    _add_block(v.ctypes.data, uint32(base), start, carry)
    # A plane takes two carries at a time: the first of them waits for the second.
    plane = _IN_BLOCK
    while blocks & 1:
        _add_carries(start + size * plane, start + size * (plane + _PLANES), carry)
        plane += 1
        blocks >>= 1
    for lane in range(_LANES):
        planes[1, plane, lane] = planes[0, _PLANES - 1, lane]


@njit(nogil=True)
def _end_windows(windows, state, ints):
    """Add the counts of the windows to a row, and forget them."""
    size = 4 * _LANES
    for window in range(_WINDOWS):
        blocks = state[_BLOCKS + window]
        if not blocks:
            continue
        used = _IN_BLOCK
        while blocks:
            used += 1
            blocks >>= 1
        planes = windows[window]
        _sum_lanes(planes.ctypes.data, planes.ctypes.data + size * _PLANES, used)
        base = state[_BASE] - window * _SPAN
        for k in range(max(0, 1 - base), min(_SPAN, 255 - base)):
            total = int64(0)
            for plane in range(used + _FOLDS + 1):
                total += int64(and32(shr32(planes[0, plane, 0], uint32(k)), uint32(1))) << plane
            ints[_FIRST + base + k - 1] += total
        planes[:, : used + _FOLDS + 1] = 0
        state[_BLOCKS + window] = 0


def _all_lanes(number: int) -> ir.Constant:
    return ir.Constant(_VECTOR, [number] * _LANES)


def _pointer(builder, address):
    return builder.inttoptr(address, _VECTOR.as_pointer())


def _vector(builder, pointer, index):
    return builder.load(builder.gep(pointer, [index]), align=4)


def _adder(builder, x, y, z):
    """Return sum and carry of three bits at each place."""
    differ = builder.xor(x, y)
    return builder.xor(differ, z), builder.or_(builder.and_(x, y), builder.and_(differ, z))


def _add(builder, planes, vectors):
    """Add 2^n vectors to n planes, and return the vector that is carried."""
    for plane in planes:
        carries = []
        for x, y in zip(vectors[::2], vectors[1::2], strict=True):
            low, carry = _adder(builder, builder.load(plane), x, y)
            builder.store(low, plane)
            carries.append(carry)
        vectors = carries
    return vectors[0]


@intrinsic
def _add_block(context, values, base, planes, carry):
    """Add a block of values, as one bit each, to the planes at an address; store what is carried at another."""

    def build(context, builder, signature, arguments):
        source, planes, carry = (_pointer(builder, arguments[i]) for i in (0, 2, 3))
        none = ir.Constant(_VECTOR, ir.Undefined)
        base = builder.shuffle_vector(builder.insert_element(none, arguments[1], _WORD(0)), none, _all_lanes(0))
        sums = [cgutils.alloca_once(builder, _VECTOR) for _ in range(_IN_BLOCK)]  # which become registers
        for i, place in enumerate(sums):
            builder.store(_vector(builder, planes, _INDEX(i)), place)
        carries = cgutils.alloca_once(builder, _VECTOR, size=_TURNS)
        with cgutils.for_range(builder, _INDEX(_TURNS)) as loop:
            bits = []
            for i in range(16):
                words = _vector(builder, source, builder.add(builder.mul(loop.index, _INDEX(16)), _INDEX(i)))
                field = builder.and_(builder.lshr(words, _all_lanes(23)), _all_lanes(255))
                place = builder.sub(field, base)
                bit = builder.shl(_all_lanes(1), place)
                inside = builder.icmp_unsigned("<", place, _all_lanes(_SPAN))  # zero and what is not finite are not
                bits.append(builder.select(inside, bit, _all_lanes(0)))
            builder.store(_add(builder, sums[:4], bits), builder.gep(carries, [loop.index]))
        of_turns = [builder.load(builder.gep(carries, [_INDEX(i)])) for i in range(_TURNS)]
        builder.store(_add(builder, sums[4:], of_turns), carry, align=4)
        for i, place in enumerate(sums):
            builder.store(builder.load(place), builder.gep(planes, [_INDEX(i)]), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.uint32, types.int64, types.int64), build


@intrinsic
def _add_carries(context, plane, waiting, carry):
    """Add to a plane the carry that waits and the one that comes; leave none waiting, and what is carried on."""

    def build(context, builder, signature, arguments):
        plane, waiting, carry = (_pointer(builder, argument) for argument in arguments)
        low, high = _adder(builder, *(builder.load(place, align=4) for place in (plane, waiting, carry)))
        for vector, place in ((low, plane), (_all_lanes(0), waiting), (high, carry)):
            builder.store(vector, place, align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), build


@intrinsic
def _sum_lanes(context, planes, waiting, used):
    """Add to as many planes as are used the carries that wait, then all lanes; five more take what is carried."""

    def add(builder, planes, count, other):
        carry = cgutils.alloca_once_value(builder, _all_lanes(0))
        with cgutils.for_range(builder, count) as loop:
            x, y = _vector(builder, planes, loop.index), other(loop.index)
            low, high = _adder(builder, x, y, builder.load(carry))
            builder.store(low, builder.gep(planes, [loop.index]), align=4)
            builder.store(high, carry)
        builder.store(builder.load(carry), builder.gep(planes, [count]), align=4)

    def build(context, builder, signature, arguments):
        planes, waiting = (_pointer(builder, argument) for argument in arguments[:2])
        add(builder, planes, arguments[2], lambda i: _vector(builder, waiting, i))
        for fold in range(_FOLDS):
            turned = ir.Constant(_VECTOR, [(lane + (_LANES >> fold + 1)) % _LANES for lane in range(_LANES)])
            none = ir.Constant(_VECTOR, ir.Undefined)

            def other(i, turned=turned, none=none):
                return builder.shuffle_vector(_vector(builder, planes, i), none, turned)

            add(builder, planes, builder.add(arguments[2], _INDEX(fold + 1)), other)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), build
