"""Compare two models on one batch, without training: the first module whose output parts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tandv.analysis.diff import Difference, diff, proposed_map
from tandv.analysis.diff.names import paired, tensors_of
from tandv.messages import named_arguments, some
from tandv.track.by_framework import is_jax, is_torch

Loss = Callable[[Any], Any] | None


@named_arguments
def compare(
    model_a: Any,
    model_b: Any,
    batch: Any,
    *,
    loss: Loss | tuple[Loss, Loss] = None,
    names: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Difference:
    """Return where two models part in one forward and backward pass of the same batch.

    A converted checkpoint, a refactored module, eager against compiled, one device against another, PyTorch against
    JAX: the first module whose output parts, by how much, and whether that is rounding; of models of PyTorch also
    buffers that differ, such as running means, which a pass in training does not show. Both models stay as they are,
    with their gradients, buffers and random state, and so does the batch, also where a model raises an error.

    >>> import torch
    >>> a, b = (torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 1)) for _ in range(2))
    >>> _ = b.load_state_dict(a.state_dict())
    >>> compare(a, b, torch.ones(2, 4)).parts
    False
    >>> b[1] = torch.nn.GELU(approximate="tanh")
    >>> found = compare(a, b, torch.linspace(-2, 2, 32).reshape(8, 4))
    >>> found.first.tensor_type, found.first.layer
    ('Activation', '1')

    Args:
        model_a: a torch.nn.Module; an nnx or equinox model; or a flax.linen module and its variables, as a tuple.
        model_b: another one. Both run in the mode in which they are: call `.eval()` where dropout shall not count.
        batch: what they are called with: one argument, a tuple of them, or a dict of those that have names; as NumPy
            arrays for models of two frameworks. Each model is given a copy.
        loss: a function of what a model returns, which returns one number, or one for each model as a tuple; None for
            the `.loss` that a model of PyTorch returns, else the mean square of all that it returns.
        names: names of A to names of B, where they differ; that of a module holds for all that is in it. None proposes
            one where no output has a partner of the same name, and says so.
        seed: of random numbers, such as those of dropout: both begin with the same.

    Raises TypeError for what is no model, ValueError if the models have no tensor in common, or there is no loss.
    """
    losses = loss if isinstance(loss, tuple) else (loss, loss)
    with TemporaryDirectory() as folder:
        places = []
        inputs = {"inputs": True} if is_torch(model_a) and is_torch(model_b) else {}
        for side, model, of in (("a", model_a, losses[0]), ("b", model_b, losses[1])):
            places.append(Path(folder) / side)
            _one_pass(model, f"model_{side}")(model, batch, of, places[-1], seed, **inputs)
        a, b = places
        proposed = None
        if names is None and not paired(tensors_of(a), tensors_of(b)):
            names = proposed = proposed_map(a, b)
        found = diff(a, b, names=names)
    if is_torch(model_a) and is_torch(model_b):
        found = _with_buffers(found, model_a, model_b, names or {})
    if proposed:
        said = f"no name of A is a name of B; paired were, by size and order: {_map_words(proposed)}"
        return found._replace(notes=[said, *found.notes], words=f"{found.words}\n{said[0].upper()}{said[1:]}.")
    return found


def _with_buffers(found: Difference, model_a: Any, model_b: Any, names: Mapping[str, str]) -> Difference:
    """Return a comparison with what differs in the buffers of two models of PyTorch."""
    from tandv.track.torch.buffers import buffer_gaps

    gaps, notes = buffer_gaps(model_a, model_b, names)
    beyond = [gap for gap in gaps if gap.beyond]
    values = [f"{gap.layer} ({gap.a:.7g} in A, {gap.b:.7g} in B)" for gap in (beyond or gaps)]
    if gaps:
        near = "" if beyond else ", within rounding"
        notes.insert(0, f"buffers differ{near}: {some(values, 3)}")
    words = "\n".join([found.words, *(f"{note[0].upper()}{note[1:]}." for note in notes)])
    if beyond and found.first is None:
        lines = words.split("\n")
        head = f"A and B part in their buffers: {some(values, 3)}. In this pass no tensor shows it."
        words = "\n".join([head, *(line for line in lines if not line.startswith("Buffers differ"))])
        found = found._replace(first=beyond[0], by_type={beyond[0].tensor_type: beyond[0]}, ranked=beyond)
    return found._replace(notes=[*found.notes, *notes], words=words)


def _one_pass(model: Any, argument: str) -> Callable[..., None]:
    if is_torch(model):
        from tandv.track.torch.one_pass import one_pass

        return one_pass
    if is_jax(model) or (isinstance(model, tuple) and len(model) == 2 and is_jax(model[1])):
        from tandv.track.jax.one_pass import one_pass

        return one_pass
    raise TypeError(
        f"{argument} is a {type(model).__name__}; give a torch.nn.Module, an nnx or equinox model, or a flax.linen "
        "module and its variables as a tuple"
    )


def _map_words(names: Mapping[str, str]) -> str:
    first = list(names.items())[:4]
    return ", ".join(f"{a} → {b}" for a, b in first) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
