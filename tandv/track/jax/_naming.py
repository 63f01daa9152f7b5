"""Names for what passes by while a program is traced: whose output is it, and where in the model is that."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from tandv.track.jax._tag import ACTIVATION, Mark, key_text, mark_leaves, naming

Path = tuple[str | None, ...]  # None where layers are scanned over, which stand as one module in the model


class Frame(NamedTuple):
    """A module that is being called."""

    path: Path
    layers: tuple[int, ...]  # lengths of the scans over layers around it
    type: str
    module: Any
    shapes: dict[tuple[str, ...], tuple[int, ...]]  # of its parameters


class Namer:
    """Marks outputs by the names of their modules while one function is traced."""

    def __init__(
        self,
        selects: Callable[[str], bool] = lambda _: True,
        gradients: bool = True,
        report: Callable[..., None] | None = None,
        activations: bool = True,
    ):
        self.names: dict[str, str] = {}  # of the modules that were called, in that order, and their types
        self.root: str | None = None
        self.error: Exception | None = None  # the first of our own
        self.gradients = gradients
        self.models: list[Any] = []  # in which modules are looked for
        self._selects, self._report, self._activations = selects, report, activations
        self._frames: list[Frame] = []
        self._roots: dict[str, str] = {}  # what stands before the names of further models, by class

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        """Name what happens in this thread."""
        before, naming.namer = naming.namer, self
        try:
            yield
        finally:
            naming.namer = before

    @property
    def frame(self) -> Frame | None:
        """The module that is being called."""
        return self._frames[-1] if self._frames else None

    def call(self, module: Any, path: tuple[str, ...], parameters: Any, run: Callable[[], Any], marked: bool) -> Any:
        """Run a module's method at its place below the module that called it; mark what it returns."""
        try:
            frame = self._enter(module, path, parameters, marked)
        except Exception as error:
            self.error = self.error or error
            return run()
        self._frames.append(frame)
        try:
            output = run()
        finally:
            self._frames.pop()
        return self._marked(output, frame.path or (frame.type,), frame) if marked else output

    def mark(self, x: Any, name: str) -> Any:
        """Mark a value that the user tags, below the module that is being called."""
        frame = self.frame or Frame((), (), "", None, {})
        self.names.setdefault(text((*frame.path, name)), "")
        return self._marked(x, (*frame.path, name), frame._replace(type=""))

    def leaves(self, tree: Any, names: Callable[[Any], list[str]], tensor_type: str) -> Any:
        """Mark the leaves of a tree that has names of its own."""
        try:
            leaves, structure = jax.tree.flatten(tree)
            marks = [Mark((name,), "", tensor_type, (), self._report, False) for name in names(tree)]
            return jax.tree.unflatten(structure, list(map(mark_leaves, leaves, marks)))
        except Exception as error:
            self.error = self.error or error
            return tree

    def _enter(self, module: Any, path: tuple[str, ...], parameters: Any, marked: bool) -> Frame:
        shapes = shapes_of(parameters)
        kind = type(module).__name__
        outer = self.frame
        if outer is None:
            frame = Frame((*self._prefix(kind if not path else ""), *path), (), kind, module, shapes)
        else:
            scanned = _scanned(shapes, outer.shapes, path)
            whole = (*outer.path, *path, *([None] if scanned else []))
            frame = Frame(whole, outer.layers + scanned, kind, module, shapes)
        if marked:
            self.names.setdefault(text(frame.path) or kind, kind)
        return frame

    def _prefix(self, kind: str) -> tuple[str, ...]:
        """Return what stands before the names within a model: nothing for the first that is called."""
        if not kind:
            return ()
        self.root = self.root or kind
        return () if kind == self.root else (kind,)

    def _marked(self, output: Any, path: Path, frame: Frame) -> Any:
        if not self._activations:
            return output
        try:
            if not any(map(self._selects, all_texts(path, frame.layers))):
                return output
            return mark_leaves(output, Mark(path, frame.type, ACTIVATION, frame.layers, self._report, self.gradients))
        except Exception as error:
            self.error = self.error or error
            return output


def shapes_of(parameters: Any) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Return the shapes of a tree of parameters by their paths."""
    leaves = jax.tree_util.tree_flatten_with_path(parameters)[0]
    return {tuple(map(key_text, keys)): leaf.shape for keys, leaf in leaves if hasattr(leaf, "shape")}


def _scanned(inner: dict[Any, Any], outer: dict[Any, Any], path: tuple[str, ...]) -> tuple[int, ...]:
    """Return (n,) where a module has one of n slices of the parameters that its caller has for it, else ()."""
    for own, shape in inner.items():
        whole = outer.get((*path, *own), shape)
        if len(whole) == len(shape) + 1:
            for axis, length in enumerate(whole):
                if (*whole[:axis], *whole[axis + 1 :]) == shape:
                    return (length,)
    return ()


def text(path: Path, numbers: tuple[int, ...] = ()) -> str:
    """Return a name with dots, with the numbers of the scanned layers in their places.

    >>> text(("layers", None, "attention"), (3,)), text(("layers", None, "attention"))
    ('layers.3.attention', 'layers.attention')
    """
    rest = iter(numbers)
    parts = [part if part is not None else next(rest, None) for part in path]
    whole = ".".join(str(part) for part in parts if part is not None)
    return whole.replace(".[", "[")


def all_texts(path: Path, layers: tuple[int, ...]) -> Iterator[str]:
    """Yield the name of each of the layers that a path stands for."""
    if not layers:
        yield text(path)
    else:
        for numbers in itertools.product(*map(range, layers)):
            yield text(path, numbers)
