"""How a tracker runs each jitted program, and measures each marked value outside of jitted programs.

Only jitted functions are pure functions of their arguments by contract. So nothing is traced here, and all other Python
of the user runs unchanged: JAX traces what it would trace anyway, with marks in it, and where it would run the program
`_variant` runs it.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
from jax.sharding import Sharding

from tandv.tensor_types import ACTIVATION
from tandv.track.jax import _entry, _native
from tandv.track.jax._block_kernels import BlockFormats
from tandv.track.jax._collect import (
    EquationContext,
    Record,
    block_record,
    layer_of,
    spans_devices,
    words_of,
)
from tandv.track.jax._kernels import Kernel, chooser, xla
from tandv.track.jax._loss_scale import without_scale
from tandv.track.jax._parameter_sets import ParameterSets
from tandv.track.jax._parts import holds_marks
from tandv.track.jax._rows import OnDevice
from tandv.track.jax._shared_rows import Shapes, calls_of, say_shared
from tandv.track.jax._tag import SCALE, Mark, naming
from tandv.track.jax._units import axis_of, kernel_of
from tandv.track.jax._variant import Variant

_IN_KEY = ("donated_invars", "in_shardings", "out_shardings", "compiler_options_kvs")
_MANY = 64  # programs that are kept; with more, a function is jitted again and again


class Calls:
    """The jitted programs that one tracker has run."""

    def __init__(
        self,
        own: Callable[[Any], Kernel] | None,
        exact: bool,
        warn_once: Callable[..., None],
        fail: Callable[[str, Exception], None],
        settle: Callable[[], None],
        before: Callable[[], None],
        units: bool = False,
        blocks: BlockFormats | None = None,
        attention: Callable[[Any], Any] | None = None,
        roots: Callable[[], Mapping[str, Shapes]] = dict,
        phase: Callable[[], str] = str,
    ):
        self.sets, self._phase = ParameterSets(warn_once), phase
        self._roots = roots  # the models that were called
        self._units = units  # whether the units of values are measured, too
        self._blocks = blocks  # that values are measured in, too
        self._attention = attention  # adds marks of attention heads to a program
        self._measures = False  # whether a program of our own is run
        self._own, self._exact, self._warn_once, self._fail = own, exact, warn_once, fail
        self._settle = settle  # called when JAX has traced a program and is about to run it
        self._before = before  # called before the first program with marks runs, which may donate its arguments
        self._variants: OrderedDict[Any, Variant] = OrderedDict()
        self._of_values: dict[Any, Any] = {}
        self._scales: list[Any] = []  # of losses outside of jitted programs
        self._records = False
        self._installed = False
        self.left_out = False  # whether outputs were left out, with a warning
        self.found: list[OnDevice] = []
        self.new: list[Any] = []  # programs that ran for the first time, as (jaxpr, name)

    def remove(self) -> None:
        """Restore JAX's entry."""
        if self._installed:
            self._installed = False
            _entry.remove()

    def forget(self) -> None:
        """Keep no program."""
        self._variants.clear()

    @contextlib.contextmanager
    def on(self, records: bool) -> Iterator[None]:
        """Run the jitted programs of this thread with measurements or, in steps that are not recorded, unchanged."""
        if not self._installed and _entry.available():
            self._installed = True
            _entry.install()
        before = _entry.current.enter, naming.receive
        _entry.current.enter, naming.receive = self._program, self._value if records else None
        self._records, self.found, self.new = records, [], []
        try:
            yield
        finally:
            _entry.current.enter, naming.receive = before

    def _program(self, original: Any, args: Any, jaxpr: Any, parameters: dict[str, Any]) -> Any:
        self._settle()
        measured = self._with_heads(jaxpr)
        if not holds_marks(measured.jaxpr):
            if self._records and any(parameters["donated_invars"]):
                self._before()
            return _entry.AsItIs(original(*args, jaxpr=jaxpr, **parameters))

        def own(*args: Any) -> Any:
            return original(*args, jaxpr=jaxpr, **parameters)[0]

        if self._measures:  # this is one of our own, which holds the marks that are left out
            return own(*args)
        if self._records:
            self._before()
        try:
            variant = self._variant_of(args, measured, parameters) if self._records else None
            if variant is not None:
                self.sets.note(variant.calls, [*args, *measured.consts], variant.name, self._phase())
        except Exception as error:
            self._records, variant = False, None
            self._fail(f"in preparing the jitted {parameters['name']}", error)
        if variant is None:
            return own(*args)  # the same trace as in recorded steps: marks lower to nothing
        self._measures = True
        try:
            ran = variant.run(own, args)
        finally:
            self._measures = False
        self.sets.met(ran.results)
        if ran.problem is not None:
            self._records = False
            self._fail(f"in measuring the jitted {variant.name}", ran.problem)
        elif ran.words is not None:
            self.found.append(OnDevice(ran.records, ran.words))
        else:
            self._leave_out(
                f"the jitted {variant.name} uses what callbacks answer, or changes arrays in place; it cannot be run a "
                "second time to compare results, so its outputs are not recorded. `tandv.track.jax.measured` makes "
                "them results of the program itself"
            )
        if variant.why_two:
            kept = "Results stay those of the untracked run"
            if variant.unsure:
                kept = (
                    f"Those of its recorded runs {variant.unsure[0]} to {variant.unsure[1]} may differ so from the "
                    "untracked run; `track(..., exact=True)` rules that out from the first run on"
                )
            self._warn_once(
                f"the jitted {variant.name} is run as it is and once more to measure it: {variant.why_two}. "
                f"{kept}; recorded steps take about 1.5 times as long"
            )
        return ran.results

    def _leave_out(self, message: str) -> None:
        self.left_out = True
        self._warn_once(message)

    def _with_heads(self, jaxpr: Any) -> Any:
        if self._attention is None or not self._records or self._measures:  # which has the user's operations, too
            return jaxpr
        try:
            return self._attention(jaxpr)
        except Exception as error:
            self._attention = None
            self._warn_once(f"attention heads are not recorded: {type(error).__name__}: {error}")
            return jaxpr

    def _variant_of(self, args: Any, jaxpr: Any, parameters: dict[str, Any]) -> Variant:
        key = (
            id(jaxpr),
            *(parameters.get(name) for name in _IN_KEY),
            *(x.sharding for x in args if isinstance(x, jax.Array)),
        )
        if key not in self._variants:
            self.new.append((jaxpr, parameters["name"]))
            self._variants[key] = self._variant(args, jaxpr, parameters)
            self._variants[key].calls = calls_of(jaxpr, self._roots())
            say_shared(jaxpr, self._variants[key].calls, self._warn_once)
            if len(self._variants) > _MANY:
                self._variants.popitem(last=False)
        self._variants.move_to_end(key)
        return self._variants[key]

    def _variant(self, args: Any, jaxpr: Any, parameters: dict[str, Any]) -> Variant:
        asked = [s for s in (*parameters["in_shardings"], *parameters["out_shardings"]) if isinstance(s, Sharding)]
        alone = on_one_cpu(args) and not spans_devices(jaxpr.jaxpr) and all(s.num_devices == 1 for s in asked)
        ways = (True, False) if alone and self._own is None and _native.available() else (False,)
        place = EquationContext(
            self._choose(alone), [], units=self._units, blocks=self._blocks, one_cpu=alone, say=self._leave_out
        )
        places = [place._replace(choose=self._choose(alone, way), scales=[]) for way in ways]
        return Variant(jaxpr, parameters, places, self._exact)

    def _choose(self, one_cpu: bool, as_matrix: bool = False) -> Any:
        own = self._own
        return (lambda x, _: own(x)) if own is not None else chooser(one_cpu, as_matrix)

    def _value(self, x: Any, mark: Mark) -> None:
        """Measure a concrete value now: later it may be donated."""
        if _entry.current.again and mark.tensor_type == ACTIVATION:
            return
        try:
            if mark.tensor_type == SCALE:
                self._scales, kernel = [x], xla(x.dtype)
            else:
                kernel = None
            dtype, x = str(x.dtype), without_scale(x, mark, self._scales)
            kernel = kernel or self._choose(on_one_cpu([x]))(layer_of(x, mark), False)
            if (kernel, mark.axes) not in self._of_values:
                self._of_values[kernel, mark.axes] = jax.jit(lambda x: words_of(x, mark, kernel))
            words = self._of_values[kernel, mark.axes](x)
            record = Record(mark._replace(layers=()), dtype, kernel, tuple(x.shape[axis] for axis in mark.axes))
        except Exception as error:
            naming.receive = None
            self._fail(f"in measuring an output of {mark.type}", error)
        else:
            self.found.append(OnDevice([record], words.reshape(-1)))
            if self._units:
                self._units_of(x, mark)
            if self._blocks is not None:
                self._blocks_of(x, mark, self._blocks)

    def _units_of(self, x: Any, mark: Mark) -> None:
        axis = axis_of(x, mark)
        if axis is None:
            return
        kernel = kernel_of(x.shape[axis], axis)
        if kernel not in self._of_values:
            self._of_values[kernel] = jax.jit(lambda x: kernel.measure(x, ()))
        record = Record(mark._replace(layers=()), str(x.dtype), kernel, of_units=True)
        self.found.append(OnDevice([record], self._of_values[kernel](x)))

    def _blocks_of(self, x: Any, mark: Mark, blocks: BlockFormats) -> None:
        mark = mark._replace(layers=())
        record = block_record(x, mark, blocks, on_one_cpu([x]))
        if record is None:
            return
        kernel = record.kernel
        if (kernel, mark.axes) not in self._of_values:
            self._of_values[kernel, mark.axes] = jax.jit(lambda x: words_of(x, mark, kernel))
        self.found.append(OnDevice([record], self._of_values[kernel, mark.axes](x).reshape(-1)))


def on_one_cpu(values: Any) -> bool:
    """Tell whether arrays are on one device, and that is a CPU."""
    devices = {device for x in values if isinstance(x, jax.Array) for device in x.devices()} or {jax.devices()[0]}
    return len(devices) == 1 and next(iter(devices)).platform == "cpu"
