"""Read what Keras saved, `.weights.h5`, `.keras` and `.h5`, one variable at a time, without Keras.

A `.keras` is an archive of a `.weights.h5` and the configuration; a `.weights.h5` has the variables of each layer by
their numbers, in groups called by the classes of layers; a `.h5` of older versions names all of them.
"""

import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from tandv.checkpoints.entries import Entry
from tandv.checkpoints.order import model_order
from tandv.checkpoints.readers.contents import Contents, Key
from tandv.checkpoints.readers.keras_variables import Variable, names_of, variable
from tandv.checkpoints.readers.state_dict import in_model_order, model_in
from tandv.checkpoints.warnings import UnreadableCheckpoint
from tandv.messages import some
from tandv.names import natural

_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile)
_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")  # groups whose members are called by their classes
_OF_TRAINING = re.compile(r"optimizer(_weights)?|_?metrics|.*loss_tracker")
_OF_ATTENTION = {
    "query_dense": "query", "key_dense": "key", "value_dense": "value", "output_dense": "attention_output",
}  # fmt: skip
_PART = re.compile(r"(.+)_\d{5}\.weights\.h5")


class _Layer(NamedTuple):
    """A layer with its variables."""

    name: str  # in a log
    stored_as: str  # tells its kind
    kind: str  # the words of its class and of its name
    of: str  # the layer of the whole model that it is in, as the configuration calls it
    variables: Sequence[tuple[str, h5py.Dataset]]  # what Keras calls each, "" if the file does not say


@contextmanager
def open_keras(file: Path, key: Key = None) -> Iterator[Contents]:
    """Open a file; its structure is read now, each variable when it is asked for."""
    if (part := _PART.fullmatch(file.name)) and file.with_name(f"{part[1]}.weights.json").exists():
        raise UnreadableCheckpoint("it is a part of weights that are split over files, which is not read")
    with ExitStack() as files:
        try:
            opened, config = _opened(file, files)
            found = _contents(opened, config, key)
        except UnreadableCheckpoint:
            raise
        except _DAMAGE as error:
            raise UnreadableCheckpoint(f"it is damaged, or not of Keras ({error})") from error
        yield found


def _opened(file: Path, files: ExitStack) -> tuple[h5py.File, dict[str, Any]]:
    """Return the file of weights, and the configuration of the model; {} where the file has none."""
    if file.suffix == ".keras":
        archive = files.enter_context(zipfile.ZipFile(file))
        inside = files.enter_context(archive.open("model.weights.h5"))
        return files.enter_context(h5py.File(inside, "r")), json.loads(archive.read("config.json"))
    opened = files.enter_context(h5py.File(file, "r"))
    return opened, json.loads(opened.attrs.get("model_config", "{}"))


def _contents(opened: h5py.File, config: dict[str, Any], key: Key) -> Contents:
    weights: Any = opened.get("model_weights", opened)
    named = "layer_names" in weights.attrs
    of_model = {name: child for name, child in _children(opened).items() if not _OF_TRAINING.fullmatch(name)}
    layers = list(_named(weights, config) if named else _numbered(of_model))
    entries = {name: entry for layer in layers for name, entry in _entries(layer)}
    if not entries:  # of another program that writes HDF5
        return in_model_order(model_in(_tree(opened), key))
    order = [one["config"].get("name", "") for one in _layers(config)]
    if order:
        place = {name: at for at, name in enumerate(order)}
        of_layer = {name: layer.of for layer in layers for name, _ in _entries(layer)}
        entries = {name: entries[name] for name in sorted(entries, key=lambda one: place.get(of_layer[one], -1))}
    left = [name for name in _children(opened) if _OF_TRAINING.fullmatch(name)]
    found = Contents(entries, {}) if key is None else model_in(entries, key)
    found = found._replace(left_out=(*found.left_out, f"state of an optimiser: {some(left)}") if left else ())
    if named or order:
        return found
    names, known = model_order(found.entries, [name for name, one in found.entries.items() if len(one.shape) > 1])
    return found._replace(entries={name: found.entries[name] for name in names}, in_order=known)


def _children(group: Any) -> dict[str, Any]:
    """Return what is in a group by name. Raises ValueError for what is in another file: a file may name any."""
    out: dict[str, Any] = {}
    for name in sorted(group, key=natural):
        child = group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
        if child is None or (isinstance(child, h5py.Dataset) and (child.external or child.is_virtual)):
            raise ValueError(f"{group.name}/{name} may be in another file")
        out[name] = child
    return out


def _tree(group: h5py.Group) -> dict[str, Any]:
    return {
        name: _tree(child)
        if isinstance(child, h5py.Group)
        else Entry(child.dtype.name, child.shape, partial(_read, child))
        for name, child in _children(group).items()
        if isinstance(child, h5py.Group | h5py.Dataset)
    }


def _named(weights: Any, config: dict[str, Any]) -> Iterator[_Layer]:
    """Yield the layers of a file that names its variables, as older versions write it, in its order."""
    classes = {one["config"].get("name"): one["class_name"] for one in _layers(config)}
    for layer in _texts(weights, "layer_names"):
        group = weights[layer]
        of_module: dict[str, list[tuple[str, h5py.Dataset]]] = {}
        for name in _texts(group, "weight_names"):
            *modules, last = name.removesuffix(":0").split("/")
            # models around the layer have names of the session
            modules = modules[modules.index(layer) :] if layer in modules else [layer, *modules]
            parent = group["/".join(name.split("/")[:-1])] if "/" in name else group
            of_module.setdefault(".".join(modules), []).append((last, _children(parent)[name.rpartition("/")[2]]))
        for module, variables in of_module.items():
            yield _Layer(module, module, _words(f"{classes.get(layer, '')} {module}"), layer, variables)


def _numbered(
    children: dict[str, Any],
    at: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    by_class: bool = False,
    of: str | None = None,
) -> Iterator[_Layer]:
    """Yield the layers of a file that numbers the variables of each.

    Args:
        children: what is in a group.
        at: the names of the groups around it.
        names: the same as the user calls them.
        by_class: whether the groups in it are called by the classes of layers.
        of: the layer of the whole model that it is in; None at the top.
    """
    for name, child in children.items():
        part = name.replace("\\", "/").rpartition("/")[2]  # as versions before 3 write it
        if not isinstance(child, h5py.Group):
            continue
        inside = _children(child)
        if name == "vars":
            variables = [("", one) for one in inside.values()]
            if variables:
                kind = f"{' '.join(at[-1:])} {child.attrs.get('name', '')}"
                yield _Layer(".".join(names), ".".join(at), _words(kind), of or "", variables)
        elif name in _CONTAINERS:
            yield from _numbered(inside, at, names, by_class=True, of=of)
        else:
            own = _OF_ATTENTION.get(part, part)
            called = inside["vars"].attrs.get("name", own) if "vars" in inside and (by_class or part != name) else own
            # a name that Keras made has the number of layers of this class in the session
            chosen = called if re.sub(r"_\d+$", "", called) != re.sub(r"_\d+$", "", own) else own
            yield from _numbered(inside, (*at, own), (*names, chosen), of=of or called)


def _entries(layer: _Layer) -> Iterator[tuple[str, Entry]]:
    shapes = [tuple(one.shape) for _, one in layer.variables]
    numbered = names_of(layer.kind, shapes)
    names = [name or numbered[i] for i, (name, _) in enumerate(layer.variables)]
    bias = next((shape for name, shape in zip(names, shapes, strict=True) if name == "bias"), None)
    for i, (_, dataset) in enumerate(layer.variables):
        of = variable(layer.kind, names[i], i, shapes[i], bias)
        stored_as = ".".join(one for one in (layer.stored_as, of.stored_as) if one)
        read = partial(_arranged, dataset, of)
        yield stored_as, Entry(dataset.dtype.name, of.shape, read, framework="jax", layer=_layer_of(layer, of))


def _layer_of(layer: _Layer, of: Variable) -> str | None:
    """Return the name in a log, "" for a buffer, None where that is not known."""
    if of.is_buffer:
        return ""
    own = "" if of.name in ("kernel", "embeddings") else of.name or of.stored_as
    return ".".join(one for one in (layer.name, own) if one) if of.name else None


def _layers(config: dict[str, Any]) -> list[dict[str, Any]]:
    inside = config.get("config")
    found = inside.get("layers", []) if isinstance(inside, dict) else inside  # a list in the first versions
    return [one for one in found if isinstance(one, dict) and isinstance(one.get("config"), dict)] if found else []


def _texts(group: Any, name: str) -> list[str]:
    found = group.attrs.get(name, ())
    return [one.decode() if isinstance(one, bytes) else str(one) for one in found]


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _read(dataset: h5py.Dataset) -> np.ndarray:
    return np.asarray(dataset[()])


def _arranged(dataset: h5py.Dataset, of: Variable) -> np.ndarray:
    return of.arrange(_read(dataset))
