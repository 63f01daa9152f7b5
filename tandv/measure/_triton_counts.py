"""How the tiles of a chunk count their exponents: in a few registers where values are alike, else in a histogram.

A histogram of many bins takes votes of all lanes for each of them. Packed counts take none: a 64-bit word of each lane
holds 16 counts of 4 bits, which are widened to 8 and 16 bits on the way; the last is for what is not the word's.
"""

# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportInvalidTypeForm=false, reportGeneralTypeIssues=false
# (inside kernels, Python's operators and numbers stand for Triton's)

import triton
import triton.language as tl

PACKED = tl.constexpr(30)  # exponents that packed counts hold: 15 in each of two words
HISTOGRAM = tl.constexpr(64)  # bins of a histogram: its first and last are for what lies outside
EIGHT = tl.constexpr(8)  # values of a lane that its counts of 4 bits take before they are widened
TOGETHER = tl.constexpr(16)  # times that counts of 8 bits take these, before they are widened

_BYTES = tl.constexpr(0x0F0F0F0F0F0F0F0F)
_HALVES = tl.constexpr(0x00FF00FF00FF00FF)


@triton.jit
def in_histogram(bits, inside, first, MASKED: tl.constexpr):
    """Return the counts [64] of a tile's exponent fields: below `first`, `first` and the 61 after it, above."""
    bin = tl.minimum(tl.maximum((bits >> 23) - (first - 1), 0), HISTOGRAM - 1)
    if MASKED:
        return tl.histogram(tl.ravel(bin), HISTOGRAM, mask=tl.ravel(inside))
    return tl.histogram(tl.ravel(bin), HISTOGRAM)


@triton.jit
def in_words(bits, first):
    """Return the counts of each lane's exponent fields, `first` and the 29 after it, as two words of 16 × 4 bits."""
    place = ((bits >> 23) - first) * 4
    one = tl.full([1, 1], 1, tl.int64)
    # as numbers without a sign, places before a word are beyond it too
    here = tl.minimum(place.to(tl.uint32, bitcast=True), 60)
    there = tl.minimum((place - 60).to(tl.uint32, bitcast=True), 60)
    return tl.sum(one << here.to(tl.int64), 1), tl.sum(one << there.to(tl.int64), 1)


@triton.jit
def to_bytes(word, even, odd):
    """Add 16 counts of 4 bits to those of 8 bits, of every other exponent in `even` and `odd`."""
    return even + (word & _BYTES), odd + ((word >> 4) & _BYTES)


@triton.jit
def widened(b0, b1, b2, b3, h0, h1, h2, h3, h4, h5, h6, h7):
    """Add the counts of 8 bits of two words, even and odd ones, to those of 16 bits: every fourth in each."""
    h0, h2 = _to_halves(b0, h0, h2)
    h1, h3 = _to_halves(b1, h1, h3)
    h4, h6 = _to_halves(b2, h4, h6)
    h5, h7 = _to_halves(b3, h5, h7)
    return h0, h1, h2, h3, h4, h5, h6, h7


@triton.jit
def _to_halves(bytes, low, high):
    """Add 8 counts of 8 bits to those of 16 bits, of every other one in `low` and `high`."""
    return low + (bytes & _HALVES), high + ((bytes >> 8) & _HALVES)


@triton.jit
def add_halves(halves, counts, wanted, COUNT: tl.constexpr):
    """Add the sums over all lanes of 4 counts (or 3) to `counts`, 4 apart, if `wanted`; return the sum of them."""
    all = tl.full([], 0, tl.int32)
    for quarter in tl.static_range(COUNT):
        here = tl.sum(((halves >> (16 * quarter)) & 0xFFFF).to(tl.int32), 0)
        tl.atomic_add(counts + 4 * quarter, here.to(tl.int64), mask=wanted & (here > 0), sem="relaxed")
        all += here
    return all
