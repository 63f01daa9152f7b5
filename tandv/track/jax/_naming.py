"""Names for values while a program is traced: the path in the model of the module that returns them."""

import contextlib
import itertools
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.core
from jax._src import core as jax_core
from jax.extend import core

from tandv.tensor_types import ACTIVATION
from tandv.track.jax._models import is_other_model, is_tracked_model, shapes_of
from tandv.track.jax._stacks import learned
from tandv.track.jax._tag import Mark, is_unknown, mark_leaves, naming

Path = tuple[str | None, ...]  # None for the number of a layer, where layers are scanned over

# Part of the keys of JAX's caches, so that a trace without marks, or with those of another module, is not reused.
_traced_for = jax.make_user_context(None)
_RULES = ("_flatten_fwd", "_flatten_jvp")  # functions of JAX that call the user's
_trace_context: Any = getattr(jax_core, "trace_ctx", None)
trace_now: Callable[..., Any] = getattr(core, "get_opaque_trace_state", None) or jax.core.get_opaque_trace_state


class Frame(NamedTuple):
    """A module that is being called."""

    path: Path
    layers: tuple[int, ...]  # lengths of the scans over layers around it
    type: str
    module: Any
    shapes: dict[tuple[str, ...], tuple[int, ...]]  # of its parameters
    trace: Any  # JAX's current trace


class Namer:
    """Marks outputs by the names of their modules while one function is traced."""

    def __init__(
        self,
        selects: Callable[[str], bool] = lambda _: True,
        gradients: bool = True,
        activations: bool = True,
    ):
        self.names: dict[str, str] = {}  # of the modules that were called, in that order, and their types
        self.root: str | None = None  # the class whose layers bear no prefix
        self.is_root_known = False  # whether that is the class of the tracked model for certain
        self.also_root: str | None = None  # a class that may as well be
        self.roots: dict[str, frozenset[tuple[int, ...]]] = {}  # shapes of the parameters of each model, by its name
        self.error: Exception | None = None  # the first of our own
        self.is_taken = False  # whether another tracker intercepted a call within one of this one
        self.gradients = gradients
        self.stacks: dict[Any, tuple[int, ...]] = {}  # axes of parameters that number layers, see `_stacks`
        self.left_out: dict[str, str] = {}  # dtypes that are not measured, and the first value that has each
        self.doubled: dict[str, None] = {}  # names that several modules or tags have
        self._owners: dict[str, tuple[Any, ...]] = {}  # of each name, the module or tag that had it first
        self.in_rules: dict[str, None] = {}  # values that were tagged within the user's rules of differentiation
        self.scaled = 0  # depth of scaled losses that are being computed
        self.models: list[Any] = []  # in which modules are looked for
        self.tracked: Any = None  # the model that is tracked, or its parameters, where they are known
        self.below: dict[int, tuple[Any, Any]] = {}  # the modules below a module, and the module itself
        self.turns: dict[Any, int] = {}  # calls of modules that cannot be told apart
        self._selects, self._activations = selects, activations
        self.frames: list[Frame] = []  # the modules that are being called, outermost first
        self.lifted: list[Frame] = []  # those whose parameters are taken by functions of their own, see `_haiku`

    @contextlib.contextmanager
    def on(self, context: Hashable) -> Iterator[None]:
        """Name values in this thread; what JAX traces meanwhile is cached for this context only."""
        before, naming.namer = naming.namer, self
        self._context, self._apart, self._outside = context, itertools.count(1), trace_now()
        with _traced_for((context, 0)), contextlib.ExitStack() as self._contexts:
            try:
                yield
            finally:
                naming.namer = before
                self.models, self.frames, self.below, self.turns = [], [], {}, {}  # release references
                self.lifted = []
                self.tracked = None

    def settle(self) -> None:
        """Note the end of a trace; the next one uses the first key of the cache again.

        So a function that was traced in an earlier step is found in the cache, whatever was traced before it.
        """
        if not is_staged():
            self._contexts.close()
            self._apart = itertools.count(1)

    @property
    def frame(self) -> Frame | None:
        """The module that is being called."""
        return self.frames[-1] if self.frames else None

    def call(
        self,
        module: Any,
        path: tuple[str, ...],
        parameters: Any,
        run: Callable[[], Any],
        marked: bool = True,
        outer: Frame | None = None,
    ) -> Any:
        """Run a module's method at its path below `outer`; mark its output."""
        try:
            frame = self._enter(module, path, parameters, marked, outer)
        except Exception as error:
            self.error = self.error or error
            return run()
        self.frames.append(frame)
        try:
            output = run()
        finally:
            self.frames.pop()
        return self._marked(output, frame.path or (frame.type,), frame) if marked else output

    def mark(self, x: Any, name: str) -> Any:
        """Mark a value of `tag`, below the module that is being called."""
        frame = self.frame or Frame((), (), "", None, {}, self._outside)
        self._meet(frame)
        self._note_name(text((*frame.path, name)), "", ("tag", _plain(frame.path), name))
        if self.gradients and is_in_rule() and not is_differentiated():
            self.in_rules.setdefault(text((*frame.path, name)))
        return self._marked(x, (*frame.path, name), frame._replace(type=""))

    def leaves(
        self,
        tree: Any,
        names: Callable[[Any, Any], list[tuple[Path, tuple[int, ...]]]],
        tensor_type: str,
        key: str = "",
    ) -> Any:
        """Mark the leaves of a tree; `names` returns paths and axes of the tree, given what is stacked.

        Args:
            tree: the tree.
            names: see above.
            tensor_type: of all leaves.
            key: of parameters, their name in their module.
        """
        try:
            leaves, structure = jax.tree.flatten(tree)
            marks = [
                Mark(path, "", tensor_type, (), False, axes=axes, key=key) for path, axes in names(tree, self.stacks)
            ]
            return jax.tree.unflatten(structure, list(map(mark_leaves, leaves, marks)))
        except Exception as error:
            self.error = self.error or error
            return tree

    def _enter(self, module: Any, path: tuple[str, ...], parameters: Any, marked: bool, outer: Frame | None) -> Frame:
        self._meet(self.frame)
        shapes = shapes_of(parameters)
        kind = type(module).__name__
        if outer is None:
            prefix = self._prefix(kind if not path else "", shapes)
            frame = Frame((*prefix, *path), (), kind, module, shapes, trace_now())
            name = text(frame.path) or kind
            self.roots[name] = self.roots.get(name, frozenset()) | {shape for shape in shapes.values() if shape}
        else:
            scanned = _scanned(shapes, outer.shapes, path)
            whole = (*outer.path, *path, *[None for _ in scanned])
            frame = Frame(whole, outer.layers + scanned, kind, module, shapes, trace_now())
            self.stacks |= learned(self.stacks, (outer.path, outer.shapes), (whole, shapes), path, scanned)
        if marked:
            owner = ("layer", _plain(frame.path)) if outer is not None or path else ("model", kind)
            self._note_name(text(frame.path) or kind, kind, owner)
        return frame

    def _note_name(self, name: str, kind: str, owner: tuple[Any, ...]) -> None:
        self.names.setdefault(name, kind)
        if self._owners.setdefault(name, owner) != owner and self._selects(name):
            self.doubled.setdefault(name)

    def _meet(self, frame: Frame | None) -> None:
        """Ensure that a trace for one module is not reused from the cache for another one."""
        if trace_now() != (frame.trace if frame is not None else self._outside) and is_staged():
            self._contexts.enter_context(_traced_for((self._context, next(self._apart))))

    def _prefix(self, kind: str, shapes: Mapping[tuple[str, ...], tuple[int, ...]]) -> tuple[str, ...]:
        """Return the prefix of names within a model: none for the first model that is called and can be the tracked."""
        if not kind:
            return ()
        if self.root is None and is_other_model(shapes, self.tracked):
            return (kind,)
        self.root = self.root or kind
        if kind == self.root:
            return ()
        if not self.is_root_known and is_tracked_model(shapes, self.tracked):
            self.also_root = kind
        return (kind,)

    def _marked(self, output: Any, path: Path, frame: Frame) -> Any:
        if not self._activations:
            return output
        try:
            if not any(map(self._selects, all_texts(path, frame.layers))):
                return output
            for leaf in jax.tree.leaves(output):
                if is_unknown(leaf):
                    self.left_out.setdefault(str(leaf.dtype), text(path))
            mark = Mark(path, frame.type, ACTIVATION, frame.layers, self.gradients, self.scaled > 0)
            return mark_leaves(output, mark)
        except Exception as error:
            self.error = self.error or error
            return output


def traces() -> list[str]:
    """Return the classes of JAX's traces that are under way, innermost first."""
    trace, found = getattr(_trace_context, "trace", None), []
    while trace is not None:
        found.append(type(trace).__name__)
        trace = getattr(trace, "parent_trace", None)
    return found


def is_staged() -> bool:
    """Tell whether operations are traced into a program now, instead of being computed."""
    return _trace_context is None or is_traced()


def is_traced() -> bool:
    """Tell the same where JAX's traces are known, else False."""
    return "DynamicJaxprTrace" in traces()


def is_differentiated() -> bool:
    """Tell whether what is computed now is differentiated afterwards, by a `grad` or `jvp` around it."""
    return any(trace in ("JVPTrace", "LinearizeTrace") for trace in traces())


def is_in_rule() -> bool:
    """Tell whether the forward pass of a `custom_vjp`, or the rule of a `custom_jvp`, is being traced."""
    frame: Any = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name in _RULES and frame.f_code.co_filename.endswith("custom_derivatives.py"):
            return True
        frame = frame.f_back
    return False


def _scanned(inner: dict[Any, Any], outer: dict[Any, Any], path: tuple[str, ...]) -> tuple[int, ...]:
    """Return (n,) where a module has one of n slices of the parameters that its caller has for it, else ().

    There is a length for each of nested scans.
    """
    for own, shape in inner.items():
        whole = outer.get((*path, *own), shape)
        for axes in itertools.combinations(range(len(whole)), max(len(whole) - len(shape), 0)):
            if axes and _without(whole, axes) == shape:
                return tuple(whole[axis] for axis in axes)
    return ()


def _without(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def text(path: Path, numbers: tuple[int, ...] = ()) -> str:
    """Return a dotted name, with the numbers of scanned layers in it.

    >>> text(("layers", None, "attention"), (3,)), text(("layers", None, "attention"))
    ('layers.3.attention', 'layers.attention')

    Args:
        path: the parts of the name, None for the number of a layer that is scanned over.
        numbers: these numbers, outermost first; without them they are left out.
    """
    rest = iter(numbers)
    parts = [part if part is not None else next(rest, None) for part in path]
    whole = ".".join(str(part) for part in parts if part is not None)
    return whole.replace(".[", "[")


def _plain(path: Path) -> tuple[str, ...]:
    return tuple(part for part in path if part is not None)


def all_texts(path: Path, layers: tuple[int, ...]) -> Iterator[str]:
    """Yield the name of each of the layers that a path stands for."""
    if not layers:
        yield text(path)
    else:
        for numbers in itertools.product(*map(range, layers)):
            yield text(path, numbers)
