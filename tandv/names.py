"""The one rule for names: wrappers vanish, a module's principal parameter bears its name, numbers sort as numbers.

The log of a model, the checkpoints it is saved to and the files that other programs saved all name a weight by this
rule, so that one name finds a layer's weights, gradients, activations and metrics.
"""

import re
from collections.abc import Container, Iterable, Sequence
from typing import Any, Literal

from tandv.messages import UnknownName, listed, unknown

Wanted = str | re.Pattern[str] | Sequence[str | re.Pattern[str]]
Keys = tuple[str, ...]  # the path of a parameter in its model: ("layers", "0", "weight")

# Of the parameters of one module, the first of these that it has bears the module's own name. JAX: equinox and flax.
PRINCIPAL = {"torch": ("weight",), "jax": ("kernel", "weight", "embedding", "scale")}
Framework = Literal["torch", "jax"]

# Modules that only wrap one other, by class name, and the attribute that holds it.
WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "DistributedDataParallel": "module",
    "DataParallel": "module",
    "FullyShardedDataParallel": "_fsdp_wrapped_module",
    "CheckpointWrapper": "_checkpoint_wrapped_module",
    "OffloadWrapper": "_checkpoint_wrapped_module",
}
# `module` may as well be the model's own attribute, the others are only of wrappers.
_UNMISTAKABLE = "|".join(sorted({attribute for attribute in WRAPPERS.values() if attribute != "module"}))
_WRAPPER = re.compile(rf"(?<![^.])(?:{_UNMISTAKABLE})\.")


def of_parameters(paths: Sequence[Keys], framework: Framework, root: str | None = None) -> list[str]:
    """Return a name for each parameter of a model, given the paths of all that hold floating point numbers.

    The principal parameter of the model itself is called `root`, or by its own name where the model's is not known
    (None). Names are unique: a parameter whose module's name is taken by another keeps its own.

    >>> of_parameters([("norm", "scale"), ("fc", "scale"), ("fc", "kernel"), ("kernel",)], "jax", "Model")
    ['norm', 'fc.scale', 'fc', 'Model']
    >>> of_parameters([("norm", "scale"), ("fc", "bias"), ("fc", "weight")], "torch")
    ['norm.scale', 'fc.bias', 'fc']
    """
    rank = {name: position for position, name in enumerate(PRINCIPAL[framework])}
    first: dict[Keys, str] = {}
    for path in paths:
        if path and path[-1] in rank:
            known = first.setdefault(path[:-1], path[-1])
            first[path[:-1]] = min(known, path[-1], key=rank.__getitem__)
    own = [".".join(path) for path in paths]
    taken = set(own)

    def name(path: Keys, own: str) -> str:
        if not path or first.get(path[:-1]) != path[-1]:
            return own
        module = ".".join(path[:-1]) if len(path) > 1 else root
        return own if module is None or module in taken else module

    return list(map(name, paths, own))


def key_text(key: object) -> str:
    """Return a key of a pytree's path, as `jax.tree_util` gives it, as text: a name, a dict's key or an index.

    >>> from types import SimpleNamespace
    >>> key_text(SimpleNamespace(key="kernel")), key_text(SimpleNamespace(idx=0))
    ('kernel', '0')

    Args:
        key: one entry of a path, such as a `jax.tree_util.DictKey`.
    """
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def framework_of(names: Iterable[str]) -> Framework:
    """Return whose parameters a file holds that does not say it: flax has kernels and no weights.

    >>> framework_of(["Dense_0.kernel", "norm.scale"]), framework_of(["fc.weight", "norm.scale"])
    ('jax', 'torch')
    """
    last = {name.rpartition(".")[2] for name in names}
    return "jax" if "kernel" in last and "weight" not in last else "torch"


def of_tree(path: Keys) -> Keys:
    """Return a path without what frameworks of JAX put into it.

    That is linen's collection, the value of an nnx variable, and the slashes of haiku (`mlp/~/linear_0`).

    >>> of_tree(("params", "Dense_0", "kernel")), of_tree(("Dense_0", "kernel", "value"))
    (('Dense_0', 'kernel'), ('Dense_0', 'kernel'))
    """
    path = tuple(part for key in path for part in key.split("/") if part != "~")
    path = path[:-1] if path[-1:] in (("value",), ("raw_value",)) else path
    return path if path[-1:] == ("params",) else tuple(key for key in path if key != "params")


def inside_wrappers(names: Sequence[str]) -> list[str]:
    """Return the names of modules or parameters without what only wrappers put into them, such as `_orig_mod`.

    >>> inside_wrappers(["fc._orig_mod", "fc._orig_mod.weight", "module.fc"])
    ['fc', 'fc.weight', 'module.fc']

    Args:
        names: the dotted names.
    """
    return [_WRAPPER.sub("", f"{name}.").removesuffix(".") for name in names]


def unwrapped(names: Sequence[str]) -> list[str]:
    """Return the names of a state dict without what wrappers (compiled, data parallel, sharded) put into them.

    `module.` goes if all of them begin with it, otherwise it is the model's own attribute.

    >>> unwrapped(["module._orig_mod.fc.weight", "module._orig_mod.fc.bias"])
    ['fc.weight', 'fc.bias']
    """
    stripped = inside_wrappers(names)
    # AveragedModel of PyTorch counts what it has averaged beside the module
    while (own := [name for name in stripped if name != "n_averaged"]) and all(n.startswith("module.") for n in own):
        stripped = [name.removeprefix("module.") for name in stripped]
    return stripped if len(set(stripped)) == len(set(names)) else list(names)


def parents(name: str) -> list[str]:
    """Return the names that a dotted name lies in, the innermost first.

    >>> parents("layers.0.wq")
    ['layers.0', 'layers']

    Args:
        name: of a module or parameter.
    """
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


def module_of(parameter: str, modules: Container[str]) -> str | None:
    """Return the module that a parameter is in, None if it is not known.

    >>> module_of("head.bias", {"head"}), module_of("head", {"head"}), module_of("scale", {"head"})
    ('head', 'head', None)

    Args:
        parameter: the name of a parameter as a log has it.
        modules: the names of modules.
    """
    return next((name for name in [parameter, *parents(parameter)] if name in modules), None)


def chosen(names: Sequence[str], wanted: Wanted, noun: str, place: str = "") -> list[str]:
    """Return the names that are wanted, by themselves, a compiled pattern (searched) or a list of these, in order.

    Raises UnknownName saying of each that fits nothing what is nearest, TypeError for what is no name.

    >>> chosen(["embed", "layers.0", "layers.1"], [re.compile("layers"), "embed"], "layer")
    ['embed', 'layers.0', 'layers.1']
    """
    given: list[Any] = (
        list(wanted) if isinstance(wanted, Iterable) and not isinstance(wanted, str | bytes) else [wanted]
    )
    each = [one for one in given if isinstance(one, str | re.Pattern)]
    if wrong := [one for one in given if not isinstance(one, str | re.Pattern)]:
        meant = f"; did you mean {str(wrong[0])!r}?" if str(wrong[0]) in names else ""
        raise TypeError(
            f"{wrong[0]!r} is no {noun}: give a name, a compiled pattern such as re.compile('attention'), or a list of "
            f"these{meant}"
        )
    fitting = [{name for name in names if (name == one if isinstance(one, str) else one.search(name))} for one in each]
    problems = [
        _as_pattern(noun, one, names, place) or unknown(noun, one, names, place)
        for one, fit in zip(each, fitting, strict=True)
        if not fit
    ]
    if problems or not each:
        raise UnknownName("\n  ".join(problems) or f"no {noun} was asked for; there are {listed(names)}")
    found = set().union(*fitting)
    return [name for name in names if name in found]


def _as_pattern(noun: str, one: Any, names: Sequence[str], place: str) -> str:
    """Return what to give where a text is a regular expression that fits some names; "" where it is none."""
    if not isinstance(one, str) or re.escape(one).replace("\\.", ".") == one:
        return ""
    try:
        fitting = [name for name in names if re.search(one, name)]
    except re.error:
        return ""
    if not fitting:
        return ""
    where = f" in {place}" if place else ""
    return f"no {noun} {one!r}{where}: a text is a whole name; re.compile({one!r}) finds {listed(fitting, 3)}"


def check_writable(name: str, noun: str) -> None:
    """Raise ValueError for a name that no file can hold, since it is not made of whole characters.

    >>> check_writable("x\\ud800", "phase")
    Traceback (most recent call last):
    ValueError: no phase can be called 'x\\ud800': no file can hold a lone surrogate, which is half of a character

    Args:
        name: the name.
        noun: what it is of, such as "phase".
    """
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise ValueError(
            f"no {noun} can be called {name!a}: no file can hold a lone surrogate, which is half of a character"
        )


def natural(text: str) -> list[tuple[int, int | str]]:
    """Return a key that sorts names as people do, numbers in them as numbers.

    >>> sorted(["layers.10", "layers.2", "head"], key=natural)
    ['head', 'layers.2', 'layers.10']
    """
    parts = re.split(r"(\d+)", text)  # every second one is a number
    return [(0, int(part)) if i % 2 else (1, part) for i, part in enumerate(parts) if part]


def natural_path(path: Iterable[str]) -> list[list[tuple[int, int | str]]]:
    """Return a key that sorts paths key by key, numbers as numbers.

    >>> sorted([("layers", "10"), ("layers", "2")], key=natural_path)
    [('layers', '2'), ('layers', '10')]
    """
    return [natural(key) for key in path]
