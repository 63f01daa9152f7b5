"""Functions that cannot be traced as a whole: run as they are, with every module's output measured as it comes.

What the function computes outside of `jax.jit` is measured at once; jitted functions that it calls report
through JAX's debug callbacks, the slow way.
"""

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tandv import measure
from tandv.track.common.writer import warn
from tandv.track.jax._collect import Record
from tandv.track.jax._kernels import Kernel, host
from tandv.track.jax._naming import Namer
from tandv.track.jax._program import function_name, observed
from tandv.track.jax._tag import Mark

UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def why(function: Callable[..., Any], error: Exception) -> str:
    """Say that a function cannot be traced, and where."""
    return (
        f"{function_name(function)} cannot be traced by JAX ({type(error).__name__}{_line(error)}), so it is run "
        "as it is and its modules report one by one, which is slow; pass the jitted step itself to tracker.intercept"
    )


def _line(error: Exception) -> str:
    """Return the user's line at which tracing failed."""
    ours = tuple(str(Path(file).parent) + os.sep for file in (jax.__file__, __file__))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(ours)]
    return f" at {frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""


class Reports:
    """Collects what the modules of functions that run as they are report."""

    def __init__(self, own: Callable[[Any], Kernel] | None):
        self._own = own
        self._context = object()  # what is compiled with reports in it is never taken for anything else
        self._records: list[Record] = []
        self._words: list[np.ndarray] = []
        self._on = False
        self._failed = False

    def run(
        self, function: Callable[..., Any], args: Any, kwargs: Any, namer: Callable[..., Namer]
    ) -> tuple[Any, list[Record], np.ndarray, Namer]:
        """Call a function; return its output, and the records and packed words of what was reported."""
        self._records, self._words, self._on = [], [], True
        naming = namer(self.report)
        try:
            with observed(naming, (args, kwargs), self._context):
                output = function(*args, **kwargs)
            jax.effects_barrier()
        finally:
            self._on = False
        words = np.concatenate(self._words) if self._words else np.zeros(0, np.uint32)
        return output, self._records, words, naming

    def report(self, value: Any, mark: Mark) -> None:
        """Measure one value; what goes wrong is said once and never reaches the function."""
        if not self._on:
            return
        try:
            if self._own is not None:
                kernel = self._own(value)
                words = np.asarray(kernel.measure(jax.numpy.asarray(value), ()))
            else:
                row = measure.measure([np.asarray(value)])
                kernel = host(str(value.dtype) == "float64")
                words = row.view(np.uint32).reshape(-1)
            self._records.append(Record(mark._replace(report=None, layers=()), str(value.dtype), kernel))
            self._words.append(words)
        except Exception as error:
            if not self._failed:
                self._failed = True
                warn(f"an output of {mark.type} could not be measured: {type(error).__name__}: {error}")
