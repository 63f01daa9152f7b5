"""Gradients of the step before, packed on a device, and compared there by torch operations without waiting."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from tandv.measure.insight import definitions
from tandv.measure.insight.definitions import LANES, SAMPLE, Kept, Layout, Primitives, sign_words
from tandv.measure.insight.host import Compared
from tandv.measure.torch_operations import send


class TorchKept:
    """What is kept of some tensors until the next step: 1/8 byte of each parameter for each plane."""

    def __init__(self, sizes: Sequence[int], thresholds: Sequence[float], device: torch.device, dtype: torch.dtype):
        self.layout, self.device = Layout(sizes), device
        self._dtype = dtype
        self._limits = [float(one) if dtype == torch.float64 else float(definitions.limit(one)) for one in thresholds]
        blocks, tensors = int(self.layout.blocks.sum()), len(sizes)

        def zeros(*shape: int, dtype: torch.dtype) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self._kept = Kept(
            zeros(2 + len(thresholds), blocks, LANES // 8, dtype=torch.uint8),
            zeros(tensors, LANES, dtype=dtype),
            zeros(tensors, SAMPLE, dtype=dtype),
            zeros(tensors, SAMPLE, dtype=dtype),
        )
        self._known, self._sampled = zeros(tensors, dtype=torch.bool), zeros(tensors, dtype=torch.bool)
        self._parts: dict[tuple[int, ...], _Part] = {}

    @property
    def nbytes(self) -> int:
        """Bytes that are kept from step to step."""
        return sum(kept.nbytes for kept in self._kept)

    @torch.no_grad()
    def compare(
        self,
        tensors: Sequence[int],
        gradients: Sequence[torch.Tensor],
        weights: Sequence[torch.Tensor | None],
        found_inf: torch.Tensor | None = None,
    ) -> Compared:
        """Compare gradients with those before, which they replace; with `found_inf` set the step is ignored."""
        part = self._part(tensors)
        sampled = send(torch.tensor([w is not None for w in weights]), self.device)
        filled = part.filled([g if w is None else w for g, w in zip(gradients, weights, strict=True)])
        at = filled.reshape(-1)[part.do.places]
        old = Kept(*(part.of(kept, axis) for kept, axis in zip(self._kept, (1, 0, 0, 0), strict=True)))
        new, counts, cosines = definitions.of_gradients(part.do, part.filled(gradients), at, old, self._limits)
        known, paired = self._known[part.tensors], self._sampled[part.tensors] & sampled
        fine = torch.ones((), dtype=torch.bool, device=self.device) if found_inf is None else found_inf.reshape(()) == 0
        for kept, now, before, axis in zip(self._kept, new, old, (1, 0, 0, 0), strict=True):
            part.put(kept, now if found_inf is None else torch.where(fine, now.to(before.dtype), before), axis)
        self._known[part.tensors] = known | fine
        self._sampled[part.tensors] = torch.where(fine, sampled, self._sampled[part.tensors])
        return Compared(list(tensors), known & fine, paired & fine, torch.stack(counts, 1), cosines)

    @torch.no_grad()
    def moved(
        self,
        tensors: Sequence[int],
        before: Sequence[torch.Tensor],
        after: Sequence[torch.Tensor],
        momenta: Sequence[torch.Tensor | None],
        squares: Sequence[torch.Tensor | None],
        limits: Sequence[Any],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return counts (`COUNTED_IN_UPDATES`) and sums (`summed_in_updates`) of the updates of weights."""
        kinds = [(m is not None, s is not None) for m, s in zip(momenta, squares, strict=True)]
        counts: list[Any] = [None] * len(tensors)
        sums: list[Any] = [None] * len(tensors)
        for kind in dict.fromkeys(kinds):
            mine = [i for i, one in enumerate(kinds) if one == kind]
            part = self._part([tensors[i] for i in mine])
            asked = part.filled([momenta[i] for i in mine]) if kind[0] else None
            small = part.filled([squares[i] for i in mine]) if kind[1] else None
            at = self._numbers([limits[i] for i in mine])
            rounded, within, found = definitions.of_updates(
                part.do, part.filled([before[i] for i in mine]), part.filled([after[i] for i in mine]),
                part.of(self._kept.planes, 1), asked, small, at,
            )  # fmt: skip
            for row, (one, many) in enumerate(
                zip(torch.stack([rounded, within], 1), torch.stack([x.double() for x in found], 1), strict=True)
            ):
                counts[mine[row]], sums[mine[row]] = one, many
        return torch.stack(counts), torch.stack(sums)

    def bits(self, tensor: int, plane: int, lanes: np.ndarray) -> torch.Tensor:
        """Return some bits of a plane: 0 has a sign, 1 is negative, 2 is zero at the first threshold, and so on."""
        block, lane = lanes // LANES + self.layout.first[tensor], lanes % LANES
        at = send(torch.as_tensor(block * (LANES // 8) + lane % (LANES // 8)), self.device)
        shift = send(torch.as_tensor(lane // (LANES // 8)), self.device)
        return (self._kept.planes[plane].reshape(-1)[at] >> shift) & 1

    def _numbers(self, values: Sequence[Any]) -> torch.Tensor:
        """Return numbers as a tensor on the device, which some may be on already."""
        if not any(isinstance(value, torch.Tensor) for value in values):
            return send(torch.tensor(values, dtype=self._dtype), self.device)
        one = torch.ones((), dtype=self._dtype, device=self.device)
        return torch.stack([(one * value).to(self._dtype) for value in values])

    def _part(self, tensors: Sequence[int]) -> "_Part":
        key = tuple(tensors)
        if key not in self._parts:
            if len(self._parts) > 100:  # experts: any subset may have gradients in a step
                self._parts.clear()
            self._parts[key] = _Part(self.layout, key, self.device, self._dtype)
        return self._parts[key]


class _Part:
    """Some tensors of a layout: their positions in what is kept, and operations by tensor."""

    def __init__(self, whole: Layout, tensors: tuple[int, ...], device: torch.device, dtype: torch.dtype):
        self.layout = layout = Layout(whole.sizes[list(tensors)].tolist())
        self._dtype, self._device = dtype, device
        self._all = tensors == tuple(range(len(whole)))

        def here(numbers: np.ndarray) -> torch.Tensor:
            return send(torch.as_tensor(numbers), device)

        self.tensors = here(np.array(tensors, np.int64))
        blocks = [np.arange(whole.blocks[t]) + whole.first[t] for t in tensors]
        self._blocks = here(np.concatenate(blocks))
        owner, within = here(layout.owner), here(layout.within)
        self.do = _primitives(len(tensors), owner, within, here(layout.places()), dtype)

    def filled(self, tensors: Sequence[torch.Tensor | None]) -> torch.Tensor:
        """Return tensors as blocks, padded with zeros."""
        out = torch.zeros(int(self.layout.blocks.sum()) * LANES, dtype=self._dtype, device=self._device)
        first, sizes = (self.layout.first * LANES).tolist(), self.layout.sizes.tolist()
        views = [out[start : start + size] for start, size in zip(first, sizes, strict=True)]
        copy = torch._foreach_copy_  # pyright: ignore[reportPrivateImportUsage]
        copy(views, [one.reshape(-1) for one in tensors if one is not None])
        return out.reshape(-1, LANES)

    def of(self, kept: torch.Tensor, axis: int) -> torch.Tensor:
        """Return what is kept of these tensors."""
        return kept if self._all else kept.index_select(axis, self._blocks if axis else self.tensors)

    def put(self, kept: torch.Tensor, new: torch.Tensor, axis: int) -> None:
        """Replace what is kept of these tensors."""
        if self._all:
            kept.copy_(new)
        else:
            kept.index_copy_(axis, self._blocks if axis else self.tensors, new.to(kept.dtype))


def _primitives(
    tensors: int, owner: torch.Tensor, within: torch.Tensor, places: torch.Tensor, dtype: torch.dtype
) -> Primitives:
    def total(x: torch.Tensor) -> torch.Tensor:
        x = x.double() if x.ndim == 1 and x.is_floating_point() else x
        return x.new_zeros((tensors, *x.shape[1:])).index_add_(0, owner, x)

    def most(x: torch.Tensor) -> torch.Tensor:
        return x.new_zeros(tensors).scatter_reduce_(0, owner, x, "amax")

    def signs() -> torch.Tensor:
        words = sign_words(within, torch.arange(64, device=owner.device))
        bits = (words[:, None, :] >> torch.arange(32, device=owner.device)[:, None]) & 1
        return 1 - 2 * bits.reshape(-1, LANES).to(dtype)

    cast: Callable[[torch.Tensor, str], torch.Tensor] = lambda x, name: x.to(getattr(torch, name))  # noqa: E731
    return Primitives(torch, cast, total, most, lambda x: x[owner], signs, places)
