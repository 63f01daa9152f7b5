"""The rows of steps whose measurements are copied from their device together."""

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from tandv.track.common.attention import with_heads
from tandv.track.common.block_formats import with_columns
from tandv.track.common.execution_order import ExecutionOrder
from tandv.track.common.measurements import Block, block
from tandv.track.common.units import UnitHistory
from tandv.track.insight.numbers import with_numbers
from tandv.track.jax._loss_scale import LossScale
from tandv.track.jax._parameters import ParametersSeen
from tandv.track.jax._rows import JaxStep, Modules, loss_scale_of
from tandv.track.jax._stash import Own


def blocks(
    steps: Sequence[JaxStep],
    modules: Modules,
    selects: Callable[[str], bool],
    own: Own | None,
    exponents: tuple[int, int] | None,
    execution: ExecutionOrder,
    parameters: ParametersSeen,
    units: UnitHistory,
    note: Callable[[str, str], None],
    formats: Sequence[str] = (),
) -> Iterator[Block]:
    """Yield the rows of some steps; one copy from the device brings the measurements of all.

    What is to be said is given to `note`, which takes the kind of a message and the message: this may run in a thread.
    """
    arrived = jax.device_get([measured.words for measured in steps])
    for measured, words in zip(steps, arrived, strict=True):
        if (problem := LossScale.problem(measured.loss_scale)) is not None:
            note("loss scale", problem)
        parts = list(modules.parts(measured, words, selects))
        rows = (
            own.block(measured.step, parts) if own is not None else with_heads(block(measured.step, parts, exponents))
        )
        for quantities, _, _ in parts:  # in the order of the trace
            execution.note((one.tensor_type, one.name) for one in quantities)
        parameters.note(rows)
        rows = rows._replace(order=execution.end_of_step())
        scale = loss_scale_of(measured, words)
        if scale is not None:
            rows = rows._replace(scalars=rows.scalars | {"loss_scale": np.full(len(rows.dtypes), scale)})
        if formats:
            rows = with_columns(rows, modules.blocks(measured, words, selects), formats)
        rows = units.added_to(rows, modules.units(measured, words, selects))
        yield with_numbers(rows, modules.named(measured.numbers))
