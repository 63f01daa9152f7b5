"""Measure the same arrays by every producer, and print what each row says, in exact numbers.

Reads plans as JSON, `[{"new_field": bool, "plant": [MODULE, OLD, NEW] or null, "by": [PRODUCER, ...]}, ...]`, each of
which can add fields in front of a row's integers and of its sums, and replace a text in one of tandv's modules, before
any of them is imported: each is followed in a child of its own. What they all import first is imported once.
"""

import importlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class _Changed(importlib.machinery.SourceFileLoader):
    changes: tuple[tuple[str, str], ...]

    def get_code(self, fullname: str) -> Any:
        source = self.get_source(fullname)
        assert source is not None
        for old, new in self.changes:
            assert old in source, f"{fullname} has no {old!r}"
            source = source.replace(old, new)
        return compile(source, self.path, "exec", dont_inherit=True)


class _Changes(importlib.abc.MetaPathFinder):
    """Finds the modules that are to be changed while they are read; on disk nothing changes."""

    def __init__(self, changes: dict[str, tuple[tuple[str, str], ...]]):
        self._changes = changes

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname not in self._changes:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None and spec.origin is not None
        spec.loader = _Changed(fullname, spec.origin)
        spec.loader.changes = self._changes[fullname]
        return spec


def arrays() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, 1e-42, 3e38, -1e-30], np.float32)
    return [random.normal(3, 2, 5000).astype(np.float32), random.normal(0, 1e-3, 77).astype(np.float32), odd]


def by_numpy(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    from tandv import statistics
    from tandv.measure import _numpy

    row = statistics.empty_rows(1)
    _numpy.add(first, row)
    _numpy.add(second, row)
    return row


def by_numba(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    from tandv import measure

    rows = measure.measure([first])
    measure.add([second], [0], rows)
    return rows


def _by_rows(producer: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def measured(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        import torch

        from tandv.measure.device import DeviceRows

        rows = DeviceRows("cpu", 1, producer=producer)
        for array in (first, second):
            rows.add([torch.from_numpy(array)], [0])
        found = rows.send().rows()
        assert rows.producer == producer  # and not what serves instead
        return found

    return measured


def by_xla(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    import jax

    from tandv.track.jax import _xla

    def both(a: jax.Array, b: jax.Array) -> jax.Array:
        return _xla.merge(_xla.measure(a), _xla.measure(b), np.dtype(np.float32))

    return _xla.rows_of(np.asarray(jax.jit(both)(first, second)), np.dtype(np.float32))


def by_ffi(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    import jax

    from tandv.track.jax import _native

    assert _native.available()
    words = jax.jit(lambda a, b: _native.merge(_native.measure(a), _native.measure(b)))(first, second)
    return _native.rows_of(np.asarray(words))


PRODUCERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "numpy": by_numpy,
    "numba": by_numba,
    "torch": _by_rows("torch"),
    "triton": _by_rows("triton"),
    "xla": by_xla,
    "ffi": by_ffi,
}


def said(row: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Return a row's fields as they are to the last bit, its counts by exponent, and its statistics."""
    from tandv import statistics

    fields = {name: float(row[name][0]).hex() for name in names}
    counts = {str(exponent): count for exponent, count in statistics.counts_of(row[0]).items()}
    numbers = {name: float(values[0]).hex() for name, values in statistics.summarise(row).items()}
    return {"fields": fields, "counts": counts, "statistics": numbers}


# A new field of a row, in front of all others, by the recipe in CONTRIBUTING: its name and, in the producers that
# collect their numbers by name, its value. Kernels do without a line: what they do not know they leave zero.
NEW_FIELD = {
    "tandv.statistics": (("INTEGERS = (", 'INTEGERS = ("new_count", '), ("SUMS = {", 'SUMS = {"new": 3, ')),
    "tandv.measure.torch_operations": (
        ("integers = {", 'integers = {"new_count": nans,'),
        ("sums = {", 'sums = {"new": y4.sum(dtype=torch.float64),'),
    ),
    "tandv.track.jax._xla": (("sums = {", 'sums = {"new": total(y4, axes),'),),
}


def follow(plan: dict[str, Any]) -> dict[str, Any]:
    """Return what each producer measures of two pairs of arrays, with tandv as the plan has it."""
    changes: dict[str, tuple[tuple[str, str], ...]] = dict(NEW_FIELD) if plan["new_field"] else {}
    if plan["plant"]:
        module, old, new = plan["plant"]
        changes[module] = (*changes.get(module, ()), (old, new))
    sys.meta_path.insert(0, _Changes(changes))
    np.seterr(all="ignore")  # of NaN and infinity, which Triton's interpreter warns of

    from tandv import statistics

    names = [name for name in statistics.INTEGERS + statistics.FLOATS if not name.startswith("new")]
    first, second, odd = arrays()
    return {
        producer: [said(PRODUCERS[producer](*pair), names) for pair in ((first, second), (odd, first))]
        for producer in plan["by"]
    }


def main() -> None:
    os.environ["TRITON_INTERPRET"] = "1"
    for package in ("jax", "numba", "pandas", "pyarrow", "torch", "triton.language"):
        importlib.import_module(package)
    found = []
    for plan in json.load(sys.stdin):
        assert not any(name.partition(".")[0] == "tandv" for name in sys.modules)
        reading, writing = os.pipe()
        if not (child := os.fork()):
            with open(writing, "w") as pipe:
                json.dump(follow(plan), pipe)
            os._exit(0)
        os.close(writing)
        with open(reading) as pipe:
            text = pipe.read()
        _, status = os.waitpid(child, 0)
        assert status == 0, f"{plan} failed"
        found.append(json.loads(text))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
