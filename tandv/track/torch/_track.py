"""`track` of PyTorch: check every argument, and make the tracker."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from tandv.messages import named_arguments
from tandv.track.common.block_formats import Axes, format_problems
from tandv.track.common.finished_log import LogFormat
from tandv.track.common.on_finding import OnFinding, saves
from tandv.track.common.save_rule import SaveRule
from tandv.track.settings import Every, Pattern, Settings, refuse, truth_problems
from tandv.track.torch import _weights
from tandv.track.torch._distributed import find_ranks, problems
from tandv.track.torch._tracker import TorchTracker, uses_own_function
from tandv.track.torch.names import module_names, parameter_names

Optimizers = torch.optim.Optimizer | Iterable[torch.optim.Optimizer] | None


@named_arguments
def track(
    module: nn.Module,
    track_gradients: bool = True,
    optimizer: Optimizers = None,
    track_weights: bool = True,
    include: Pattern | None = None,
    exclude: Pattern | None = None,
    stash_value: Callable[[torch.Tensor], Any] | None = None,
    async_offload: bool | None = None,
    offload_inc: int = 10,
    offload_type: LogFormat = ".pkl",
    use_wandb: bool | Literal["rows"] = False,
    only_stash_during_training: bool = True,
    init_step: int | None = None,
    *,
    track_updates: bool = False,
    every: Every = 1,
    budget: str | float | None = None,
    exponents: tuple[int, int] | None = None,
    tensorboard: Any = None,
    mlflow: Any = None,
    trackio: Any = None,
    name: str | None = None,
    path: str | Path | None = None,
    process_group: Any = None,
    per_rank: bool = False,
    save: SaveRule | None = None,
    insight: Any = False,
    inputs: bool = False,
    on_finding: OnFinding | None = None,
    units: bool = False,
    attention: bool = False,
    experts: bool = False,
    formats: Sequence[str] | None = None,
    formats_axis: Axes = None,
) -> TorchTracker:
    """Record what happens inside `module` while it trains: one row for each tensor and step.

    >>> from tandv.track.common import read_pickle
    >>> model = nn.Linear(3, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with track(model, optimizer=optimizer) as tracker:
    ...     for step in range(5):
    ...         loss = model(torch.randn(8, 3)).square().mean()
    ...         loss.backward()
    ...         optimizer.step()
    ...         optimizer.zero_grad()
    ...         tracker.step()
    >>> log = read_pickle(tracker.out_path)
    >>> sorted(log["metadata", "tensor_type"].unique())
    ['Activation', 'Gradient', 'Weight', 'Weight_Gradient']

    Args:
        module: the model; a compiled or a DistributedDataParallel one as well.
        track_gradients: record gradients with respect to module outputs, and of the weights.
        optimizer: one or several, whose state is recorded too; `track(model, optimizer)` is understood. Others that
            step on the model's parameters are found.
        track_weights: record the weights that the step's forward pass uses.
        include, exclude: regular expressions searched in the dotted names of modules and parameters.
        stash_value: your own function of one tensor instead of tandv's statistics, see `stash_scalar_stats`.
        async_offload: True writes in a thread, False where the step ends; None in a thread, for which training waits
            where it must, so that a killed process loses no more steps than lie between two flushes.
        offload_inc: tracked steps between two flushes to disk.
        offload_type: format of the finished log, ".pkl" or ".parquet"; one above 256 MiB in memory stays in the folder.
        use_wandb: log to the active W&B run as well; "rows" gives each recorded step a row of its own, at once.
        only_stash_during_training: outputs are recorded only while `module.training` is set.
        init_step: number of the first step, to continue after a checkpoint; 0 by default.
        track_updates: record what each step adds to the weights; needs a copy of them.
        every: record every n-th step, or the steps for which a function of the step is true.
        budget: how much longer training may take, such as "2%" or 0.02; chooses the interval instead of `every`.
        exponents: (lowest, highest) powers of two that get a column of the histogram; values outside are counted in
            -inf and inf. By default all that occur.
        tensorboard: a SummaryWriter of yours that each recorded step is written to as well.
        mlflow: a run of MLflow or its id, or True for the active one, that each recorded step is logged to as well.
        trackio: what `trackio.init` returned, for each recorded step to be logged to as well.
        name, path: the run's folder is `tandv-runs/<name>` or `path`, also an address such as "s3://bucket/run"; a
            taken name gets a number.
        process_group: the ranks that are tracked together, where there are several; all by default. Each measures its
            part, and the first writes one log of the whole.
        per_rank: keep the rows of each rank, which it writes itself, instead of merging them; the ranks need a file
            system in common, see docs/distributed.md.
        save: at which steps the weights are saved in the run's folder, see `tandv.track.SaveRule`.
        insight: record what optimisation does: gradients that are zero, stay zero or change sign, how far weights
            move, minima passed, updates lost to rounding. True, or a dict: `thresholds` below which a gradient counts
            as zero, `raster` to keep the signs of all gradients for `viz.gradient_raster`.
        inputs: record what modules are given, as tensor type "Input": a module's name, "name[1]" for the second of
            several arguments, "name[mask]" for one given by its name.
        on_finding: what is done when a rule of `tandv.findings` holds while the run goes on: "warn"; "save" keeps
            checkpoints from before it and warns; "stop" raises `tandv.track.FindingStop` at the next `step()`, for
            errors (of warnings it warns); a function of the finding; several in a list; or a dict of these by severity,
            {"error": "stop", "warning": ["save", print]}. By default nothing. See docs/findings.md.
        units: count the units of outputs and of gradients with respect to them, so that dead ones and one that carries
            far more than the others are found. They lie along the last axis of what linear layers, embeddings, layer
            norms and recurrent layers return, along the second of convolutions, batch, instance and group norms; of
            other modules as of the one that ran before.
        attention: record attention heads, as tensor type "Attention": of each the largest logit, the entropy and the
            share of the first token, as columns `largest_logit`, `attention_entropy` and `first_token_share`; see
            docs/how-to/attention-logits.md.
        experts: record mixtures of experts, as tensor types "Experts" and "Router": of each expert the share of tokens
            for it (`expert_load`) and its probability, of each router the entropy of its probabilities
            (`router_entropy`) and the share of its choices that no expert has computed (`dropped_share`); see
            docs/how-to/experts.md.
        formats: block formats such as "mxfp8_e4m3", "mxfp6_e2m3", "mxfp4", "nvfp4" or "e4m3@128x128", whose casts of
            inputs, weights, outputs and gradients are measured: the squared error, the squares, and how many values
            become zero and saturate, as statistics such as "error:mxfp4". By default none. See docs/formats.md.
        formats_axis: the axis along which the values of a block lie, or a dict of these by tensor type, such as
            {"Weight": 0}. By default that which the forward product sums over: the last one, of convolutions, norms
            and pools the second; what other modules take and return has it where the tensor of that shape before had.

    Raises TypeError or ValueError that names every argument that is wrong.
    """
    if not isinstance(module, nn.Module):
        made = f"; make a model of it first: {module.__name__}(...)" if isinstance(module, type) else ""
        raise TypeError(f"track() needs a torch.nn.Module, not {_described(module)}{made or '; pass the model itself'}")
    if optimizer is None and _are_optimizers(track_gradients):
        track_gradients, optimizer = True, cast(Optimizers, track_gradients)  # track(model, optimizer)
    settings = Settings(
        track_gradients=track_gradients,
        track_weights=track_weights,
        track_updates=track_updates,
        include=include,
        exclude=exclude,
        stash_value=stash_value,
        every=every,
        budget=budget,
        exponents=exponents,
        init_step=init_step,
        name=name,
        path=path,
        offload_inc=offload_inc,
        offload_type=offload_type,
        async_offload=async_offload,
        use_wandb=use_wandb,
        tensorboard=tensorboard,
        mlflow=mlflow,
        trackio=trackio,
        save=save,
        insight=insight,
        inputs=inputs,
        on_finding=on_finding,
        units=units,
        attention=attention,
        experts=experts,
    )
    optimizers = _as_list(optimizer)
    parameters = parameter_names(module)
    is_empty = not parameters  # it gets its layers later, as by Lightning's configure_model
    ranks = find_ranks(process_group)
    names = dict.fromkeys(named.name for named in (*module_names(module).values(), *parameters.values()))
    refuse(
        [
            *settings.problems(None if is_empty else list(names)),
            *truth_problems({"only_stash_during_training": only_stash_during_training, "per_rank": per_rank}),
            *(truth_problems({"track_gradients": track_gradients}) if track_gradients is None else []),
            *problems(module, ranks, uses_own_function(settings), budget, per_rank and on_finding is not None),
            *(_weights.problems(module) if save is not None or saves(on_finding) else []),
            *(
                ["units=True counts those of one process; leave it out where several ranks are tracked together"]
                if units is True and ranks is not None
                else []
            ),
            *(
                ["attention=True and a stash_value= of your own cannot be combined; leave one out"]
                if attention is True and uses_own_function(settings)
                else []
            ),
            *(
                ["experts=True and a stash_value= of your own cannot be combined; leave one out"]
                if experts is True and uses_own_function(settings)
                else []
            ),
            *format_problems(formats, formats_axis, ranks is None, uses_own_function(settings)),
            *_lazy_problems(parameters),
            *_optimizer_problems(optimizers, None if is_empty else set(parameters)),
        ]
    )
    return TorchTracker(
        settings,
        model=module,
        optimizers=optimizers,
        ranks=ranks,
        per_rank=per_rank,
        only_training=only_stash_during_training,
        formats=tuple(dict.fromkeys(formats or ())),
        formats_axis=formats_axis,
    )


def _are_optimizers(value: Any) -> bool:
    several = isinstance(value, list | tuple) and bool(value)
    return all(isinstance(one, torch.optim.Optimizer) for one in (value if several else [value]))


def _as_list(optimizer: Any) -> list[Any]:
    if optimizer is None:
        return []
    given = list(optimizer) if isinstance(optimizer, list | tuple) else [optimizer]
    return [inner for one in given for inner in _unwrapped(one)]


def _unwrapped(optimizer: Any) -> list[Any]:
    """Return the optimisers inside a wrapper, such as those of accelerate, Lightning and torchtitan."""
    several = getattr(optimizer, "optimizers", None)
    if isinstance(several, list | tuple) and several and _are_optimizers(several):
        return list(several)
    inner = getattr(optimizer, "optimizer", None)
    return _unwrapped(inner) if isinstance(inner, torch.optim.Optimizer) else [optimizer]


def _lazy_problems(parameters: Mapping[nn.Parameter, Any]) -> list[str]:
    lazy = [named.name for p, named in parameters.items() if is_lazy(p)]
    words = "is a parameter of a lazy module without a shape yet: run the model on a batch, then track it"
    return [f"{lazy[0]!r} {words}"] if lazy else []


def _optimizer_problems(optimizers: list[Any], parameters: set[nn.Parameter] | None) -> list[str]:
    found = []
    for optimizer in optimizers:
        if not isinstance(optimizer, torch.optim.Optimizer):
            found.append(f"optimizer={_described(optimizer)} must be a torch.optim.Optimizer, or a list of them")
        elif parameters is not None and parameters.isdisjoint(
            p for group in optimizer.param_groups for p in group["params"]
        ):
            found.append(
                f"the {type(optimizer).__name__} given as optimizer has none of the model's parameters; "
                "pass the one made with this model's .parameters()"
            )
    return found


def _described(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:80]
