"""Measure tensors by plain torch operations, on any device, without waiting for it.

This is for devices without a kernel. It reads a tensor some thirty times, so it is slow; the results are the
same. Nothing here becomes a Python number or has a shape that depends on values.
"""

from collections.abc import Sequence

import torch

from tandv import statistics
from tandv.measure.repeats import COUNTED, once_each
from tandv.statistics import FLOATS, HIGHEST, INTEGERS, LOWEST, NO_SCALE, SUMS, WORD

WORDS = statistics.WORDS
_EXPONENTS = HIGHEST - LOWEST + 1

_SLICE = 1 << 22  # elements that are measured at a time: bounds the memory; float32 counts them exactly
_ABS, _INF, _NORMAL = 0x7FFFFFFF, 0x7F800000, 0x00800000


@torch.no_grad()
def add(tensors: Sequence[torch.Tensor], places: Sequence[int], rows: torch.Tensor) -> None:
    """Merge the measurement of each tensor into the row at its place; no place may stand twice.

    `rows` is int64 [n, WORDS] on the tensors' device: `statistics.ROW`s as words.
    """
    measured = torch.stack([_measured(tensor) for tensor in tensors])
    merged = _merged(torch.stack([rows[place] for place in places]), measured)
    for place, row in zip(places, merged, strict=True):
        rows[place].copy_(row)


@torch.no_grad()
def add_repeated(tensor: torch.Tensor, place: int, rows: torch.Tensor) -> None:
    """Merge the measurement of an expanded tensor, whose memory is read once, into the row at its place."""
    once = once_each(tensor)
    row, count = _measured(once), tensor.numel() // once.numel()
    for name in COUNTED:
        row[WORD[name]].mul_(count)
    row[WORD["counts"] :].mul_(count)
    for name in SUMS:
        row.view(torch.float64)[WORD[name]].mul_(count)
    rows[place].copy_(_merged(rows[place][None], row[None])[0])


def send(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return values of the host on a device, without waiting for it."""
    return values if device.type == "cpu" else values.pin_memory().to(device, non_blocking=True)


def clear(rows: torch.Tensor) -> torch.Tensor:
    """Make every row of `rows` the measurement of nothing, in place, and return `rows`."""
    rows.zero_()
    rows[:, WORD["scale"]].fill_(NO_SCALE)
    rows.view(torch.float64)[:, WORD["min_abs"]].fill_(torch.inf)
    return rows


def _measured(tensor: torch.Tensor) -> torch.Tensor:
    flat = tensor.reshape(-1)
    row = _row_of_slice(flat[:_SLICE])
    for start in range(_SLICE, flat.numel(), _SLICE):
        row = _merged(row[None], _row_of_slice(flat[start : start + _SLICE])[None])[0]
    row[WORD["calls"]].fill_(1)
    return row


def _row_of_slice(flat: torch.Tensor) -> torch.Tensor:
    n = flat.numel()
    if not n:
        return clear(torch.empty(1, WORDS, dtype=torch.int64, device=flat.device))[0]
    x = flat.float()
    bits = x.view(torch.int32) & _ABS
    known = bits < _INF
    nans, infs, zeros = (bits > _INF).sum(), (bits == _INF).sum(), (bits == 0).sum()
    finite = n - nans - infs
    largest = torch.where(known, bits, 0).amax()
    smallest = torch.where(known, bits, _INF).amin()

    top = _exponent(largest)
    half = top >> 1  # in two steps, since 2^-scale alone can be beyond float32
    y = torch.where(known, x * _two_to(-half) * _two_to(half - top), 0.0)
    some = finite.clamp(min=1)
    mean = (y.sum(dtype=torch.float64) / some).float()
    d = torch.where(known, y - mean, 0.0)
    y2 = y * y
    y4 = y2 * y2
    apart = d.sum(dtype=torch.float64)
    sums = {
        "max_abs": largest.view(torch.float32).double(),
        "min_abs": smallest.view(torch.float32).double(),
        "sum": apart + finite * mean.double(),
        "sum_abs": y.abs().sum(dtype=torch.float64),
        "m2": ((d * d).sum(dtype=torch.float64) - apart * apart / some).clamp(min=0),
        "sum4": y4.sum(dtype=torch.float64),
        "sum8": (y4 * y4).sum(dtype=torch.float64),
    }
    integers = {
        "numel": nans.new_full((), n),
        "nans": nans,
        "infs": infs,
        "zeros": zeros,
        "calls": torch.zeros_like(nans),
        "scale": torch.where(largest > 0, top.long(), NO_SCALE),
        "mantissa": _mantissa(torch.where(known, bits, 0)),
    }
    return torch.cat(
        [
            torch.stack([integers[name] for name in INTEGERS]),
            torch.stack([sums[name] for name in FLOATS]).view(torch.int64),
            _counts(bits),
        ]
    )


def _mantissa(bits: torch.Tensor) -> torch.Tensor:
    """Return one more than the mantissa bits that float32s of these bits use; 0 if all are zero."""
    mantissa = bits & (_NORMAL - 1)
    lowest = mantissa & -mantissa  # of the used bits, as a power of two, whose exponent a float32 has
    used = 24 - ((lowest.float().view(torch.int32) >> 23) - 127)
    return torch.where(mantissa > 0, used, (bits > 0).int()).amax().long()


def _counts(bits: torch.Tensor) -> torch.Tensor:
    place = torch.where(bits > 0, _exponent(bits) - LOWEST, -1)
    place = torch.where(bits < _INF, place, _EXPONENTS)  # a bin of their own, which is dropped
    # On CUDA only the histogram of integers is deterministic, on the CPU there is none of integers.
    numbers = place if place.is_cuda else place.float()
    return torch.histc(numbers, _EXPONENTS + 1, 0, _EXPONENTS + 1)[:_EXPONENTS].long()


def _exponent(bits: torch.Tensor) -> torch.Tensor:
    """Return the power of two of float32s of these bits (int32, not negative); 0 has some low one."""
    # A subnormal is its bits times 2^-149, so its exponent is that of the bits as a number.
    low = (bits.float().view(torch.int32) >> 23).clamp(min=127) - (127 - LOWEST)
    return torch.where(bits >= _NORMAL, (bits >> 23) - 127, low)


def _two_to(exponent: torch.Tensor) -> torch.Tensor:
    return ((exponent + 127) << 23).view(torch.float32)


def _wide_two_to(exponent: torch.Tensor) -> torch.Tensor:
    """Return 2^exponent as float64; what is below 2^-1022 is negligible wherever this is used."""
    return ((exponent.clamp(min=-1022) + 1023) << 52).view(torch.float64)


def _merged(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Merge rows [n, WORDS] with rows, pair by pair, as `statistics.merge` does."""
    out = one + other  # right for all counts
    scale = torch.maximum(one[:, WORD["scale"]], other[:, WORD["scale"]])
    out[:, WORD["scale"]] = scale
    out[:, WORD["mantissa"]] = torch.maximum(one[:, WORD["mantissa"]], other[:, WORD["mantissa"]])
    floats, n, mean = out.view(torch.float64), [], []
    for name in FLOATS:
        floats[:, WORD[name]] = 0
    for rows in (one, other):
        values = rows.view(torch.float64)
        r = _wide_two_to(rows[:, WORD["scale"]] - scale)
        for name, power in SUMS.items():
            floats[:, WORD[name]] += values[:, WORD[name]] * r**power
        n.append((rows[:, WORD["numel"]] - rows[:, WORD["nans"]] - rows[:, WORD["infs"]]).double())
        mean.append(values[:, WORD["sum"]] * r / n[-1].clamp(min=1))
    floats[:, WORD["m2"]] += (mean[0] - mean[1]) ** 2 * (n[0] * n[1] / (n[0] + n[1]).clamp(min=1))
    values = one.view(torch.float64), other.view(torch.float64)
    for name, of in (("max_abs", torch.maximum), ("min_abs", torch.minimum)):
        floats[:, WORD[name]] = of(*(part[:, WORD[name]] for part in values))
    return out
