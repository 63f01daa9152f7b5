"""The check of a step that is not recorded: sums of gradients and of the model's output, one pass over each."""

import contextlib
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from tandv.track.common.between import GRADIENTS, OUTPUT, BetweenSteps, Checked, Sizes
from tandv.track.common.numbers import Reading
from tandv.track.torch._modes import alone, exporting
from tandv.track.torch._numbers import reading
from tandv.track.torch.names import Named, unwrap
from tandv.track.torch.outputs import tensors_in
from tandv.track.torch.values import has_floats, readable

_FEW = 1 << 20  # values that are checked at every step, in less than a millisecond
_AT_ONCE = 8  # optimisers whose gradients are
_SMALL = 1 << 13  # values of a tensor that is checked at every step: biases and norms, which all gradients pass by
_SHARE = 0.004  # of the time of training that checks of more values may take


class StepCheck:
    """Checks the gradients as the optimiser receives them, and what the model returns, without waiting for a device.

    An error in it ends the check, never the tracking.

    Args:
        between: takes the sums.
        model: the model, wrapped or not.
        warn_once: reports an error.
    """

    def __init__(self, between: BetweenSteps, model: nn.Module, warn_once: Callable[[str, str], None]):
        self._between, self._warn_once = between, warn_once
        self._roots = (model, unwrap(model))
        self._on = True
        self._pace = _Pace()
        between.count_passes()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            between.ranks = torch.distributed.get_world_size()

    def is_root(self, module: nn.Module) -> bool:
        """Tell whether a module is the model."""
        return self._on and (module is self._roots[1] or module is self._roots[0])

    @alone
    def output(self, module: nn.Module, output: Any, last: bool) -> None:
        """Check what the model returns at its first call in a step; of a wrapped one the inner is enough.

        Args:
            module: the model, wrapped or not.
            output: what it returns.
            last: whether after the module's own hooks, if it has some, or before them.
        """
        if exporting():
            return
        self._between.note_pass((id(module), last))
        if not self._between.has(OUTPUT):
            self._guarded(lambda: self._add_output([tensor for _, tensor in tensors_in(output, "")]))

    @alone
    def gradients(self, optimizer: torch.optim.Optimizer, names: Mapping[nn.Parameter, Named]) -> None:
        """Check the gradients that an optimiser is about to use; none where a fused one skips its step itself."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        refused = getattr(optimizer, "found_inf", None)
        self._guarded(lambda: self._add_gradients(id(optimizer), parameters, names, refused))

    @alone
    def left(self, names: Mapping[nn.Parameter, Named]) -> None:
        """Check the gradients at the end of a step, of a loop that steps by hand."""
        if not self._between.has(GRADIENTS):
            self._guarded(lambda: self._add_gradients(0, list(names), names, None))

    def _add_output(self, tensors: Sequence[torch.Tensor]) -> None:
        with self._pace.of(OUTPUT, sum(tensor.numel() for tensor in tensors), first=True) as wanted:
            if wanted:
                self._add(OUTPUT, tensors, ())

    def _add_gradients(
        self,
        whose: int,
        parameters: Sequence[nn.Parameter],
        names: Mapping[nn.Parameter, Named],
        refused: torch.Tensor | None,
    ) -> None:
        mine = [p for p in parameters if p.grad is not None and p in names]
        first = not self._between.has(GRADIENTS)
        with self._pace.of(whose, sum(p.numel() for p in mine), first) as wanted:
            if not wanted:
                self._between.note_part()
                mine = [p for p in mine if p.numel() <= _SMALL] if first else []
            self._add(GRADIENTS, [p.grad for p in mine], [names[p].name for p in mine], refused)

    def _add(
        self, group: str, tensors: Sequence[Any], names: Sequence[str], refused: torch.Tensor | None = None
    ) -> None:
        alike: dict[Any, list[int]] = defaultdict(list)
        for at, tensor in enumerate(tensors):
            if has_floats(tensor) and readable(tensor) and tensor.layout is torch.strided and tensor.numel():
                alike[tensor.device, tensor.dtype].append(at)
        for (device, dtype), chosen in alike.items():
            if device.type == "meta" or (device.type == "cuda" and torch.cuda.is_current_stream_capturing()):
                continue
            of = [names[at] for at in chosen] if names else ()
            with torch.no_grad():
                some = [tensors[at] for at in chosen]
                read = _on_cpu if device.type == "cpu" else _on_device
                size, sizes = read(some, torch.float32 if dtype.itemsize < 4 else None, refused)
            self._between.add(group, Checked(size, of, sizes if names else None))

    def _guarded(self, action: Callable[[], None]) -> None:
        if not self._on:
            return
        try:
            action()
        except Exception as error:  # of a tensor that cannot be read as others
            self._on = False
            self._warn_once(
                f"steps that are not recorded are checked no more: {type(error).__name__}: {error}", "between steps"
            )


def _on_cpu(
    tensors: list[torch.Tensor], wide: torch.dtype | None, refused: torch.Tensor | None
) -> tuple[Reading, Sizes]:
    """Return a number that is finite if and only if all values are, and one of each tensor."""
    sums = [torch.sum(tensor, dtype=wide) for tensor in tensors]  # ten times as fast as their maxima
    sizes = torch.stack(sums).tolist() if len(sums) > 1 else [sums[0].item()]
    if not all(map(math.isfinite, sizes)):  # a sum of finite values may be infinite
        skipped = refused is not None and bool(refused)
        finite = [skipped or bool(torch.isfinite(tensor).all()) for tensor in tensors]
        sizes = [0.0 if fine else size for size, fine in zip(sizes, finite, strict=True)]
    one = next((size for size in sizes if not math.isfinite(size)), 0.0)
    return (lambda wait: one), (lambda: sizes)


def _on_device(
    tensors: list[torch.Tensor], wide: torch.dtype | None, refused: torch.Tensor | None
) -> tuple[Reading, Sizes]:
    """Return the same of tensors on a device, still to be read."""
    sizes = torch.stack(torch.ops.aten._foreach_norm(tensors, float("inf"), wide))  # one kernel for all
    if refused is not None:
        sizes = torch.where(refused.detach().to(sizes.device).reshape(()) == 0, sizes, torch.zeros_like(sizes))
    return reading(torch.where(torch.isfinite(sizes), torch.zeros_like(sizes), sizes).sum()), sizes.tolist


class _Pace:
    """Chooses what is checked at a step, so that it costs a small share of the time of training.

    Few values are checked at every step; more of them, and those of many optimisers, as often as the share allows.
    """

    def __init__(self) -> None:
        self._due: dict[Any, float] = {}  # when each is checked next, in time of this thread
        self._in_step = 0

    @contextlib.contextmanager
    def of(self, what: Any, values: int, first: bool) -> Iterator[bool]:
        """Tell whether so many values are checked now, and time it. `first`: it is the first of its kind in a step."""
        self._in_step = 0 if first else self._in_step + 1
        free = values <= _FEW and self._in_step < _AT_ONCE
        began = time.thread_time()
        wanted = free or time.thread_time() >= self._due.get(what, 0.0)
        yield wanted
        if wanted and not free:
            self._due.setdefault(what, 0.0)
            share = _SHARE / len(self._due)
            self._due[what] = time.thread_time() + (time.thread_time() - began) / share
