"""Graphs within a graph that is traced: the branches of `torch.cond`, the body of a loop, a region compiled once.

An operator that has an effect fails there or is run for another module, and one graph may stand for several modules.
"""

from typing import Any

# Operations whose graph becomes a part of the one around it, with the operators in it: checkpoints, own derivatives.
_INLINED = ("tag_activation_checkpoint", "autograd_function_apply", "wrap_activation_checkpoint")


def subgraph() -> str | None:
    """Return the operation in whose graph Dynamo is tracing now, None where it traces no graph within another.

    >>> subgraph() is None
    True
    """
    try:
        from torch._dynamo.symbolic_convert import InstructionTranslator

        tracer: Any = InstructionTranslator.current_tx().output.current_tracer
        while tracer is not None and tracer.parent is not None:
            name = _name(tracer)
            if name not in _INLINED:
                return name
            tracer = tracer.parent
    except (ImportError, AttributeError):  # nothing is traced, or by a torch that names these things otherwise
        pass
    return None


def _name(tracer: Any) -> str:
    target = tracer.source_target
    name = getattr(target, "name", target)
    return str(name() if callable(name) else name)
