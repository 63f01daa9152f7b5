"""Logs made by hand: each tensor has ordinary statistics but for those that a test changes."""

import numpy as np

from tandv.log.building import frame

ORDINARY = {
    "mean": 0.0, "mean_abs": 0.8, "max_abs": 3.0, "min_abs": 1e-3, "rm2": 1.0, "rm4": 1.3, "rm8": 1.9,
    "numel": 100, "zeros": 0, "nans": 0, "infs": 0,
}  # fmt: skip
COUNTS = ("numel", "zeros", "nans", "infs")


def log(steps, tensors, counts=None, exponents=(-1, 0)):
    """Return a log of tensors: {(tensor type, name): {"type": ..., "dtype": ..., a statistic: one value or [steps]}}.

    `steps` is how many or which; `counts` are those of exponents by tensor, [len(exponents)].
    """
    steps = np.arange(steps) if isinstance(steps, int) else np.asarray(steps)
    names = list(dict.fromkeys([*ORDINARY, *(key for one in tensors.values() for key in one)]))
    names = [name for name in names if name not in ("type", "dtype")]
    metadata = {name: [] for name in ("name", "type", "tensor_type", "step", "dtype")}
    scalars = {name: [] for name in names}
    rows = []
    for (kind, name), one in tensors.items():
        values = (name, one.get("type", "Linear"), kind, None, one.get("dtype", "float32"))
        for key, value in zip(metadata, values, strict=True):
            metadata[key] += [value] * len(steps)
        metadata["step"][-len(steps) :] = steps.tolist()
        for key in names:
            scalars[key].append(np.broadcast_to(one.get(key, ORDINARY.get(key, np.nan)), len(steps)))
        rows += [[0, *(counts or {}).get((kind, name), [0] * len(exponents)), 0]] * len(steps)
    columns = {
        key: np.concatenate(values).astype(np.int64 if key in COUNTS else np.float64) for key, values in scalars.items()
    }
    return frame(metadata, columns, np.array(rows), list(exponents))


def told(found):
    """Return kind, layer and step of findings."""
    return [(one.kind, one.layer, one.step) for one in found]


def from_step(at, steps, before, after):
    """Return one value before a step and another from it on, [steps]."""
    return np.where(np.arange(steps) < at, before, after)
