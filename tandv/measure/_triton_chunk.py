"""A chunk of a tensor: its tiles added to lanes, and what is done again where values are other than was expected."""

# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportInvalidTypeForm=false
# (inside kernels, Python's operators and numbers stand for Triton's)

import triton
import triton.language as tl

from tandv import statistics
from tandv.measure._triton_values import ABS, INF, LANES_OF_TILE, NORMAL, load, wide_two_to

FIRST_NORMAL = tl.constexpr(-126 - statistics.LOWEST)  # the count that the exponent field 1 belongs to
WINDOW = tl.constexpr(64)  # exponents that tiles are counted in


@triton.jit
def add_tile(x, inside, scale, centre, low, big, small, used, zeros, s1, s2, sa, s4, s8, fields, MASKED: tl.constexpr):
    """Add a tile [lanes, each] to the lanes; its values are taken to be finite and in the window."""
    bits = x.to(tl.int32, bitcast=True) & ABS
    y = x * scale
    d = y - centre
    bin = tl.minimum(tl.maximum((bits >> 23) - low, 0), WINDOW - 1)
    if MASKED:
        bits = tl.where(inside, bits, 0)
        y = tl.where(inside, y, 0.0)
        d = tl.where(inside, d, 0.0)
        small = tl.minimum(small, tl.min(tl.where(inside, bits, ABS), 1))
        zeros += tl.sum((inside & (bits == 0)).to(tl.int32), 1)
        fields += tl.histogram(tl.ravel(bin), WINDOW, mask=tl.ravel(inside))
    else:
        small = tl.minimum(small, tl.min(bits, 1))
        zeros += tl.sum((bits == 0).to(tl.int32), 1)
        fields += tl.histogram(tl.ravel(bin), WINDOW)
    big = tl.maximum(big, tl.max(bits, 1))
    used |= tl.reduce_or(bits, 1)
    y2 = y * y
    y4 = y2 * y2
    s1 += tl.sum(d, 1)
    s2 += tl.sum(d * d, 1)
    sa += tl.sum(tl.abs(y), 1)
    s4 += tl.sum(y4, 1)
    s8 += tl.sum(y4 * y4, 1)
    return big, small, used, zeros, s1, s2, sa, s4, s8, fields


@triton.jit
def survey(chunk, length, table, counts, DTYPE: tl.constexpr):
    """Count every exponent of a chunk into `counts`; return its NaNs and infinities, and of its finite values the
    largest and the bits that any of them uses.
    """
    lanes, bins = tl.arange(0, LANES_OF_TILE), tl.arange(0, 256)
    none = tl.zeros([LANES_OF_TILE], tl.int32)
    big, nans, used = none, none, none
    fields, low = tl.zeros([256], tl.int32), tl.zeros([32], tl.int32)
    for start in range(0, length, LANES_OF_TILE):
        inside = start + lanes < length
        bits = load(chunk + start + lanes, inside, table, DTYPE).to(tl.int32, bitcast=True) & ABS
        finite = tl.where(inside & (bits < INF), bits, 0)
        big = tl.maximum(big, finite)
        used |= finite
        nans += (inside & (bits > INF)).to(tl.int32)
        fields += tl.histogram(bits >> 23, 256, mask=inside)
        # A subnormal is its bits times 2^-149, so its exponent is that of the bits as a number.
        place = (bits.to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 127
        low += tl.histogram(place, 32, mask=inside & (bits > 0) & (bits < NORMAL))
    tl.atomic_add(counts + tl.arange(0, 32), low.to(tl.int64), mask=low > 0, sem="relaxed")
    normal = (fields > 0) & (bins > 0) & (bins < 255)
    tl.atomic_add(counts + (bins + (FIRST_NORMAL - 1)), fields.to(tl.int64), mask=normal, sem="relaxed")
    some_nans = tl.sum(nans, 0)
    return some_nans, tl.sum(tl.where(bins == 255, fields, 0), 0) - some_nans, tl.max(big, 0), tl.reduce_or(used, 0)


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
