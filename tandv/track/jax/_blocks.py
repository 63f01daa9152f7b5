"""The rows of steps whose measurements are copied from their device together."""

from collections.abc import Callable, Iterator, Sequence

import jax

from tandv.track.common.execution_order import ExecutionOrder
from tandv.track.common.measurements import Block, block
from tandv.track.insight.numbers import with_numbers
from tandv.track.jax._rows import JaxStep, Modules
from tandv.track.jax._stash import Own


def blocks(
    steps: Sequence[JaxStep],
    modules: Modules,
    selects: Callable[[str], bool],
    own: Own | None,
    exponents: tuple[int, int] | None,
    execution: ExecutionOrder,
) -> Iterator[Block]:
    """Yield the rows of some steps; one copy from the device brings the measurements of all."""
    arrived = jax.device_get([measured.words for measured in steps])
    for measured, words in zip(steps, arrived, strict=True):
        parts = list(modules.parts(measured, words, selects))
        rows = own.block(measured.step, parts) if own is not None else block(measured.step, parts, exponents)
        for quantities, _, _ in parts:  # in the order of the trace
            execution.note((one.tensor_type, one.name) for one in quantities)
        rows = rows._replace(order=execution.end_of_step())
        yield with_numbers(rows, modules.named(measured.numbers))
