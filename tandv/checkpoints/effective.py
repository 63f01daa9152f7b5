"""The weights that a model computes with, where a file holds what they are computed from.

PyTorch keeps a pruned weight as `weight_orig` and `weight_mask`, one under spectral norm as the weight and the vectors
u and v, one under weight norm as a length g and a direction v. Each is measured as the weight that the layers see, and
so are quantised weights with scales, and layers that fine-tuning with PEFT has replaced.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from tandv.checkpoints.entries import Entry
from tandv.checkpoints.quantised import scaled
from tandv.messages import some

Read = Callable[[], np.ndarray]
_PARAMETRISED = re.compile(r"(.*\.)?parametrizations\.(\w+)\.(original\d*)")
_REPLACING = re.compile(r"(.*)\.modules_to_save\.[^.]+(\..+)")  # the name between is of the adapter


def effective(entries: Mapping[str, Entry]) -> tuple[dict[str, Entry], list[str]]:
    """Return entries with each weight as it is used in place of what it is computed from, and sentences on that.

    >>> of = {"weight_orig": np.array([1.0, 2.0]), "weight_mask": np.array([1.0, 0.0])}
    >>> kept, said = effective({f"fc.{n}": Entry("float64", (2,), lambda n=n: of[n]) for n in of})
    >>> kept["fc.weight"].read().tolist(), said
    ([1.0, 0.0], ['pruned, measured with the mask applied: fc.weight'])

    Args:
        entries: the tensors of a model by name.
    """
    out: dict[str, Entry] = {}
    used: set[str] = set()
    said: dict[str, list[str]] = {}
    for name, entry in entries.items():
        if name in used:
            continue
        module, _, last = name.rpartition(".")
        at = f"{module}." if module else ""
        found = None
        if last.endswith("_orig"):
            found = _pruned(name, at + last.removesuffix("_orig"), entries, "{}_mask") or _spectral(
                name, at + last.removesuffix("_orig"), entries, "{}_u", "{}_v"
            )
        elif last.endswith("_g"):
            found = _normed(name, at + last.removesuffix("_g"), entries, name.removesuffix("_g") + "_v")
        elif parametrised := _PARAMETRISED.fullmatch(name):
            found = _of_parametrisation(name, parametrised, entries)
        elif replacing := _REPLACING.fullmatch(name):
            found = _replacing(name, replacing, entries)
        elif quantised := scaled(name, entries):
            out[name] = entry._replace(dtype="float32", read=quantised[1], storage=None)
            used.add(quantised[0])
            said.setdefault("quantised, measured as multiplied by the scales", []).append(name)
            continue
        if found is None or found[1] in entries:
            out[name] = entry
            continue
        why, called, parts, read = found
        used |= {*parts}
        out[called] = entries[parts[0]]._replace(read=read, storage=None)
        said.setdefault(why, []).append(called)
    # a part may stand before the weight that it is a part of
    kept = {name: entry for name, entry in out.items() if name not in used}
    return kept, [f"{why}: {some(names)}" for why, names in said.items()]


_WEIGHT_NORM = "weight norm, measured as g · v / ‖v‖"
Computed = tuple[
    str, str, list[str], Read
]  # what was done, the name, the parts of which the first has its shape, and how


def _pruned(name: str, called: str, entries: Mapping[str, Entry], mask: str) -> Computed | None:
    mask = mask.format(called)
    if mask not in entries or entries[mask].shape != entries[name].shape:
        return None
    read = partial(_product, entries[name].read, entries[mask].read)
    return "pruned, measured with the mask applied", called, [name, mask], read


def _spectral(name: str, called: str, entries: Mapping[str, Entry], u: str, v: str) -> Computed | None:
    u, v = u.format(called), v.format(called)
    if u not in entries or len(entries[u].shape) != 1:
        return None
    axes = [axis for axis, length in enumerate(entries[name].shape[:2]) if length == entries[u].shape[0]]
    if not axes:
        return None
    has_v = v in entries
    read = partial(_over_sigma, entries[name].read, entries[u].read, entries[v].read if has_v else None, axes)
    return "spectral norm, measured as the weight over its σ", called, [name, u, *([v] if has_v else [])], read


def _normed(name: str, called: str, entries: Mapping[str, Entry], direction: str) -> Computed | None:
    if direction not in entries:
        return None
    lengths, shape = entries[name].shape, entries[direction].shape
    per_axis = len(lengths) == len(shape) and all(n in (1, whole) for n, whole in zip(lengths, shape, strict=True))
    # with one input and a kernel of one, g is as large as v; elsewhere, two of the same size are something else
    alike = lengths == shape and (len(shape) < 2 or sum(length > 1 for length in shape) > 1)
    if alike or not (per_axis or lengths == ()):
        return None
    read = partial(_with_length, entries[name].read, entries[direction].read)
    return _WEIGHT_NORM, called, [direction, name], read


def _of_parametrisation(name: str, found: re.Match[str], entries: Mapping[str, Entry]) -> Computed | None:
    """Return a weight as the parametrisations of PyTorch that are applied to it one after the other make it."""
    module, parameter, which = found[1] or "", found[2], found[3]
    called, inside = f"{module}{parameter}", f"{module}parametrizations.{parameter}."
    beside = [one for one in entries if one.startswith(inside) and one != name]
    first = {"original": name, "original0": f"{inside}original1"}.get(which)
    if first is None or first not in entries:
        return None
    unknown = "parametrised by code that is not in the file, measured as stored", called, [name, *beside]
    stored = entries[name].read
    current = entries[first]
    done: list[str] = []
    if which == "original0":
        # of several tensors, a parametrisation must be the first
        normed = _normed(name, called, entries, first)
        if normed is None:
            return None
        done.append(normed[0])
        current = current._replace(read=normed[3])
        beside.remove(first)
    parts: dict[str, dict[str, str]] = {}
    for one in beside:
        number, _, last = one.removeprefix(inside).partition(".")
        parts.setdefault(number, {})[last] = one
    # what has no tensors does not show: only those that follow each other without a gap are all
    if not (done or parts) or sorted(parts) != [str(i + len(done)) for i in range(len(parts))]:
        return *unknown, stored
    for number in sorted(parts):
        of = parts[number]
        known = {**{f"w_{last.removeprefix('_')}": entries[one] for last, one in of.items()}, "w_orig": current}
        if set(of) == {"_u", "_v"}:
            step = _spectral("w_orig", "w", known, "{}_u", "{}_v")
        else:
            mask = next((last for last in of if last.endswith("mask")), None) if len(of) == 1 else None
            step = _pruned("w_orig", "w", known, f"w_{mask.removeprefix('_')}") if mask else None
        if step is None:
            return *unknown, stored
        done.append(step[0])
        current = current._replace(read=step[3])
    shaped = first if which == "original0" else name
    return _together(done), called, [shaped, name, *beside], current.read


def _together(done: list[str]) -> str:
    return (
        done[0] if len(done) == 1 else f"{' and then '.join(one.partition(',')[0] for one in done)}, measured with all"
    )


def _replacing(name: str, found: re.Match[str], entries: Mapping[str, Entry]) -> Computed | None:
    others = [one for one in entries if (m := _REPLACING.fullmatch(one)) and m.groups() == found.groups()]
    if len(others) > 1:  # of several adapters
        return None
    replaced = f"{found[1]}.original_module{found[2]}"
    parts = [name, *([replaced] if replaced in entries else [])]
    return (
        "replaced by fine-tuning (modules_to_save), measured as what replaces it",
        found[1] + found[2],
        parts,
        entries[name].read,
    )


def _product(weight: Read, mask: Read) -> np.ndarray:
    values = weight()
    return values * mask().astype(values.dtype)


def _over_sigma(weight: Read, u: Read, v: Read | None, axes: list[int]) -> np.ndarray:
    values = weight()
    wide, left = values.astype(np.float64), u().astype(np.float64)

    def sigma(axis: int) -> float:
        rows = np.moveaxis(wide, axis, 0).reshape(wide.shape[axis], -1)
        towards = rows.T @ left  # without v, it is this over its length
        return float(np.linalg.norm(towards) if v is None else towards @ v().astype(np.float64))

    # of a square convolution, u may be of outputs or of inputs: of the right ones it gives the larger σ
    found = max(map(sigma, axes), key=abs)
    return (wide / found).astype(values.dtype) if found else values


def _with_length(lengths: Read, directions: Read) -> np.ndarray:
    g, v = lengths(), directions()
    axes = tuple(i for i in range(v.ndim) if g.ndim == 0 or g.shape[i] == 1)
    wide = v.astype(np.float64)
    norm = np.sqrt(np.square(wide).sum(axis=axes, keepdims=g.ndim > 0))
    return (g.astype(np.float64) * wide / np.where(norm == 0, 1, norm)).astype(v.dtype)
