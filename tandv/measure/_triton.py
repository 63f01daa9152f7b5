"""Measure tensors on a GPU: every tensor is read once, by one launch, and nothing waits for the host.

A tensor is shared out among programs. Each measures its share with float32 lanes, merges the outcome in
float64 into a partial record of its own and adds its counts to the tensor's row; when the step is over
`fold` merges the records of each row in their order. So no two programs add to the same float, and the
same tensors give the same bits on every run.
"""

# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportInvalidTypeForm=false
# pyrefly: ignore-errors[bad-argument-type, not-a-type]
# (inside kernels, Python's operators and numbers stand for Triton's)

import triton
import triton.language as tl

from tandv.measure._triton_chunk import FIRST_NORMAL, WINDOW, add_tile, exact_sums, survey
from tandv.measure._triton_values import (
    ABS,
    INF,
    LANES_OF_TILE,
    NO_SCALE,
    NORMAL,
    RECORD_WORDS,
    WORDS,
    load,
    merged,
    read_values,
    top_above,
    two_to,
    wide_two_to,
)
from tandv.statistics import WORD

SHARE = 8192  # elements; a program's share of a tensor is a multiple of this
CHUNK = 65_536  # elements that lanes add up before float64 takes over

_NUMEL, _NANS, _INFS, _ZEROS, _CALLS, _COUNTS = (
    tl.constexpr(WORD[name]) for name in ("numel", "nans", "infs", "zeros", "calls", "counts")
)
_CHUNK = tl.constexpr(CHUNK)

# The quick pass expects the largest value between 2^(top - 12) and 2^(top + 7), and counts exponents in a
# window that ends there: few bins are much cheaper than all 256. What lies outside is found and done again.
_ABOVE = tl.constexpr(7)
_BELOW = tl.constexpr(12)
_GUESS = tl.constexpr(-14)  # the top of a tensor that begins with zeros: a gradient, most likely


@triton.jit
def _measure(
    base,
    head,
    size,
    share,
    each,
    row,
    record,
    ints,
    records,
    table,
    DTYPE: tl.constexpr,
    EACH: tl.constexpr,
):
    """Measure one of a tensor's shares into the partial `record` and the counts of `ints`, at `row`.

    A share has `each` elements, a multiple of `SHARE`. `base` is a multiple of 16 bytes; `head` elements lie
    before it and are the first share's, too.
    """
    TILE: tl.constexpr = LANES_OF_TILE * EACH
    ints += row.to(tl.int64) * WORDS
    counts = ints + _COUNTS
    begin = share * each
    end = tl.minimum(begin + each, size)
    if share == 0:
        begin = -head.to(tl.int64)
    bins = tl.arange(0, WINDOW)

    # First a look at some values from all over the share: how large are they, and do they lie around a number
    # other than 0? They are not taken at a round distance, since that may be the length of a tensor's rows.
    distance = tl.maximum((end - begin) // LANES_OF_TILE // EACH * EACH - EACH, EACH)
    some = begin + tl.arange(0, LANES_OF_TILE)[:, None] * distance + tl.arange(0, EACH)[None, :]
    inside = some < end
    x = load(base + some, inside, table, DTYPE)
    bits = x.to(tl.int32, bitcast=True) & ABS
    known = inside & (bits < INF)
    largest = tl.max(tl.ravel(tl.where(known, bits, 0)), 0)
    sure = largest > 0
    top = tl.where(sure, tl.minimum(top_above(largest), 126), _GUESS)
    y = tl.ravel(tl.where(known, x, 0.0) * two_to(-top))
    count = tl.maximum(tl.sum(tl.ravel(known).to(tl.int32), 0), 1).to(tl.float32)
    mean, square = tl.sum(y, 0) / count, tl.sum(y * y, 0) / count
    centre = tl.where(mean * mean > 0.25 * square, mean, 0.0).to(tl.float64) * wide_two_to(top)

    nothing = tl.full([], 0.0, tl.float64)
    n, s1, sa, m2, s4, s8 = nothing, nothing, nothing, nothing, nothing, nothing
    scale = tl.full([], NO_SCALE, tl.int32)
    all_big, all_small = tl.full([], 0, tl.int32), tl.full([], INF, tl.int32)
    none = tl.full([], 0, tl.int32)
    all_zeros, all_nans, all_infs, all_used = none, none, none, none

    tile = tl.arange(0, LANES_OF_TILE)[:, None] * EACH + tl.arange(0, EACH)[None, :]
    start = begin
    while start < end:
        chunk = base + start
        aligned = tl.multiple_of(chunk, 16)  # but for the head, which is shorter than a tile
        length = tl.minimum(tl.where(start < 0, 0, end) - start, _CHUNK).to(tl.int32)
        nothing_yet = tl.zeros([LANES_OF_TILE], tl.int32)
        big, zeros, used = nothing_yet, nothing_yet, nothing_yet
        small = tl.full([LANES_OF_TILE], ABS, tl.int32)
        zero = tl.zeros([LANES_OF_TILE], tl.float32)
        l1, l2, la, l4, l8 = zero, zero, zero, zero, zero
        fields = tl.zeros([WINDOW], tl.int32)
        shrink = two_to(-top)
        pivot = (centre * wide_two_to(-top)).to(tl.float32)
        low = top + 126 + _ABOVE - (WINDOW - 2)  # bin 0 is for this exponent field and those below
        low = tl.minimum(tl.maximum(low, 0), 255 - (WINDOW - 1))  # none but the last is for what is not finite
        whole = length // TILE * TILE
        following = tl.load(aligned + tile, mask=whole > 0, other=0)
        for o in range(0, whole, TILE):
            x = read_values(following, table, DTYPE)
            # The next tile is asked for before this one is worked on, so that it is there in time.
            following = tl.load(aligned + tl.multiple_of(tl.minimum(o + TILE, whole - TILE), 16) + tile)
            big, small, used, zeros, l1, l2, la, l4, l8, fields = add_tile(
                x, inside, shrink, pivot, low, big, small, used, zeros, l1, l2, la, l4, l8, fields, False
            )
        if whole < length:
            within = whole + tile < length
            x = load(chunk + whole + tile, within, table, DTYPE)
            big, small, used, zeros, l1, l2, la, l4, l8, fields = add_tile(
                x, within, shrink, pivot, low, big, small, used, zeros, l1, l2, la, l4, l8, fields, True
            )

        largest, smallest = tl.max(big, 0), tl.min(small, 0)
        some_zeros, some_used = tl.sum(zeros, 0), tl.reduce_or(used, 0)
        outside = tl.sum(tl.where(bins == 0, fields, 0), 0) - some_zeros + tl.sum(tl.where(bins == 63, fields, 0), 0)
        n_ = length.to(tl.float64)
        scale_ = top
        d1 = tl.sum(l1, 0).to(tl.float64)
        m2_ = tl.maximum(tl.sum(l2, 0).to(tl.float64) - d1 * d1 / n_, 0.0)
        s1_ = d1 + n_ * pivot.to(tl.float64)
        sa_, s4_, s8_ = tl.sum(la, 0).to(tl.float64), tl.sum(l4, 0).to(tl.float64), tl.sum(l8, 0).to(tl.float64)
        if outside == 0:
            real = (fields > 0) & (bins > 0)
            tl.atomic_add(counts + (bins + low + FIRST_NORMAL - 1), fields.to(tl.int64), mask=real, sem="relaxed")
        strange = 0
        if outside > 0:
            some_nans, some_infs, largest, some_used = survey(chunk, length, table, counts, DTYPE)
            all_nans += some_nans
            all_infs += some_infs
            strange = some_nans + some_infs
        below = (largest > 0) & (top_above(largest) < top - _BELOW) & (sure == 0)
        above = top_above(largest) > top + _ABOVE
        subnormal = (largest > 0) & (largest < NORMAL)
        if (strange > 0) | below | above | subnormal:
            scale_ = top_above(largest)
            if largest < NORMAL:  # the exponent of a subnormal is that of its bits as a number, less 149
                scale_ = top_above(largest.to(tl.float32).to(tl.int32, bitcast=True)) - 149
            n_, s1_, sa_, m2_, s4_, s8_ = exact_sums(chunk, length, table, scale_, DTYPE)
        if largest == 0:
            scale_ = tl.full([], NO_SCALE, tl.int32)

        n, scale, s1, sa, m2, s4, s8 = merged(n, scale, s1, sa, m2, s4, s8, n_, scale_, s1_, sa_, m2_, s4_, s8_)
        all_zeros += some_zeros
        all_used |= some_used
        all_big = tl.maximum(all_big, largest)
        all_small = tl.minimum(all_small, smallest)  # what is not finite has larger bits
        if all_big > 0:
            top = tl.minimum(top_above(all_big), 126)
            sure = sure | (all_big > 0)
            centre = s1 / tl.maximum(n, 1.0) * wide_two_to(scale)
        start += length

    if share == 0:
        tl.atomic_add(ints + _NUMEL, head + size, sem="relaxed")
        tl.atomic_add(ints + _CALLS, 1, sem="relaxed")
    tl.atomic_add(ints + _ZEROS, all_zeros.to(tl.int64), mask=all_zeros > 0, sem="relaxed")
    tl.atomic_add(ints + _NANS, all_nans.to(tl.int64), mask=all_nans > 0, sem="relaxed")
    tl.atomic_add(ints + _INFS, all_infs.to(tl.int64), mask=all_infs > 0, sem="relaxed")

    if n > 0:  # merge with what this record holds of the row's earlier tensors
        here = records + (record + share).to(tl.int64) * RECORD_WORDS
        n_ = tl.load(here)
        scale_ = tl.where(n_ > 0, tl.load(here + 1), NO_SCALE).to(tl.int32)
        earlier = tl.where(n_ > 0, tl.load(here + 9), 0.0).to(tl.int32)
        tl.store(here + 9, (all_used | earlier).to(tl.float64))
        big = all_big.to(tl.float32, bitcast=True).to(tl.float64)
        small = all_small.to(tl.float32, bitcast=True).to(tl.float64)
        tl.store(here + 2, tl.where(n_ > 0, tl.maximum(big, tl.load(here + 2)), big))
        tl.store(here + 3, tl.where(n_ > 0, tl.minimum(small, tl.load(here + 3)), small))
        n, scale, s1, sa, m2, s4, s8 = merged(
            n,
            scale,
            s1,
            sa,
            m2,
            s4,
            s8,
            n_,
            scale_,
            tl.load(here + 4),
            tl.load(here + 5),
            tl.load(here + 6),
            tl.load(here + 7),
            tl.load(here + 8),
        )
        tl.store(here, n)
        tl.store(here + 1, scale.to(tl.float64))
        tl.store(here + 4, s1)
        tl.store(here + 5, sa)
        tl.store(here + 6, m2)
        tl.store(here + 7, s4)
        tl.store(here + 8, s8)


@triton.jit(do_not_specialize=["address", "head", "size", "each", "row", "record"])
def measure_one(
    address: tl.int64,
    head: tl.int64,
    size: tl.int64,
    each: tl.int64,
    row: tl.int64,
    record: tl.int64,
    ints,
    records,
    table,
    DTYPE: tl.constexpr,
    EACH: tl.constexpr,
):
    """Measure one tensor, given by the address of its first element, with one program for each share."""
    base = address.to(tl.pointer_type(DTYPE))
    share = tl.program_id(0)
    _measure(base, head, size, share, each, row, record, ints, records, table, DTYPE, EACH)


@triton.jit
def measure_many(
    tensors,
    programs,
    ints,
    records,
    table,
    DTYPE: tl.constexpr,
    EACH: tl.constexpr,
):
    """Measure tensors of one type: `programs` [n, 2] names tensor and share of each program, `tensors` [n, 6]
    has what `measure_one` is told of one.
    """
    number = tl.program_id(0)
    tensor = tensors + 6 * tl.load(programs + 2 * number).to(tl.int64)
    share = tl.load(programs + 2 * number + 1)
    base = tl.load(tensor).to(tl.pointer_type(DTYPE))
    head, size, each = tl.load(tensor + 1), tl.load(tensor + 2), tl.load(tensor + 3)
    row, record = tl.load(tensor + 4), tl.load(tensor + 5)
    _measure(base, head, size, share, each, row, record, ints, records, table, DTYPE, EACH)
