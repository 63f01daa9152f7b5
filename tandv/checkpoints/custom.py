"""Metrics of your own: functions of a Python file whose names end in `_of_model`.

    # my_metrics.py
    def largest_bias_of_model(model):
        return max(p.abs().max().item() for n, p in model.named_parameters() if n.endswith("bias"))

They take the model, with a checkpoint's weights loaded and in evaluation mode, and return a number. No other code than
these files is run, and these only if you name them.
"""

import ast
import inspect
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tandv.checkpoints.discovery import AnyPath
from tandv.checkpoints.entries import Entry
from tandv.checkpoints.warnings import Remark
from tandv.messages import UnknownName, missing, some, unknown

ENDING = "_of_model"


class SourceFile(NamedTuple):
    """A Python file as path and text, so that another process or machine runs the same code."""

    path: str
    text: str


def source(path: AnyPath) -> SourceFile:
    """Return the text of a Python file without running it; raises FileNotFoundError."""
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}; give a Python file with functions called ..{ENDING}")
    return SourceFile(str(file.absolute()), file.read_text(encoding="utf-8"))


def metric_names(file: SourceFile) -> list[str]:
    """Return the names of a file's metrics without running it, even if it has a syntax error.

    >>> metric_names(SourceFile("m.py", "def norm_of_model(model): return 1"))
    ['norm_of_model']
    """
    try:
        tree = ast.parse(file.text)
    except (SyntaxError, ValueError):
        return list(dict.fromkeys(re.findall(rf"^def (\w+{ENDING})\b", file.text, re.MULTILINE)))
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.ImportFrom):
            names += [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [name for name in dict.fromkeys(names) if name.endswith(ENDING)]


def values_of(
    entries: Mapping[str, Entry],
    extras: Mapping[str, Any],
    files: Sequence[SourceFile],
    model: SourceFile | None,
    class_name: str | None,
) -> tuple[dict[str, float], list[Remark]]:
    """Compute every metric of some files on a checkpoint; one that fails is NaN, with a remark.

    Args:
        entries: the tensors of the checkpoint by name.
        extras: what else the checkpoint holds, such as hyperparameters.
        files: the files with metrics.
        model: the file with the model's class, if it is another one.
        class_name: the name of that class, if a file has several.
    """
    names = [(file, name) for file in files for name in metric_names(file)]
    values = {name: float("nan") for _, name in names}
    try:
        build = _builder(model, files, class_name)
        instance = build(extras)
        state = _state(entries)
        _load(instance, state)
    except (Exception, SystemExit) as error:  # user code may raise anything
        return values, [Remark("MetricFailed", f"{some([n for _, n in names])}: no model, {_describe(error)}")]
    remarks = []
    for file, name in names:
        try:
            values[name] = _value(getattr(_run(file), name), instance, state)
        except (Exception, SystemExit) as error:
            remarks.append(Remark("MetricFailed", f"{name}: {_describe(error)}"))
    return values, remarks


def _value(metric: Callable[[Any], Any], instance: Any, state: Mapping[str, Any]) -> float:
    import torch

    if not callable(metric):
        raise TypeError(f"it is a {type(metric).__name__}, not a function of the model")
    try:
        inspect.signature(metric).bind(instance)
    except TypeError as error:
        raise TypeError(f"it must take the model and nothing else ({error})") from error
    _load(instance, state)  # a previous metric may have changed it
    instance.eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)  # a metric that draws random inputs gets the same for every checkpoint
        value = metric(instance)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"it returned a {type(value).__name__}; return one number") from None


def _builder(model: SourceFile | None, files: Sequence[SourceFile], class_name: str | None) -> Callable[[Mapping], Any]:
    try:
        from torch import nn
    except ModuleNotFoundError as error:
        raise missing("torch", "torch", "a metric of your own") from error

    where = [model] if model else list(files)
    classes: dict[str, type] = {}
    for file in where:
        module = _run(file)
        own = {n: c for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, nn.Module)}
        classes |= {n: c for n, c in own.items() if c.__module__ == module.__name__ or n == class_name}
    listed = some([Path(file.path).name for file in where])
    if class_name is None:
        # a file may define parts and base classes of the model too: the model is the class that no other class uses
        texts = "\n".join(file.text for file in where)
        bases = {base.__name__ for found in classes.values() for base in found.__mro__[1:]}
        called = {name for name in classes if len(re.findall(rf"\b{name}\s*\(", texts)) > 1}
        roots = [name for name in classes if len(classes) == 1 or name not in bases | called]
        if len(roots) != 1:
            has = f"defines {some(list(classes), 8)}" if classes else "defines no torch.nn.Module"
            raise ValueError(f"{listed} {has}; say which with class_name=, and its file with model=")
        class_name = roots[0]
    if class_name not in classes:
        raise UnknownName(unknown("torch.nn.Module", class_name, classes, listed))
    return lambda extras: _instance(classes[class_name], extras)


def _instance(cls: type, extras: Mapping[str, Any]) -> Any:
    """Build the model with the arguments that the hyperparameters in the checkpoint give."""
    saved: dict[str, Any] = {}
    for key in ("hyper_parameters", "config", "model_config", "hparams", "args", "model_args"):
        found = extras.get(key)
        if found is not None:
            saved = dict(found if isinstance(found, Mapping) else getattr(found, "__dict__", {})) | {key: found} | saved
    parameters = list(inspect.signature(cls).parameters.values())
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if lacking := [p.name for p in named if p.default is p.empty and p.name not in saved]:
        raise ValueError(
            f"{cls.__name__} needs {some(lacking, 8)}: give defaults, or save them with the checkpoint under "
            "'hyper_parameters' or 'config'"
        )
    return cls(**{p.name: saved[p.name] for p in named if p.name in saved})


def _state(entries: Mapping[str, Entry]) -> dict[str, Any]:
    import torch

    def tensor(array: np.ndarray) -> torch.Tensor:
        if array.dtype.kind == "V" or array.dtype.name not in ("float64", "float32", "float16"):
            array = array if array.dtype.kind in "iub" else array.astype(np.float32)
        return torch.from_numpy(np.array(array))  # a copy: a memory-mapped file must not be written to

    return {name: tensor(entry.read()) for name, entry in entries.items()}


def _load(instance: Any, state: Mapping[str, Any]) -> None:
    """Load weights into a model, strictly; those of Lightning have the name of an attribute as prefix ("model.")."""
    own = instance.state_dict().keys()
    first = {name.partition(".")[0] for name in state}
    if not own & state.keys() and len(first) == 1:
        state = {name.partition(".")[2]: value for name, value in state.items()}
    instance.load_state_dict({name: value for name, value in state.items() if name != "n_averaged"}, strict=True)


@lru_cache(maxsize=16)
def _run(file: SourceFile) -> types.ModuleType:
    """Run a user's file, once in each process."""
    name = f"tandv_custom_{abs(hash(file)):x}"
    module = types.ModuleType(name)
    module.__file__ = file.path
    sys.modules[name] = module  # dataclasses look up their own module
    with _importable_from(file.path):
        exec(compile(file.text, file.path, "exec"), vars(module))
    return module


@contextmanager
def _importable_from(path: str):
    """Let a file import modules of its own folder."""
    folder = str(Path(path).parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _describe(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '').name}, line {error.lineno}: {error.msg}"
    first = " ".join(str(error).split())
    return f"{type(error).__name__}: {first[:300]}"
