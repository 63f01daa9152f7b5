"""Which of several readings of one tensor in a step is its row.

A gradient is read when it is accumulated if it is not known whether an optimiser will receive it, or code will clear it
before the step is over. Whether a later reading is better can depend on its values, which may still be on a device: so
every reading is measured, and the choice is made where rows are made.
"""

from collections.abc import Mapping

FINAL = 0  # the row, whatever else was read
LAST = 1 << 30  # when the step is over: unless all of it is zero, for then it may have been cleared
LEFT_OVER = -1  # of what an earlier step left: only if all of it is zero, for then it has been cleared for this step
# 1, 2, ...: on arrival; each is better than the ones before


def chosen(read: Mapping[int, bool]) -> int | None:
    """Return the reading that counts, None for none of them.

    >>> chosen({1: False, 2: False, LAST: True}), chosen({LEFT_OVER: True}), chosen({LEFT_OVER: False})
    (2, -1, None)

    Args:
        read: the readings of a tensor, each with whether all its values are zero.
    """
    if FINAL in read:
        return FINAL
    if not read.get(LAST, True):
        return LAST
    arrived = [reading for reading in read if 0 < reading < LAST]
    if arrived:
        return max(arrived)
    return LEFT_OVER if read.get(LEFT_OVER) else None
