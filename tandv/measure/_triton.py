"""Measure tensors on a GPU: every tensor is read once, by one launch, and nothing waits for the host.

A tensor is shared out among programs. Each measures its share with float32 lanes, merges the outcome in
float64 into a partial record of its own and adds its counts to the tensor's row; when the step is over
`fold` merges the records of each row in their order. So no two programs add to the same float, and the
same tensors give the same bits on every run.
"""

# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportInvalidTypeForm=false
# (inside kernels, Python's operators and numbers stand for Triton's)

import triton
import triton.language as tl

from tandv import statistics
from tandv.statistics import WORD

SHARE = 8192  # elements; a program's share of a tensor is a multiple of this
CHUNK = 65_536  # elements that lanes add up before float64 takes over
LANES = 128  # one for each thread; a lane loads 16 bytes at a time, and adds them up on its own
RECORD = 9  # words of a partial record: values, scale, largest, smallest, and the five sums of a row

_NO_SCALE = tl.constexpr(statistics.NO_SCALE)
_NUMEL, _NANS, _INFS, _ZEROS, _CALLS, _SCALE, _MAX, _MIN, _SUM, _SUM_ABS, _M2, _SUM4, _SUM8, _COUNTS = (
    tl.constexpr(WORD[name])
    for name in (
        *("numel", "nans", "infs", "zeros", "calls", "scale", "max_abs", "min_abs"),
        *("sum", "sum_abs", "m2", "sum4", "sum8", "counts"),
    )
)
_WORDS = tl.constexpr(statistics.WORDS)
_RECORD = tl.constexpr(RECORD)
_CHUNK = tl.constexpr(CHUNK)
_LANES = tl.constexpr(LANES)

_ABS = tl.constexpr(0x7FFFFFFF)
_INF = tl.constexpr(0x7F800000)
_NORMAL = tl.constexpr(0x00800000)
_FIRST_NORMAL = tl.constexpr(-126 - statistics.LOWEST)  # the count that the exponent field 1 belongs to

# The quick pass expects the largest value between 2^(top - 12) and 2^(top + 7), and counts exponents in a
# window that ends there: few bins are much cheaper than all 256. What lies outside is found and done again.
_ABOVE = tl.constexpr(7)
_BELOW = tl.constexpr(12)
_WINDOW = tl.constexpr(64)
_GUESS = tl.constexpr(-14)  # the top of a tensor that begins with zeros: a gradient, most likely


@triton.jit
def _two_to(exponent):
    """Return 2^exponent as float32, for exponents of normal numbers."""
    return ((exponent + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def _wide_two_to(exponent):
    """Return 2^exponent as float64; what is below 2^-1022 is negligible wherever this is used."""
    return ((tl.maximum(exponent, -1022) + 1023).to(tl.int64) << 52).to(tl.float64, bitcast=True)


@triton.jit
def _top(bits):
    """Return the exponent just above a float32 of these bits, -126 for all subnormals."""
    return (bits >> 23) - 126


@triton.jit
def _merged(n, scale, s1, sa, m2, s4, s8, n_, scale_, s1_, sa_, m2_, s4_, s8_):
    """Merge two sets of sums, each of n finite values times 2^-scale, as `statistics.merge` does."""
    top = tl.maximum(scale, scale_)
    r, r_ = _wide_two_to(scale - top), _wide_two_to(scale_ - top)
    s1, s1_ = s1 * r, s1_ * r_
    apart = s1 / tl.maximum(n, 1.0) - s1_ / tl.maximum(n_, 1.0)
    between = apart * apart * (n * n_ / tl.maximum(n + n_, 1.0))
    q, q_ = r * r, r_ * r_
    m2 = m2 * q + m2_ * q_ + between
    q, q_ = q * q, q_ * q_
    return n + n_, top, s1 + s1_, sa * r + sa_ * r_, m2, s4 * q + s4_ * q_, s8 * (q * q) + s8_ * (q_ * q_)


@triton.jit
def _load(pointer, inside, table, DTYPE: tl.constexpr):
    return _values(tl.load(pointer, mask=inside, other=0), table, DTYPE)


@triton.jit
def _values(raw, table, DTYPE: tl.constexpr):
    """Return elements as float32: bfloat16 is its upper half, types of 8 bits are looked up in their table."""
    if DTYPE is tl.uint8:
        return tl.load(table + raw.to(tl.int32))
    if DTYPE is tl.uint16:
        return (raw.to(tl.int32) << 16).to(tl.float32, bitcast=True)
    return raw.to(tl.float32)


@triton.jit
def _add_tile(x, inside, scale, centre, low, big, small, zeros, s1, s2, sa, s4, s8, fields, MASKED: tl.constexpr):
    """Add a tile [lanes, each] to the lanes; its values are taken to be finite and in the window."""
    bits = x.to(tl.int32, bitcast=True) & _ABS
    y = x * scale
    d = y - centre
    bin = tl.minimum(tl.maximum((bits >> 23) - low, 0), _WINDOW - 1)
    if MASKED:
        bits = tl.where(inside, bits, 0)
        y = tl.where(inside, y, 0.0)
        d = tl.where(inside, d, 0.0)
        small = tl.minimum(small, tl.min(tl.where(inside, bits, _ABS), 1))
        zeros += tl.sum((inside & (bits == 0)).to(tl.int32), 1)
        fields += tl.histogram(tl.ravel(bin), _WINDOW, mask=tl.ravel(inside))
    else:
        small = tl.minimum(small, tl.min(bits, 1))
        zeros += tl.sum((bits == 0).to(tl.int32), 1)
        fields += tl.histogram(tl.ravel(bin), _WINDOW)
    big = tl.maximum(big, tl.max(bits, 1))
    y2 = y * y
    y4 = y2 * y2
    s1 += tl.sum(d, 1)
    s2 += tl.sum(d * d, 1)
    sa += tl.sum(tl.abs(y), 1)
    s4 += tl.sum(y4, 1)
    s8 += tl.sum(y4 * y4, 1)
    return big, small, zeros, s1, s2, sa, s4, s8, fields


@triton.jit
def _survey(chunk, length, table, counts, DTYPE: tl.constexpr):
    """Count every exponent of a chunk into `counts`; return its NaNs, infinities and largest finite value."""
    lanes, bins = tl.arange(0, _LANES), tl.arange(0, 256)
    big, nans = tl.zeros([_LANES], tl.int32), tl.zeros([_LANES], tl.int32)
    fields, low = tl.zeros([256], tl.int32), tl.zeros([32], tl.int32)
    for start in range(0, length, _LANES):
        inside = start + lanes < length
        bits = _load(chunk + start + lanes, inside, table, DTYPE).to(tl.int32, bitcast=True) & _ABS
        big = tl.maximum(big, tl.where(inside & (bits < _INF), bits, 0))
        nans += (inside & (bits > _INF)).to(tl.int32)
        fields += tl.histogram(bits >> 23, 256, mask=inside)
        # A subnormal is its bits times 2^-149, so its exponent is that of the bits as a number.
        place = (bits.to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 127
        low += tl.histogram(place, 32, mask=inside & (bits > 0) & (bits < _NORMAL))
    tl.atomic_add(counts + tl.arange(0, 32), low.to(tl.int64), mask=low > 0, sem="relaxed")
    normal = (fields > 0) & (bins > 0) & (bins < 255)
    tl.atomic_add(counts + (bins + (_FIRST_NORMAL - 1)), fields.to(tl.int64), mask=normal, sem="relaxed")
    some_nans = tl.sum(nans, 0)
    return some_nans, tl.sum(tl.where(bins == 255, fields, 0), 0) - some_nans, tl.max(big, 0)


@triton.jit
def _exact_sums(chunk, length, table, scale, DTYPE: tl.constexpr):
    """Sum the finite values of a chunk, times 2^-scale, in float64; slow, and right whatever they are."""
    lanes = tl.arange(0, _LANES)
    factor = _wide_two_to(-scale)
    nothing = tl.full([], 0.0, tl.float64)
    n, s1, sa, m2, s4, s8 = nothing, nothing, nothing, nothing, nothing, nothing
    for again in range(2):  # first the mean, then the squared distances to it
        centre = s1 / tl.maximum(n, 1.0)
        for start in range(0, length, _LANES):
            inside = start + lanes < length
            x = _load(chunk + start + lanes, inside, table, DTYPE)
            known = inside & ((x.to(tl.int32, bitcast=True) & _ABS) < _INF)
            y = tl.where(known, x, 0.0).to(tl.float64) * factor
            if again == 0:
                y2 = y * y
                y4 = y2 * y2
                n += tl.sum(known.to(tl.float64), 0)
                s1 += tl.sum(y, 0)
                sa += tl.sum(tl.abs(y), 0)
                s4 += tl.sum(y4, 0)
                s8 += tl.sum(y4 * y4, 0)
            else:
                d = tl.where(known, y - centre, 0.0)
                m2 += tl.sum(d * d, 0)
    return n, s1, sa, m2, s4, s8


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
    TILE: tl.constexpr = _LANES * EACH
    ints += row.to(tl.int64) * _WORDS
    counts = ints + _COUNTS
    begin = share * each
    end = tl.minimum(begin + each, size)
    if share == 0:
        begin = -head.to(tl.int64)
    bins = tl.arange(0, _WINDOW)

    # First a look at some values from all over the share: how large are they, and do they lie around a number
    # other than 0? They are not taken at a round distance, since that may be the length of a tensor's rows.
    distance = tl.maximum((end - begin) // _LANES // EACH * EACH - EACH, EACH)
    some = begin + tl.arange(0, _LANES)[:, None] * distance + tl.arange(0, EACH)[None, :]
    inside = some < end
    x = _load(base + some, inside, table, DTYPE)
    bits = x.to(tl.int32, bitcast=True) & _ABS
    known = inside & (bits < _INF)
    largest = tl.max(tl.ravel(tl.where(known, bits, 0)), 0)
    sure = largest > 0
    top = tl.where(sure, tl.minimum(_top(largest), 126), _GUESS)
    y = tl.ravel(tl.where(known, x, 0.0) * _two_to(-top))
    count = tl.maximum(tl.sum(tl.ravel(known).to(tl.int32), 0), 1).to(tl.float32)
    mean, square = tl.sum(y, 0) / count, tl.sum(y * y, 0) / count
    centre = tl.where(mean * mean > 0.25 * square, mean, 0.0).to(tl.float64) * _wide_two_to(top)

    nothing = tl.full([], 0.0, tl.float64)
    n, s1, sa, m2, s4, s8 = nothing, nothing, nothing, nothing, nothing, nothing
    scale = tl.full([], _NO_SCALE, tl.int32)
    all_big, all_small = tl.full([], 0, tl.int32), tl.full([], _INF, tl.int32)
    none = tl.full([], 0, tl.int32)
    all_zeros, all_nans, all_infs = none, none, none

    tile = tl.arange(0, _LANES)[:, None] * EACH + tl.arange(0, EACH)[None, :]
    start = begin
    while start < end:
        chunk = base + start
        aligned = tl.multiple_of(chunk, 16)  # but for the head, which is shorter than a tile
        length = tl.minimum(tl.where(start < 0, 0, end) - start, _CHUNK).to(tl.int32)
        big, zeros = tl.zeros([_LANES], tl.int32), tl.zeros([_LANES], tl.int32)
        small = tl.full([_LANES], _ABS, tl.int32)
        zero = tl.zeros([_LANES], tl.float32)
        l1, l2, la, l4, l8 = zero, zero, zero, zero, zero
        fields = tl.zeros([_WINDOW], tl.int32)
        shrink = _two_to(-top)
        pivot = (centre * _wide_two_to(-top)).to(tl.float32)
        low = top + 126 + _ABOVE - (_WINDOW - 2)  # bin 0 is for this exponent field and those below
        low = tl.minimum(tl.maximum(low, 0), 255 - (_WINDOW - 1))  # none but the last is for what is not finite
        whole = length // TILE * TILE
        following = tl.load(aligned + tile, mask=whole > 0, other=0)
        for o in range(0, whole, TILE):
            x = _values(following, table, DTYPE)
            # The next tile is asked for before this one is worked on, so that it is there in time.
            following = tl.load(aligned + tl.multiple_of(tl.minimum(o + TILE, whole - TILE), 16) + tile)
            big, small, zeros, l1, l2, la, l4, l8, fields = _add_tile(
                x, inside, shrink, pivot, low, big, small, zeros, l1, l2, la, l4, l8, fields, False
            )
        if whole < length:
            within = whole + tile < length
            x = _load(chunk + whole + tile, within, table, DTYPE)
            big, small, zeros, l1, l2, la, l4, l8, fields = _add_tile(
                x, within, shrink, pivot, low, big, small, zeros, l1, l2, la, l4, l8, fields, True
            )

        largest, smallest = tl.max(big, 0), tl.min(small, 0)
        some_zeros = tl.sum(zeros, 0)
        outside = tl.sum(tl.where(bins == 0, fields, 0), 0) - some_zeros + tl.sum(tl.where(bins == 63, fields, 0), 0)
        n_ = length.to(tl.float64)
        scale_ = top
        d1 = tl.sum(l1, 0).to(tl.float64)
        m2_ = tl.maximum(tl.sum(l2, 0).to(tl.float64) - d1 * d1 / n_, 0.0)
        s1_ = d1 + n_ * pivot.to(tl.float64)
        sa_, s4_, s8_ = tl.sum(la, 0).to(tl.float64), tl.sum(l4, 0).to(tl.float64), tl.sum(l8, 0).to(tl.float64)
        if outside == 0:
            real = (fields > 0) & (bins > 0)
            tl.atomic_add(counts + (bins + low + _FIRST_NORMAL - 1), fields.to(tl.int64), mask=real, sem="relaxed")
        strange = 0
        if outside > 0:
            some_nans, some_infs, largest = _survey(chunk, length, table, counts, DTYPE)
            all_nans += some_nans
            all_infs += some_infs
            strange = some_nans + some_infs
        below = (largest > 0) & (_top(largest) < top - _BELOW) & (sure == 0)
        above = _top(largest) > top + _ABOVE
        subnormal = (largest > 0) & (largest < _NORMAL)
        if (strange > 0) | below | above | subnormal:
            scale_ = _top(largest)
            if largest < _NORMAL:  # the exponent of a subnormal is that of its bits as a number, less 149
                scale_ = _top(largest.to(tl.float32).to(tl.int32, bitcast=True)) - 149
            n_, s1_, sa_, m2_, s4_, s8_ = _exact_sums(chunk, length, table, scale_, DTYPE)
        if largest == 0:
            scale_ = tl.full([], _NO_SCALE, tl.int32)

        n, scale, s1, sa, m2, s4, s8 = _merged(n, scale, s1, sa, m2, s4, s8, n_, scale_, s1_, sa_, m2_, s4_, s8_)
        all_zeros += some_zeros
        all_big = tl.maximum(all_big, largest)
        all_small = tl.minimum(all_small, smallest)  # what is not finite has larger bits
        if all_big > 0:
            top = tl.minimum(_top(all_big), 126)
            sure = sure | (all_big > 0)
            centre = s1 / tl.maximum(n, 1.0) * _wide_two_to(scale)
        start += length

    if share == 0:
        tl.atomic_add(ints + _NUMEL, head + size, sem="relaxed")
        tl.atomic_add(ints + _CALLS, 1, sem="relaxed")
    tl.atomic_add(ints + _ZEROS, all_zeros.to(tl.int64), mask=all_zeros > 0, sem="relaxed")
    tl.atomic_add(ints + _NANS, all_nans.to(tl.int64), mask=all_nans > 0, sem="relaxed")
    tl.atomic_add(ints + _INFS, all_infs.to(tl.int64), mask=all_infs > 0, sem="relaxed")

    if n > 0:  # merge with what this record holds of the row's earlier tensors
        here = records + (record + share).to(tl.int64) * _RECORD
        n_ = tl.load(here)
        scale_ = tl.where(n_ > 0, tl.load(here + 1), _NO_SCALE).to(tl.int32)
        big = all_big.to(tl.float32, bitcast=True).to(tl.float64)
        small = all_small.to(tl.float32, bitcast=True).to(tl.float64)
        tl.store(here + 2, tl.where(n_ > 0, tl.maximum(big, tl.load(here + 2)), big))
        tl.store(here + 3, tl.where(n_ > 0, tl.minimum(small, tl.load(here + 3)), small))
        n, scale, s1, sa, m2, s4, s8 = _merged(
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


@triton.jit
def fold(regions, records, ints, floats, BLOCK: tl.constexpr):
    """Merge the records of each row in their order, write its floats, and empty the records.

    `regions` [rows, 2] has the first record of each row and how many it has.
    """
    row = tl.program_id(0).to(tl.int64)
    first, count = tl.load(regions + 2 * row), tl.load(regions + 2 * row + 1)
    nothing = tl.full([], 0.0, tl.float64)
    n, s1, sa, m2, s4, s8 = nothing, nothing, nothing, nothing, nothing, nothing
    scale = tl.full([], _NO_SCALE, tl.int32)
    big, small = nothing, nothing + float("inf")
    for start in range(0, count, BLOCK):
        number = start + tl.arange(0, BLOCK)
        inside = number < count
        here = records + (first + number) * _RECORD
        each = tl.load(here, mask=inside, other=0.0)
        used = each > 0
        tl.store(here, tl.zeros([BLOCK], tl.float64), mask=inside)
        scales = tl.where(used, tl.load(here + 1, mask=used, other=0.0).to(tl.int32), _NO_SCALE)
        top = tl.max(scales, 0)
        r = _wide_two_to(scales - top)
        big = tl.maximum(big, tl.max(tl.load(here + 2, mask=used, other=0.0), 0))
        small = tl.minimum(small, tl.min(tl.load(here + 3, mask=used, other=float("inf")), 0))
        n_ = tl.sum(each, 0)
        sums = tl.load(here + 4, mask=used, other=0.0) * r
        s1_ = tl.sum(sums, 0)
        sa_ = tl.sum(tl.load(here + 5, mask=used, other=0.0) * r, 0)
        apart = sums / tl.maximum(each, 1.0) - s1_ / tl.maximum(n_, 1.0)
        r = r * r
        m2_ = tl.sum(tl.load(here + 6, mask=used, other=0.0) * r + each * apart * apart, 0)
        r = r * r
        s4_ = tl.sum(tl.load(here + 7, mask=used, other=0.0) * r, 0)
        s8_ = tl.sum(tl.load(here + 8, mask=used, other=0.0) * (r * r), 0)
        n, scale, s1, sa, m2, s4, s8 = _merged(n, scale, s1, sa, m2, s4, s8, n_, top, s1_, sa_, m2_, s4_, s8_)
    if n > 0:
        out = floats + row * _WORDS
        tl.store(ints + row * _WORDS + _SCALE, scale.to(tl.int64))
        tl.store(out + _MAX, big)
        tl.store(out + _MIN, small)
        tl.store(out + _SUM, s1)
        tl.store(out + _SUM_ABS, sa)
        tl.store(out + _M2, m2)
        tl.store(out + _SUM4, s4)
        tl.store(out + _SUM8, s8)
