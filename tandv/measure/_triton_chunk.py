"""A chunk of a tensor: its tiles added to lanes, and what is done again where values are other than was expected."""

# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportInvalidTypeForm=false, reportGeneralTypeIssues=false
# (inside kernels, Python's operators and numbers stand for Triton's)

import triton
import triton.language as tl

from tandv import statistics
from tandv.measure._triton_counts import (
    EIGHT,
    HISTOGRAM,
    PACKED,
    TOGETHER,
    add_halves,
    in_histogram,
    in_words,
    to_bytes,
    widened,
)
from tandv.measure._triton_values import ABS, INF, LANES_OF_TILE, NORMAL, load, read_values, wide_two_to

FIRST_NORMAL = tl.constexpr(-126 - statistics.LOWEST)  # the count that the exponent field 1 belongs to


@triton.jit
def add_tile(x, inside, shrink, pivot, big, least, used, s1, s2, sa, s4, s8, MASKED: tl.constexpr):
    """Add a tile [lanes, each] of finite values to the lanes; return its bits without their signs, and the lanes."""
    bits = x.to(tl.int32, bitcast=True) & ABS
    y = x * shrink
    d = y - pivot
    if MASKED:
        bits = tl.where(inside, bits, 0)
        y = tl.where(inside, y, 0.0)
        d = tl.where(inside, d, 0.0)
    big = tl.maximum(big, tl.max(bits, 1))
    least = tl.minimum(least, tl.min((bits - 1).to(tl.uint32, bitcast=True), 1))  # zeros are the largest there
    used |= tl.reduce_or(bits, 1)
    y2 = y * y
    y4 = y2 * y2
    s1 += tl.sum(d, 1)
    s2 += tl.sum(d * d, 1)
    sa += tl.sum(tl.abs(y), 1)
    s4 += tl.sum(y4, 1)
    s8 += tl.sum(y4 * y4, 1)
    return bits, big, least, used, s1, s2, sa, s4, s8


@triton.jit
def within(big, least, first, WIDTH: tl.constexpr):
    """Return the largest and the smallest bits of lanes other than 0, and whether these are all counted."""
    largest = tl.max(big, 0)
    smallest = (tl.min(least, 0) + 1).to(tl.int32, bitcast=True)  # 0 if there is none
    above, below = largest >= ((first + WIDTH) << 23), (smallest > 0) & (smallest < (first << 23))
    return largest, smallest, (above | below) == 0


@triton.jit
def packed_chunk(chunk, length, shrink, pivot, first, table, counts, DTYPE: tl.constexpr, EACH: tl.constexpr):
    """Measure a chunk whose exponent fields are expected from `first` on, among `PACKED`.

    Adds its counts to `counts`, of the exponent field 0 and those after it, if all that is not zero was in that window,
    as the last of what it returns says.
    """
    TILE: tl.constexpr = LANES_OF_TILE * EACH
    tile = tl.arange(0, LANES_OF_TILE)[:, None] * EACH + tl.arange(0, EACH)[None, :]
    big = tl.zeros([LANES_OF_TILE], tl.int32)
    used, least = big, tl.full([LANES_OF_TILE], 0xFFFFFFFF, tl.uint32)
    s1 = tl.zeros([LANES_OF_TILE], tl.float32)
    s2, sa, s4, s8 = s1, s1, s1, s1
    none = tl.zeros([LANES_OF_TILE], tl.int64)
    h0, h1, h2, h3, h4, h5, h6, h7 = none, none, none, none, none, none, none, none
    ROUND: tl.constexpr = EIGHT // EACH * TILE  # eight values of each lane
    whole = length // ROUND * ROUND
    # The next tile is asked for before one is worked on, so that it is there in time; of small ones the next two.
    following = tl.load(chunk + tile, mask=whole > 0, other=0)
    later = following
    if EACH < EIGHT:
        later = tl.load(chunk + TILE + tile, mask=whole > 0, other=0)
    for start in range(0, whole, TOGETHER * ROUND):
        b0, b1, b2, b3 = none, none, none, none
        for o in range(start, tl.minimum(start + TOGETHER * ROUND, whole), ROUND):
            ones, others = none, none
            for number in tl.static_range(EIGHT // EACH):
                x = read_values(following, table, DTYPE)
                soon = tl.minimum(o + (number + EIGHT // EACH) * TILE, whole - TILE)
                if EACH < EIGHT:
                    following = later
                    later = tl.load(chunk + tl.multiple_of(soon, 16) + tile)
                else:
                    following = tl.load(chunk + tl.multiple_of(soon, 16) + tile)
                bits, big, least, used, s1, s2, sa, s4, s8 = add_tile(
                    x, True, shrink, pivot, big, least, used, s1, s2, sa, s4, s8, False
                )
                some, more = in_words(bits, first)
                ones += some
                others += more
            b0, b1 = to_bytes(ones, b0, b1)
            b2, b3 = to_bytes(others, b2, b3)
        h0, h1, h2, h3, h4, h5, h6, h7 = widened(b0, b1, b2, b3, h0, h1, h2, h3, h4, h5, h6, h7)
    if whole < length:
        ones, others = none, none
        for number in tl.static_range(EIGHT // EACH):
            at = whole + number * TILE + tile
            x = load(chunk + at, at < length, table, DTYPE)
            bits, big, least, used, s1, s2, sa, s4, s8 = add_tile(
                x, at < length, shrink, pivot, big, least, used, s1, s2, sa, s4, s8, True
            )
            some, more = in_words(bits, first)
            ones += some
            others += more
        b0, b1 = to_bytes(ones, none, none)
        b2, b3 = to_bytes(others, none, none)
        h0, h1, h2, h3, h4, h5, h6, h7 = widened(b0, b1, b2, b3, h0, h1, h2, h3, h4, h5, h6, h7)
    largest, smallest, all = within(big, least, first, PACKED)
    counts += first
    counted = add_halves(h0, counts, all, 4) + add_halves(h1, counts + 1, all, 4)
    counted += add_halves(h2, counts + 2, all, 4) + add_halves(h3, counts + 3, all, 3)
    counts += 15
    counted += add_halves(h4, counts, all, 4) + add_halves(h5, counts + 1, all, 4)
    counted += add_halves(h6, counts + 2, all, 4) + add_halves(h7, counts + 3, all, 3)
    sums = tl.sum(s1, 0), tl.sum(s2, 0), tl.sum(sa, 0), tl.sum(s4, 0), tl.sum(s8, 0)
    return largest, smallest, tl.reduce_or(used, 0), length - counted, sums[0], sums[1], sums[2], sums[3], sums[4], all


@triton.jit
def histogram_chunk(chunk, length, shrink, pivot, first, table, counts, DTYPE: tl.constexpr, EACH: tl.constexpr):
    """Measure a chunk as `packed_chunk` does, with 62 exponents in a histogram."""
    TILE: tl.constexpr = LANES_OF_TILE * EACH
    tile = tl.arange(0, LANES_OF_TILE)[:, None] * EACH + tl.arange(0, EACH)[None, :]
    big = tl.zeros([LANES_OF_TILE], tl.int32)
    used, least = big, tl.full([LANES_OF_TILE], 0xFFFFFFFF, tl.uint32)
    s1 = tl.zeros([LANES_OF_TILE], tl.float32)
    s2, sa, s4, s8 = s1, s1, s1, s1
    fields, bins = tl.zeros([HISTOGRAM], tl.int32), tl.arange(0, HISTOGRAM)
    whole = length // TILE * TILE
    following = tl.load(chunk + tile, mask=whole > 0, other=0)
    for o in range(0, whole, TILE):
        x = read_values(following, table, DTYPE)
        following = tl.load(chunk + tl.multiple_of(tl.minimum(o + TILE, whole - TILE), 16) + tile)
        bits, big, least, used, s1, s2, sa, s4, s8 = add_tile(
            x, True, shrink, pivot, big, least, used, s1, s2, sa, s4, s8, False
        )
        fields += in_histogram(bits, True, first, False)
    if whole < length:
        inside = whole + tile < length
        x = load(chunk + whole + tile, inside, table, DTYPE)
        bits, big, least, used, s1, s2, sa, s4, s8 = add_tile(
            x, inside, shrink, pivot, big, least, used, s1, s2, sa, s4, s8, True
        )
        fields += in_histogram(bits, inside, first, True)
    largest, smallest, all = within(big, least, first, HISTOGRAM - 2)
    real = (bins > 0) & (bins < HISTOGRAM - 1)
    tl.atomic_add(counts + (first - 1 + bins), fields.to(tl.int64), mask=real & (fields > 0) & all, sem="relaxed")
    missing = length - tl.sum(tl.where(real, fields, 0), 0)
    sums = tl.sum(s1, 0), tl.sum(s2, 0), tl.sum(sa, 0), tl.sum(s4, 0), tl.sum(s8, 0)
    return largest, smallest, tl.reduce_or(used, 0), missing, sums[0], sums[1], sums[2], sums[3], sums[4], all


@triton.jit
def survey(chunk, length, table, counts, DTYPE: tl.constexpr):
    """Count every exponent of a chunk into `counts`; return its NaNs, infinities and zeros, and of its finite values
    the largest and the bits that any of them uses.
    """
    lanes, bins = tl.arange(0, LANES_OF_TILE), tl.arange(0, 256)
    none = tl.zeros([LANES_OF_TILE], tl.int32)
    big, nans, zeros, used = none, none, none, none
    fields, low = tl.zeros([256], tl.int32), tl.zeros([32], tl.int32)
    for start in range(0, length, LANES_OF_TILE):
        inside = start + lanes < length
        bits = load(chunk + start + lanes, inside, table, DTYPE).to(tl.int32, bitcast=True) & ABS
        finite = tl.where(inside & (bits < INF), bits, 0)
        big = tl.maximum(big, finite)
        used |= finite
        nans += (inside & (bits > INF)).to(tl.int32)
        zeros += (inside & (bits == 0)).to(tl.int32)
        fields += tl.histogram(bits >> 23, 256, mask=inside)
        # A subnormal is its bits times 2^-149, so its exponent is that of the bits as a number.
        place = (bits.to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 127
        low += tl.histogram(place, 32, mask=inside & (bits > 0) & (bits < NORMAL))
    tl.atomic_add(counts + tl.arange(0, 32), low.to(tl.int64), mask=low > 0, sem="relaxed")
    normal = (fields > 0) & (bins > 0) & (bins < 255)
    tl.atomic_add(counts + (bins + (FIRST_NORMAL - 1)), fields.to(tl.int64), mask=normal, sem="relaxed")
    some_nans = tl.sum(nans, 0)
    some_infs = tl.sum(tl.where(bins == 255, fields, 0), 0) - some_nans
    return some_nans, some_infs, tl.sum(zeros, 0), tl.max(big, 0), tl.reduce_or(used, 0)


@triton.jit
def exact_sums(chunk, length, table, scale, DTYPE: tl.constexpr):
    """Sum the finite values of a chunk, times 2^-scale, in float64; slow, and right whatever they are."""
    lanes = tl.arange(0, LANES_OF_TILE)
    factor = wide_two_to(-scale)
    nothing = tl.full([], 0.0, tl.float64)
    n, s1, sa, m2, s4, s8 = nothing, nothing, nothing, nothing, nothing, nothing
    for again in range(2):  # first the mean, then the squared distances to it
        centre = s1 / tl.maximum(n, 1.0)
        for start in range(0, length, LANES_OF_TILE):
            inside = start + lanes < length
            x = load(chunk + start + lanes, inside, table, DTYPE)
            known = inside & ((x.to(tl.int32, bitcast=True) & ABS) < INF)
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
