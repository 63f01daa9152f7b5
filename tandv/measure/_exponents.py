"""Counts of the exponents of float32s, as the raw 8-bit field of the pattern, which is folded into a row at the end."""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false
# (numba passes an intrinsic's first argument itself)

from numba import int64, njit, uint32

from tandv.measure._lanes import and32, shr32
from tandv.measure._row_sums import COUNTS
from tandv.statistics import LOWEST


@njit(nogil=True)
def count_fields(v, fields):
    # Four counts side by side: a value that follows its equal does not wait for the count to be stored.
    even = v.size & ~3
    for i in range(0, even, 4):
        fields[0, and32(shr32(v[i], uint32(23)), uint32(255))] += uint32(1)
        fields[1, and32(shr32(v[i + 1], uint32(23)), uint32(255))] += uint32(1)
        fields[2, and32(shr32(v[i + 2], uint32(23)), uint32(255))] += uint32(1)
        fields[3, and32(shr32(v[i + 3], uint32(23)), uint32(255))] += uint32(1)
    for i in range(even, v.size):
        fields[0, and32(shr32(v[i], uint32(23)), uint32(255))] += uint32(1)


@njit(nogil=True)
def fold_fields(fields, ints):
    first = COUNTS + 1 - 127 - LOWEST
    counts = ints[first : first + 254]
    for k in range(4):
        for f in range(254):
            counts[f] += int64(fields[k, f + 1])
    fields[:, :] = 0
