"""A jitted program of the user, run so that it also measures its marked values, with the same results.

One program that computes and measures is faster. But XLA compiles it as a whole, so results may differ from those of
the user's own program in their last bits. So its first runs return the results of the user's own program, and compare
them. Where they differ values are measured in another way, if there is one. Where they still differ the user's program
computes all results from then on, and a second program measures; likewise where nothing can be compared.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.sharding import Sharding

from tandv.track.jax._bits import Bits, bits_of, copied
from tandv.track.jax._collect import EquationContext, Found, Record, inline
from tandv.track.jax._effects import without_callbacks
from tandv.track.jax._left_out import loops_in
from tandv.track.jax._packing import packed

_FIRST = 16  # runs that are compared, one after the other: of a few numbers all may be rounded alike by chance
_SMALL = 2**24  # bytes of results; of more numbers some differ at once
_OF_LARGE = (1, 2, 4, 8)  # runs that are compared; a first step whose gradients are zero proves little

_SEARCHING = (
    "jax_debug_nans",
    "jax_debug_infs",
)  # with these JAX checks the user's own program for NaNs

Own = Callable[..., Any]  # runs the user's own program on arguments


class Ran(NamedTuple):
    """The results of a run, and its measurements, if there are any."""

    results: Any
    records: list[Record]
    words: Any
    problem: Exception | None = None  # in measuring


class Variant:
    """One jitted program and how it is measured: in the first of the ways that leaves its results as they are."""

    def __init__(self, jaxpr: Any, parameters: dict[str, Any], ways: Sequence[EquationContext], exact: bool):
        self.jaxpr = jaxpr  # referenced, so that its id is not reused
        self.name = parameters["name"]
        self.records: list[Record] = []
        self.calls: dict[str, Any] = {}  # of models, see `calls_of`
        self.why_two = ""  # why it is run as two programs, if not because of `exact`
        self.unsure: tuple[int, int] | None = None  # first and last run whose results may differ in their last bits
        self._place, *self._others = ways
        self._parameters = parameters
        self._since = 0  # runs before the present way
        self._donated = tuple(i for i, is_donated in enumerate(parameters["donated_invars"]) if is_donated)
        self._runs = self._compared = 0  # the last run that was compared
        self._small = sum(_bytes_of(x) for x in jaxpr.out_avals) <= _SMALL
        self._failed = False
        self._silent = without_callbacks(jaxpr)
        self._two = exact or bool(jaxpr.effects) or _has_layouts(parameters)
        self._make_programs()

    def _make_programs(self) -> None:
        options = dict(self._parameters.get("compiler_options_kvs") or ()) or None
        self._alone = jax.jit(lambda *inputs: self._both(self._silent, inputs)[1], compiler_options=options)
        self._whole = jax.jit(
            lambda *inputs: self._both(self.jaxpr, inputs), donate_argnums=self._donated, compiler_options=options
        )

    def run(self, own: Own, args: tuple[Any, ...]) -> Ran:
        """Run the program; it donates the same arguments as the user's own."""
        if self._failed or self._silent is None:
            return Ran(own(*args), [], None)
        if self._two or any(getattr(jax.config, flag) for flag in _SEARCHING):
            ran = self._run_two(own, args)
        elif self._is_compared(self._runs + 1):
            ran = self._compare(own, args)
        else:
            results, words = self._whole(*args)
            ran = Ran(results, self.records, words)
        # A program that raises for the user, too, gets no further: that is its own error, and it may be run again.
        self._failed = ran.problem is not None
        self._runs += 1
        return ran

    def _is_compared(self, run: int) -> bool:
        run -= self._since
        if not self._small:
            return run in _OF_LARGE
        return run <= _FIRST or run & (run - 1) == 0  # a power of two

    def _run_two(self, own: Own, args: tuple[Any, ...]) -> Ran:
        """Measure first: the user's own program may donate its arguments."""
        words, problem = self._attempt(lambda: self._alone(*args))
        return Ran(own(*args), self.records if problem is None else [], words, problem)

    def _compare(self, own: Own, args: tuple[Any, ...]) -> Ran:
        def measured() -> Any:  # nothing of it is left when the user's own program needs the memory
            copies = dict(zip(self._donated, copied([args[i] for i in self._donated]), strict=True))
            results, words = self._whole(*[copies.get(i, x) for i, x in enumerate(args)])
            return words, list(map(bits_of, results))

        found, problem = self._attempt(measured)
        words, found = found or (None, None)
        results = own(*args)
        if found is not None and not _everywhere(_same(found, results)):
            self._give_up()
        self._compared = self._runs + 1
        return Ran(results, self.records if problem is None else [], words, problem)

    def _attempt(self, run: Callable[[], Any]) -> tuple[Any, Exception | None]:
        """Return what a run gives, or why it fails; the first one is run again without what loops run if it fails."""
        try:
            return run(), None
        except Exception as error:
            problem = error.with_traceback(None)  # which would hold arrays
        if self._runs or jax.process_count() > 1 or not loops_in(self.jaxpr.jaxpr):
            return None, problem
        said: list[str] = []
        whole, self._place = self._place, self._place._replace(without_loops=problem, say=said.append)
        self._make_programs()
        try:
            found = run()
        except Exception:  # the first one tells more
            return None, problem
        self._place = self._place._replace(say=whole.say)
        for message in said:
            whole.say(message)
        return found, None

    def _give_up(self) -> None:
        """Go on to the next way or, after the last one or where results of this one were used, to two programs."""
        if self._compared == self._runs and self._others:
            self._place = self._others.pop(0)._replace(without_loops=self._place.without_loops)
            self._since = self._runs + 1
            self._make_programs()
            return
        self._two = True
        self.why_two = "measured within it, its results differ in their last bits"
        if self._compared < self._runs:
            self.unsure = self._compared + 1, self._runs

    def _both(self, jaxpr: Any, inputs: Any) -> tuple[list[Any], jax.Array]:
        inputs = _placed(inputs, self._parameters["in_shardings"])
        found: Found = inline(jaxpr, inputs, self._place)
        self.records = found.records
        return _placed(found.outputs, self._parameters["out_shardings"]), packed(found.words)


def _placed(values: Any, shardings: Any) -> list[Any]:
    return [
        jax.lax.with_sharding_constraint(x, sharding) if isinstance(sharding, Sharding) else x
        for x, sharding in zip(values, shardings, strict=True)
    ]


def _bytes_of(aval: Any) -> int:
    return getattr(aval, "size", 0) * getattr(getattr(aval, "dtype", None), "itemsize", 0)


def _has_layouts(parameters: dict[str, Any]) -> bool:
    """Tell whether the program has layouts of arrays that the user chose."""
    return any(layout is not None for key in ("in_layouts", "out_layouts") for layout in parameters.get(key, ()))


def _same(found: list[Bits], results: Any) -> bool:
    try:
        return all(one.same_as(bits_of(x)) for one, x in zip(found, results, strict=True))
    except Exception:  # what cannot be compared is not known to be the same
        return False


def _everywhere(same: bool) -> bool:
    """Return whether `same` holds in every process; all must run the same programs."""
    if jax.process_count() == 1:
        return same
    from jax.experimental.multihost_utils import process_allgather

    return bool(process_allgather(jax.numpy.asarray(same)).all())
