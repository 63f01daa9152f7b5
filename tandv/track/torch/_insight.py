"""Insight into PyTorch's optimisers: gradients as they receive them, weights just before and after their step.

From an optimiser's step pre-hook to its post-hook a copy of the weights is held: the update cannot be known otherwise.
All that is kept from step to step is packed, see `tandv.measure.insight`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from tandv.log.raster import codes_of
from tandv.measure.insight.host import KINDS, HostKept, Moving, available
from tandv.track.insight.numbers import InsightSettings, Moved, Numbers, joined, numbers
from tandv.track.insight.raster import RasterWriter
from tandv.track.torch._insight_arrays import TorchKept
from tandv.track.torch._insight_states import UpdateState, update_state
from tandv.track.torch._insight_tensors import dense, event_after, in_portions, memory, memory_if, to_host
from tandv.track.torch._shards import local
from tandv.track.torch.names import Named
from tandv.track.torch.values import readable, why_not


class _ParameterGroup(NamedTuple):
    """Tensors that are compared at a time, and what is kept of them."""

    kept: Any  # HostKept or TorchKept
    parameters: list[nn.Parameter]
    names: list[str]


class TorchInsight:
    """Compares each step's gradients and weights with those before."""

    def __init__(self, tracker: Any, names: dict[nn.Parameter, Named], asked: InsightSettings):
        self._tracker = tracker
        self._names = {p: named.name for p, named in names.items()}
        self._asked = asked
        self._place: dict[nn.Parameter, tuple[_ParameterGroup, int]] = {}
        self._before: dict[nn.Parameter, torch.Tensor] = {}
        self._raster: RasterWriter | None = None
        self._sizes: dict[str, int] = {}  # of the tensors in the raster
        self.start_of_step()

    def record_signs(self, raster: RasterWriter) -> None:
        """Write the signs of each step to a raster, of the tensors that there are now."""
        self._raster = raster
        self._sizes = {name: p.numel() for p, name in self._names.items()}
        raster.begin(list(self._sizes), list(self._sizes.values()))

    def follow(self, names: dict[nn.Parameter, Named]) -> None:
        """Update to the parameters that the model has now, and their names."""
        self._names = {p: named.name for p, named in names.items()}
        for known in (self._place, self._before):
            for p in [p for p in known if p not in names]:
                del known[p]
        self._seen &= names.keys()
        self._late &= names.keys()
        groups = {id(group): group._replace(names=list(group.names)) for group, _ in self._place.values()}
        self._place = {p: (groups[id(group)], place) for p, (group, place) in self._place.items()}
        for p, (group, place) in self._place.items():
            group.names[place] = self._names[p]

    @property
    def nbytes(self) -> int:
        """Bytes that are kept from step to step."""
        return sum({id(group): group.kept.nbytes for group, _ in self._place.values()}.values())

    def start_of_step(self) -> None:
        self._before.clear()
        self._seen: set[nn.Parameter] = set()
        self._found: list[tuple[_ParameterGroup, Any]] = []
        self._changed: list[tuple[_ParameterGroup, Moved]] = []
        self._late: set[nn.Parameter] = set()  # gradients that a closure computes within the optimiser's step

    def before_step(self, optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], closure: bool) -> None:
        """Compare the gradients that an optimiser receives; the first time in a step that it does."""
        found = getattr(optimizer, "found_inf", None)  # of a scaler, where the optimiser unscales itself
        if found is not None and found.device.type == "cpu" and float(found):
            self._seen.update(parameters)
            return
        scale = getattr(optimizer, "grad_scale", None)
        new = [p for p in parameters if p not in self._seen and p.requires_grad and (closure or p.grad is not None)]
        new = [p for p in new if self._is_here(p)]
        self._seen.update(new)
        for p in new:
            self._before[p] = p.detach().clone(memory_format=torch.contiguous_format)
        if closure:
            self._late.update(new)
        else:
            self._compare(new, self._before, scale, found)

    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Measure the update of the weights by an optimiser's step."""
        mine = [(group, p) for group in optimizer.param_groups for p in group["params"] if p in self._before]
        late = [p for _, p in mine if p in self._late and p.grad is not None]
        if late:  # several evaluations have gradients at other weights than those before the step
            weights = {} if isinstance(optimizer, torch.optim.LBFGS) else self._before
            self._compare(late, weights, None, None)
            self._late.difference_update(late)
        states = {p: update_state(optimizer, group, p) for group, p in mine if p in self._place}
        by_group: dict[int, list[nn.Parameter]] = {}
        for p in states:
            by_group.setdefault(id(self._place[p][0]), []).append(p)
        for parameters in by_group.values():
            self._measure(parameters, states)
        for _, p in mine:
            self._before.pop(p, None)

    def end_of_step(
        self, skipped: bool, is_new: Callable[[nn.Parameter], bool] = lambda p: True
    ) -> Callable[[], Numbers] | None:
        """Compare gradients of this step that no optimiser has received; return what makes the step's numbers.

        Those of a step that a scaler has skipped are infinite, and no optimiser's: the next step is compared with
        the one before.
        """
        if not skipped:
            rest = [p for p in self._names if p not in self._seen and p.grad is not None and is_new(p)]
            self._compare([p for p in rest if self._is_here(p)], {}, None, None)
        found, changed, asked = self._found, self._changed, self._asked
        if not found:
            return None
        signs, raster = self._signs(), self._raster

        def make() -> Numbers:
            if raster is not None:
                raster.put({name: codes_of(*map(to_host, bits)) for name, bits in signs.items()})
            return joined([_numbers(asked, group, one, changed) for group, one in found])

        ready = [event_after(group.kept.device) for group, _ in found if isinstance(group.kept, TorchKept)]

        def when_ready() -> Numbers:
            for event in ready:
                if event is not None:
                    event.synchronize()
            return make()

        return when_ready

    # Inside.

    def _is_here(self, p: nn.Parameter) -> bool:
        values, shard = local(p)
        if shard is not None:
            self._tracker.warn_once(
                "insight is about parameters that a process has as a whole: what is spread over several is left out"
            )
            return False
        if values is None or p.layout is not torch.strided or not p.is_floating_point() or p.dtype.itemsize == 1:
            return False
        for tensor in (p, p.grad):
            if tensor is not None and not readable(tensor):
                why = why_not(tensor)
                self._tracker.warn_once(
                    f"insight leaves {why} out (first met at {self._names[p]!r})", f"insight: {why}"
                )
                return False
        return True

    def _compare(self, parameters: list[nn.Parameter], weights: Any, scale: Any, found_inf: Any) -> None:
        for group, mine in self._grouped(parameters):
            of = [self._place[p][1] for p in mine]
            gradients = [dense(p.grad, scale) for p in mine]
            known = [weights.get(p) for p in mine]
            if isinstance(group.kept, HostKept):
                there = list(map(memory_if, known))
                one = group.kept.compare(of, list(map(memory, gradients)), there, torch.get_num_threads())
            else:
                one = group.kept.compare(of, gradients, known, found_inf)
            self._found.append((group, one))

    def _measure(self, parameters: list[nn.Parameter], states: dict[nn.Parameter, UpdateState]) -> None:
        group = self._place[parameters[0]][0]
        of = [self._place[p][1] for p in parameters]
        scaled = np.array([states[p].squares is not None for p in parameters])
        asked = np.array([states[p].asked for p in parameters])
        after = [p.detach().contiguous() for p in parameters]
        if isinstance(group.kept, HostKept):
            moving = [
                Moving(
                    memory(self._before[p]),
                    memory(now),
                    memory_if(states[p].momentum),
                    memory_if(states[p].squares),
                    float(states[p].limit),
                )
                for p, now in zip(parameters, after, strict=True)
            ]
            counts, sums = group.kept.moved(of, moving, torch.get_num_threads())
        else:
            counts, sums = group.kept.moved(
                of, [self._before[p] for p in parameters], after, [states[p].momentum for p in parameters],
                [states[p].squares for p in parameters], [states[p].limit for p in parameters],
            )  # fmt: skip
        self._changed.append((group, Moved(of, scaled, asked, counts, sums)))

    def _grouped(self, parameters: list[nn.Parameter]) -> list[tuple[_ParameterGroup, list[nn.Parameter]]]:
        """Return parameters with the group that each belongs to; new ones, and those that have grown, get a new one."""
        new: dict[Any, list[nn.Parameter]] = {}
        for p in parameters:
            if p not in self._place or not self._fits(p):
                new.setdefault((p.device, self._on_host(p), p.dtype == torch.float64), []).append(p)
        for (device, on_host, wide), mine in new.items():
            for some in in_portions(mine):
                sizes = [p.numel() for p in some]
                if on_host:
                    kept: Any = HostKept(sizes, self._asked.thresholds)
                else:
                    kept = TorchKept(sizes, self._asked.thresholds, device, torch.float64 if wide else torch.float32)
                group = _ParameterGroup(kept, some, [self._names[p] for p in some])
                self._place |= {p: (group, number) for number, p in enumerate(some)}
        out: dict[int, tuple[_ParameterGroup, list[nn.Parameter]]] = {}
        for p in parameters:
            group = self._place[p][0]
            out.setdefault(id(group), (group, []))[1].append(p)
        return list(out.values())

    def _fits(self, p: nn.Parameter) -> bool:
        group, number = self._place[p]
        on_host = isinstance(group.kept, HostKept)
        same = on_host == self._on_host(p) and (on_host or group.kept.device == p.device)
        return same and group.kept.layout.sizes[number] == p.numel()

    def _on_host(self, p: nn.Parameter) -> bool:
        kinds = {str(one.dtype).removeprefix("torch.") for one in (p, p.grad if p.grad is not None else p)}
        return p.is_cpu and kinds <= set(KINDS) and available()

    def _signs(self) -> dict[str, tuple[Any, Any, Any]]:
        """Return the bits of which the raster of this step is made."""
        if self._raster is None:
            return {}
        within = 1 + len(self._asked.thresholds)
        return {
            group.names[tensor]: tuple(
                group.kept.bits(tensor, plane, self._raster.places[group.names[tensor]]) for plane in (0, 1, within)
            )
            for group, one in self._found
            for tensor in one.tensors
            if self._sizes.get(group.names[tensor]) == group.kept.layout.sizes[tensor]  # else it came later
        }  # type: ignore[return-value]


def _numbers(
    asked: InsightSettings, group: _ParameterGroup, one: Any, changed: list[tuple[_ParameterGroup, Moved]]
) -> Numbers:
    one = one._replace(**{name: to_host(getattr(one, name)) for name in ("known", "paired", "counts", "cosines")})
    mine = [moved for of, moved in changed if of is group]
    parts = [moved._replace(counts=to_host(moved.counts), sums=to_host(moved.sums)) for moved in mine]
    moved = None
    if parts:
        moved = Moved(
            [tensor for part in parts for tensor in part.tensors],
            *(np.concatenate([part[field] for part in parts]) for field in range(1, 5)),
        )
    return numbers(asked, group.names, group.kept.layout, one, moved)
