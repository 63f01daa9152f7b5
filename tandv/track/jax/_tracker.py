"""The tracker of a JAX run: what is intercepted, which trees are read when, and how rows come of it."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, Self

import jax

from tandv.track.common.measurements import Block, block
from tandv.track.common.saving import Source
from tandv.track.common.tracker import Tracker
from tandv.track.insight.numbers import with_numbers
from tandv.track.jax import _eager, _names, _trees, _weights
from tandv.track.jax._insight import Insight
from tandv.track.jax._names import Leaf
from tandv.track.jax._naming import Namer
from tandv.track.jax._nnx import is_object, through_state
from tandv.track.jax._program import Program, Programs, function_name
from tandv.track.jax._rows import Measured, Modules, OnDevice, OnHost
from tandv.track.jax._stash import Own, stash_all_stats_and_hist
from tandv.track.jax._tag import WEIGHT_GRADIENT
from tandv.track.settings import Every, Settings


class JaxTracker(Tracker):
    """Track a JAX model; made by `track`."""

    def __init__(
        self,
        settings: Settings,
        *,
        model: Any,
        optimizer: Any,
        promised: tuple[str, ...],
        every_trees: Every,
        title: str,
    ):
        stash_value, insight = settings.stash_value, settings.insight_asked()
        self._own = Own(stash_value) if stash_value not in (None, stash_all_stats_and_hist) else None
        super().__init__(settings, title=title, framework=f"jax {jax.__version__}", insight=insight)
        self._exponents = settings.exponents
        self._promised, self._gradients = promised, settings.track_gradients is not False
        self._weights, self._updates = settings.track_weights, settings.track_updates
        self._every_trees = every_trees
        self._selects = settings.selects
        self._programs = Programs(self._program)
        self._untraceable: set[str] = set()  # names of functions
        self._ran: set[Program] = set()
        self._reports = _eager.Reports(self._own)
        self._intercepted = 0
        self._modules = Modules(type(model).__name__ if is_object(model) else None)
        self._measured = Measured(0, [], [], [], False)  # in the current step
        self._phases: list[str] = []  # of what was intercepted in it
        self._before: list[Leaf] = []  # copies of the weights before the step, where updates are wanted
        self._insight = Insight(self, insight, self.raster) if insight is not None else None
        self._waiting: list[Measured] = []
        self._checked = False
        self._latest: dict[str, Any] = {"model_state": model, "opt_state": optimizer, "grads": None}

    # What users call.

    def intercept(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `function(*args, **kwargs)` and record the outputs of every module in it, and their gradients.

        >>> import jax.numpy as jnp
        >>> from tandv.track.jax import tag, track
        >>> with track(model_state={"w": jnp.ones(3)}) as tracker:
        ...     loss = tracker.intercept(jax.jit(lambda w: tag(w * 2, "doubled").sum()), jnp.ones(3))
        >>> float(loss)
        6.0

        The function may be jitted, call jitted functions, and use any of JAX's transforms. It is traced once,
        as `jax.jit` does; what is jitted in it is compiled with the measurements as one more output, the rest
        runs operation by operation. In a step that is not recorded the function is called as it is. What it
        raises passes through.
        """
        if not self.recording or self._state != "on":
            return function(*args, **kwargs)
        return through_state(self._call, function, args, kwargs)

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose every call is intercepted: `step_fn = tracker.wrap(step_fn)`, or `@tracker.wrap`."""

        @functools.wraps(function, updated=())
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return self.intercept(function, *args, **kwargs)

        return wrapped

    def step(self, model_state: Any = None, opt_state: Any = None, grads: Any = None, **numbers: Any) -> None:
        """End the current training step, with the new weights and state of the optimiser and the gradients.

        `numbers`, such as `loss=loss`, are what a rule for saving checkpoints watches.
        Give what was given to `track`; nnx modules and optimisers, which change in place, need not be given
        again. Raises TypeError naming the trees that were promised and are missing, before anything is kept.
        """
        given = {"model_state": model_state, "opt_state": opt_state, "grads": grads}
        if self._state in ("on", "new"):
            self._check(given)
        self._latest |= {name: tree for name, tree in given.items() if tree is not None}
        super().step(**numbers)
        self._let_go()

    def __enter__(self) -> Self:
        super().__enter__()
        self._let_go()
        return self

    # What the base asks for.

    def attach(self) -> None:
        pass

    def detach(self) -> None:
        self._before = []
        if self._insight is not None:
            self._insight.let_go()

    @property
    def has_measured(self) -> bool:
        return bool(self._measured.programs)

    def weights(self) -> Source:
        return _weights.source(lambda: self._latest["model_state"], self._modules.called)

    def start_of_step(self) -> None:
        """Read the weights that this step's forward pass will use."""
        self._measured = Measured(self.steps, [], [], [], False)
        self._phases = []
        self._intercepted = 0
        self._before = []
        model = self._latest["model_state"]
        if model is not None and self._has_trees():
            leaves = self._leaves("model_state", model)
            if self._weights:
                self._measure(leaves)
            if self._updates:
                self._before = [leaf._replace(array=jax.numpy.copy(leaf.array)) for leaf in leaves]
            if self._insight is not None:
                self._insight.start_of_step(self._chosen(leaves))

    def phase_changes(self) -> None:
        self._phases += [self.measurements.phase] * (len(self._measured.programs) - len(self._phases))

    def end_of_step(self) -> None:
        if self._intercepted and not any(records for records, _ in self._measured.programs):
            self.say_once(self._why_nothing())
        if not self._has_trees():
            return
        if self._gradients and self._latest["grads"] is not None:
            self._measure(self._leaves("grads", self._latest["grads"], WEIGHT_GRADIENT))
        if self._before:
            after = {leaf.name: leaf.array for leaf in self._leaves("model_state", self._latest["model_state"])}
            self._measure(
                [
                    leaf._replace(array=after[leaf.name] - leaf.array, tensor_type="Weight_Update")
                    for leaf in self._before
                    if leaf.name in after
                ]
            )
        if self._latest["opt_state"] is not None:
            self._measure(self._leaves("opt_state", self._latest["opt_state"]))
        if self._insight is not None:
            self._gain_insight(self._insight)

    def _gain_insight(self, insight: Insight) -> None:
        model, grads = self._latest["model_state"], self._latest["grads"]
        if grads is None:
            self.say_once("insight= is about gradients: give them to tracker.step(..., grads=grads)")
            return
        gradients = self._chosen(self._leaves("grads", grads, WEIGHT_GRADIENT))
        after = self._chosen(self._leaves("model_state", model)) if model is not None else []
        make = insight.end_of_step(gradients, after, self._latest["opt_state"], model)
        self._measured = self._measured._replace(numbers=make)

    def _keep(self) -> None:
        given = self._latest["grads"] is not None and self._has_trees()
        self.phase_changes()
        self._waiting.append(self._measured._replace(has_gradients=given, phases=tuple(self._phases)))
        self._recorded += 1

    def drain(self) -> None:
        """Have what was measured since the last time copied to the host, all at once, and made into rows."""
        waiting, self._waiting = self._waiting, []
        modules, size = self._modules.as_now(), sum(measured.nbytes for measured in waiting)
        self._writer.append(lambda: self._blocks(waiting, modules), size)

    def _blocks(self, waiting: list[Measured], modules: Modules) -> Iterator[Block]:
        arrived = jax.device_get([measured.words for measured in waiting])
        for measured, words in zip(waiting, arrived, strict=True):
            parts = list(modules.parts(measured, words, self._selects))
            if self._own is not None:
                rows = self._own.block(measured.step, parts)
            else:
                rows = block(measured.step, parts, self._exponents)
            yield with_numbers(rows, modules.named(measured.numbers))

    # Inside.

    def _call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        leaves, structure = jax.tree.flatten((args, kwargs))
        name = function_name(function)
        self._intercepted += 1
        if name not in self._untraceable:
            try:
                program = self._programs.find(function, leaves, structure)
            except _eager.UNTRACEABLE as error:
                self._untraceable.add(name)
                self.say_once(_eager.why(function, error))
            except Exception as error:
                output = function(*args, **kwargs)  # if the error is the function's own, it is raised from here
                self.fail(f"in tracing {name}", error)
                return output
            else:
                return self._run(program, function, leaves, args, kwargs)
        output, records, words, namer = self._reports.run(function, args, kwargs, self._namer)
        self._modules.note(namer)
        self._measured.programs.append(OnDevice(records, words))
        return output

    def _run(self, program: Program, function: Any, leaves: list[Any], args: Any, kwargs: Any) -> Any:
        new = program not in self._ran
        try:
            output, words = program(leaves)
        except Exception as error:
            if not new or any(isinstance(leaf, jax.Array) and leaf.is_deleted() for leaf in leaves):
                raise
            self.fail(f"in compiling {function_name(function)}", error)
            return function(*args, **kwargs)
        if program.namer.error is not None and new:
            self.say_once(f"some outputs are not recorded: {program.namer.error!r}")
        if new:
            self._ran.add(program)
            self._modules.note(program.namer)
        self._measured.programs.append(OnDevice(program.records, words))
        return output

    def _let_go(self) -> None:
        """Keep no array beyond the step that it was given for; of the weights their shapes give the names."""
        for name, tree in self._latest.items():
            if not is_object(tree):
                self._latest[name] = jax.tree.map(_shape_of, tree) if name == "model_state" else None

    def _program(self, function: Any, leaves: list[Any], structure: Any, dynamic: list[int]) -> Program:
        return Program(function, leaves, structure, dynamic, self._namer(), self._own)

    def _namer(self, report: Callable[..., None] | None = None) -> Namer:
        return Namer(self._selects, self._gradients, report)

    def _has_trees(self) -> bool:
        every = self._every_trees
        return bool(every(self.steps)) if callable(every) else self.steps % every == 0

    def _measure(self, leaves: list[Leaf]) -> None:
        leaves = self._chosen(leaves)
        if not leaves:
            return
        measured = _trees.measured(leaves, self._own)
        if isinstance(measured, OnHost):
            self._measured.read.append(measured)
        else:
            self._measured.trees.append(measured)

    def _chosen(self, leaves: list[Leaf]) -> list[Leaf]:
        return [leaf for leaf in leaves if self._selects(leaf.name) and self._is_measurable(leaf)]

    def _is_measurable(self, leaf: Leaf) -> bool:
        if _trees.is_measurable(leaf.array.dtype):
            return True
        why = f"arrays of {leaf.array.dtype} are not measured"
        self.say_once(f"{why} (first met at {leaf.tensor_type} {leaf.name!r})", why)
        return False

    def _leaves(self, argument: str, tree: Any, tensor_type: str = "Weight") -> list[Leaf]:
        if argument == "opt_state":
            return _names.optimizer_states(tree, self._latest["model_state"])
        return _names.weights(tree, tensor_type)

    def _check(self, given: dict[str, Any]) -> None:
        """Raise TypeError where a tree that `track` was promised is missing."""
        missing = [name for name in self._promised if given[name] is None]
        if missing:
            raise TypeError(
                f"tracker.step() lacks {' and '.join(missing)}, which track() was told to record; "
                "write tracker.step(model_state, opt_state, grads) with the values after the update"
            )
        if not self._checked:
            self._checked = True
            empty = [
                name
                for name, tree in given.items()
                if tree is not None and not any(_names.is_float(leaf) for leaf in jax.tree.leaves(tree))
            ]
            empty = [name for name in empty if name != "opt_state"]  # plain gradient descent has no state
            if empty:
                raise ValueError(f"{' and '.join(empty)} given to tracker.step() holds no float array; pass the tree")

    def _why_nothing(self) -> str:
        names = self._modules.names
        if not names:
            return (
                "no module was called in what tracker.intercept ran: modules of flax.linen, flax.nnx and equinox are "
                "seen; record other values by tandv.track.jax.tag(x, 'name')"
            )
        some = ", ".join(names[:10])
        return f"no output was recorded: include and exclude leave none of the modules that were called ({some})"


def _shape_of(leaf: Any) -> Any:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if _names.is_float(leaf) else leaf
