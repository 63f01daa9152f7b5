"""The oracle: one slow, plain measurement in extended precision that every producer is compared with."""

import math

import numpy as np


def reference(x: np.ndarray) -> dict[str, float]:
    """Return every scalar statistic of `x` from its finite values, computed in longdouble."""
    flat = np.asarray(x).reshape(-1).astype(np.float64)
    known = flat[np.isfinite(flat)].astype(np.longdouble)
    counts = {
        "numel": flat.size,
        "zeros": int((flat == 0).sum()),
        "nans": int(np.isnan(flat).sum()),
        "infs": int(np.isinf(flat).sum()),
    }
    if not known.size:
        return counts | dict.fromkeys(("mean", "std", "mean_abs", "max_abs", "min_abs", "rm2", "rm4", "rm8"), math.nan)
    magnitude = np.abs(known)
    moments = {
        "mean": known.mean(),
        "std": np.sqrt(np.square(known - known.mean()).mean()),
        "mean_abs": magnitude.mean(),
        "max_abs": magnitude.max(),
        "min_abs": magnitude.min(),
        "rm2": np.sqrt(np.square(known).mean()),
        "rm4": np.square(np.square(magnitude)).mean() ** (np.longdouble(1) / 4),
        "rm8": np.square(np.square(np.square(magnitude))).mean() ** (np.longdouble(1) / 8),
    }
    return counts | {name: float(value) for name, value in moments.items()}


def reference_bits(x: np.ndarray) -> float:
    """Return how many mantissa bits any finite value uses, as float64 or else float32 store it; NaN without one."""
    flat = np.asarray(x).reshape(-1)
    flat = flat if flat.dtype == np.float64 else flat.astype(np.float32)
    words, bits = (np.uint64, 52) if flat.dtype == np.float64 else (np.uint32, 23)
    stored = flat[np.isfinite(flat) & (flat != 0)].view(words)
    if not stored.size:
        return math.nan
    used = int(np.bitwise_or.reduce(stored)) & (2**bits - 1)
    return bits - (used & -used).bit_length() + 1 if used else 0


def reference_counts(x: np.ndarray) -> dict[float, int]:
    """Return how many values lie in each power of two, with zeros at -inf and infinities at inf."""
    values = np.abs(np.asarray(x).reshape(-1).astype(np.float64))
    above_zero = values[np.isfinite(values) & (values != 0)]
    counts = {-math.inf: int((values == 0).sum()), math.inf: int((values == math.inf).sum())}
    for exponent, count in zip(*np.unique(np.frexp(above_zero)[1], return_counts=True), strict=True):
        counts[int(exponent) - 1] = int(count)
    return {at: count for at, count in sorted(counts.items()) if count}


def reference_heads(logits: np.ndarray, visible: np.ndarray | bool = True) -> list[dict[str, float]]:
    """Return what is logged of each head, in float64; logits are [example, head, query, key], `visible` broadcasts."""
    logits = np.asarray(logits, np.float64)
    seen = np.broadcast_to(visible, logits.shape)
    out = []
    for head in range(logits.shape[1]):
        rows = [row[keep] for row, keep in zip(_rows(logits[:, head]), _rows(seen[:, head]), strict=True) if keep.any()]
        first = [keep[0] for keep in _rows(seen[:, head]) if keep.any()]
        weights = [np.exp(row - row.max()) / np.exp(row - row.max()).sum() for row in rows]
        out.append(
            {
                "numel": len(rows),
                "largest_logit": max(row.max() for row in rows),
                "mean": float(np.mean([row.max() for row in rows])),
                "attention_entropy": float(np.mean([-(p[p > 0] * np.log(p[p > 0])).sum() for p in weights])),
                "first_token_share": float(np.mean([p[0] * at for p, at in zip(weights, first, strict=True)])),
            }
        )
    return out


def _rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1])


def reference_experts(logits: np.ndarray, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Return what is logged of a mixture of experts, in float64; logits are [token, expert], `chosen` [token, k]."""
    logits = np.asarray(logits, np.float64)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return {
        "probability": p.mean(0),
        "expert_load": np.array([(chosen == expert).any(1).mean() for expert in range(logits.shape[1])]),
        "router_entropy": -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(1).mean(),
    }
