"""How many graphs torch compiles of one function, where a tracker needs more of them than training alone.

A graph that records contains the numbers of its modules, so that blocks that are compiled one by one no longer share
one; and beside a graph that records there is one that does not, and later one without the tracker. torch compiles eight
graphs of a function: where it would be more, it leaves the function uncompiled or raises an error (`fullgraph=True`).
"""

import sys
from typing import Any

from torch import nn
from torch._guards import TracingContext

_KINDS = 3  # graphs that record, graphs that do not, and those of training when the tracker has gone


class GraphLimits:
    """Raises torch's limits while trackers are active, and afterwards while graphs that record may still be there.

    >>> limits, holder = GraphLimits(), object()
    >>> limits.hold(holder, 3)
    >>> limits.let_go(holder, graphs=False)
    """

    def __init__(self) -> None:
        self._holders: dict[Any, int] = {}  # how many modules each has
        self._left = False  # graphs that record, by one that holds no more
        self._known: dict[str, tuple[int, int]] = {}  # what the limits were, and what they were raised to

    def hold(self, holder: Any, modules: int) -> None:
        """Allow as many graphs as training alone may have, of each kind and for each module; once Dynamo is there.

        Args:
            holder: whoever has graphs that record.
            modules: how many modules it records.
        """
        if self._holders.get(holder) != modules and _config() is not None:
            self._holders[holder] = modules
            self._apply()

    def let_go(self, holder: Any, graphs: bool) -> None:
        """Put the limits back, unless somebody has changed them since.

        Args:
            holder: one that held them, or not.
            graphs: whether it leaves graphs that record, beside which there may be others now.
        """
        if self._holders.pop(holder, None) is not None:
            self._left = self._left or graphs
            self._apply()

    def forgotten(self) -> None:
        """Hear that all graphs have been discarded."""
        if self._left:
            self._left = False
            self._apply()

    def _apply(self) -> None:
        config = _config()
        if config is None:
            return
        kinds = _KINDS ** (len(self._holders) + self._left)
        for name, times in (("recompile_limit", kinds), ("accumulated_recompile_limit", kinds * self._modules)):
            now = getattr(config, name)
            before, raised = self._known.get(name, (now, now))
            before = before if now == raised else now  # what somebody has chosen since
            self._known[name] = before, before * times
            setattr(config, name, before * times)

    @property
    def _modules(self) -> int:
        return max(1, sum(self._holders.values()))


graph_limits = GraphLimits()


def _config() -> Any:
    return sys.modules.get("torch._dynamo.config")


def count_by_module(module: nn.Module) -> None:
    """Have Dynamo count the graphs of each module apart, where one function is compiled for several of them.

    Called while a graph is traced that records a module: it holds for the modules that the traced function was given
    and that contain this one, so that the graph depends on them as it does already on this one.

    Args:
        module: a module that is being called.
    """
    if TracingContext.try_get() is None:
        return
    from torch._dynamo.guards import GuardBuilder, install_guard
    from torch._dynamo.source import LocalSource
    from torch._dynamo.symbolic_convert import InstructionTranslator

    output = InstructionTranslator.current_tx().output
    cells = () if output.root_tx is None else output.root_tx.cell_and_freevars()
    for name, value in output.local_scope.items():
        if isinstance(value, nn.Module) and any(one is module for one in value.modules()):
            source = LocalSource(name, is_input=True, is_derefed_cell_contents=name in cells)
            install_guard(source.make_guard(GuardBuilder.ID_MATCH))
