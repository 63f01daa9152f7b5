"""`track` of JAX: check every argument, and make the tracker."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax

from tandv.messages import named_arguments
from tandv.track.common.block_formats import Axes, format_problems
from tandv.track.common.finished_log import LogFormat
from tandv.track.common.on_finding import OnFinding, saves, stops
from tandv.track.common.save_rule import SaveRule
from tandv.track.jax import _hosts, _names, _stash
from tandv.track.jax._block_kernels import BlockFormats
from tandv.track.jax._objects import is_equinox, is_object
from tandv.track.jax._states import mixed_problems, parts_of
from tandv.track.jax._tracker import JaxTracker
from tandv.track.settings import Every, Pattern, Settings, every_problems, refuse


@named_arguments
def track(
    model: Any = None,
    optimizer: Any = None,
    *,
    model_state: Any = None,
    optimizer_state: Any = None,
    track_gradients: bool | None = None,
    track_weights: bool = True,
    include: Pattern | None = None,
    exclude: Pattern | None = None,
    stash_value: Callable[[jax.Array], Any] | None = None,
    async_offload: bool | None = None,
    offload_inc: int = 10,
    offload_type: LogFormat = ".pkl",
    use_wandb: bool | Literal["rows"] = False,
    init_step: int | None = None,
    track_updates: bool = False,
    every: Every = 1,
    budget: str | float | None = None,
    every_trees: Every = 1,
    exponents: tuple[int, int] | None = None,
    tensorboard: Any = None,
    mlflow: Any = None,
    trackio: Any = None,
    name: str | None = None,
    path: str | Path | None = None,
    save: SaveRule | None = None,
    insight: Any = False,
    inputs: bool = False,
    on_finding: OnFinding | None = None,
    units: bool = False,
    attention: bool = False,
    experts: bool = False,
    exact: bool = False,
    formats: Sequence[str] | None = None,
    formats_axis: Axes = None,
) -> JaxTracker:
    """Record what happens inside a JAX model while it trains: one row for each tensor and step.

    Of linen, or any pytree of weights:

    >>> import jax.numpy as jnp, optax
    >>> from flax import linen
    >>> net, transform = linen.Dense(1), optax.sgd(0.1)
    >>> params = net.init(jax.random.key(0), jnp.ones((1, 3)))
    >>> opt_state = transform.init(params)
    >>> @jax.jit
    ... def update(params, opt_state, x):
    ...     grads = jax.grad(lambda params: jnp.square(net.apply(params, x)).mean())(params)
    ...     updates, opt_state = transform.update(grads, opt_state, params)
    ...     return optax.apply_updates(params, updates), opt_state, grads
    >>> with track(model_state=params, optimizer_state=opt_state) as tracker:
    ...     for step in range(5):
    ...         x = jax.random.normal(jax.random.key(step), (8, 3))
    ...         params, opt_state, grads = tracker.intercept(update, params, opt_state, x)
    ...         tracker.step(params, opt_state, grads)
    >>> tracker.out_path.name
    'log.pkl'

    Of flax.nnx, whose objects are read where they change:

    >>> from flax import nnx
    >>> model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    >>> optimizer = nnx.Optimizer(model, transform, wrt=nnx.Param)
    >>> with track(model, optimizer) as tracker:
    ...     @tracker.wrap
    ...     @nnx.jit
    ...     def step_fn(model, optimizer, x):
    ...         optimizer.update(model, nnx.grad(lambda model: jnp.square(model(x)).mean())(model))
    ...     for step in range(5):
    ...         step_fn(model, optimizer, jnp.ones((8, 3)))
    ...         tracker.step()

    Args:
        model, optimizer: nnx objects, or an equinox model and its optax state.
        model_state, optimizer_state: the same as pytrees of arrays; give the new ones to every `step`. A training
            state that holds both (flax's `TrainState`, or any dict or object with `params` and `opt_state`) may be
            given as one.
        track_gradients: record gradients with respect to module outputs, and of the weights if `step` is given them;
            with True `step` requires them, with False none are recorded.
        track_weights: record the weights that the step's forward pass uses.
        include, exclude: regular expressions searched in the dotted names of modules and parameters.
        stash_value: your own traceable function of one array instead of tandv's statistics, see `stash_scalar_stats`.
        async_offload: True writes in a thread, False where the step ends; None in a thread, for which training waits
            where it must, so that a killed process loses no more steps than lie between two flushes.
        offload_inc: tracked steps between two flushes to disk, with one copy from the device for each.
        offload_type: format of the finished log, ".pkl" or ".parquet"; one above 256 MiB in memory stays in the folder.
        use_wandb: log to the active W&B run as well; "rows" gives each recorded step a row of its own, at once.
        init_step: number of the first step, to continue after a checkpoint; 0 by default.
        track_updates: record what each step adds to the weights; needs a copy of them.
        every: record every n-th step, or the steps for which a function of the step is true.
        budget: how much longer training may take, such as "2%" or 0.02; chooses the interval instead of `every`.
        every_trees: like `every`, for the weights, gradients of weights and optimiser states of recorded steps.
        exponents: (lowest, highest) powers of two that get a column of the histogram; values outside are counted in
            -inf and inf. By default all that occur.
        tensorboard: a SummaryWriter of yours that each recorded step is written to as well.
        mlflow: a run of MLflow or its id, or True for the active one, that each recorded step is logged to as well.
        trackio: what `trackio.init` returned, for each recorded step to be logged to as well.
        name, path: the run's folder is `tandv-runs/<name>` or `path`, also an address such as "s3://bucket/run"; a
            taken name gets a number.
        save: at which steps the parameters are saved in the run's folder, see `tandv.track.SaveRule`.
        insight: as in `tandv.track.torch.track`, from the gradients given to `step`. The weights before the step are
            held until it ends, as copies if the step is donated them. optax stores no epsilon: `adam` in the dict
            gives epsilon and beta2, (1e-8, 0.999) by default.
        inputs: False; inputs of modules are recorded in PyTorch alone. Use `tag` here.
        on_finding: what is done when a rule of `tandv.findings` holds while the run goes on: "warn"; "save" keeps
            checkpoints from before it and warns; "stop" raises `tandv.track.FindingStop` at the next `step()`, for
            errors (of warnings it warns); a function of the finding; several in a list; or a dict of these by severity,
            {"error": "stop", "warning": ["save", print]}. By default nothing. See docs/findings.md.
        units: count the units of outputs and of gradients with respect to them, which lie along the last axis (of
            equinox's convolutions along the channels), so that dead ones and one that carries far more than the others
            are found. Not within a `shard_map`, where each device may have other units.
        attention: record attention heads of jitted programs, as tensor type "Attention": of each the largest logit, the
            entropy and the share of the first token; see docs/how-to/attention-logits.md. Not within a `shard_map`.
        experts: False; mixtures of experts are recorded in PyTorch alone.
        exact: run every jitted program that holds modules twice, unchanged and once more to measure (about 1.5 times
            its time). By default that is done only where one program for both was found to give other bits.
        formats: block formats such as "mxfp8_e4m3", "mxfp6_e2m3", "mxfp4", "nvfp4" or "e4m3@128x128", whose casts of
            weights, outputs and gradients are measured: the squared error, the squares, and how many values become
            zero and saturate, as statistics such as "error:mxfp4". Not within a `shard_map`. By default none. See
            docs/formats.md.
        formats_axis: the axis along which the values of a block lie, or a dict of these by tensor type, such as
            {"Weight": 0}. By default that which the forward product sums over: the channels of outputs; of weights
            called "kernel" and "w" the last but one, of others the second, as equinox has them.

    Raises TypeError or ValueError that names every argument that is wrong.
    """
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
    found = every_problems("every_trees", every_trees)
    for positional, keyword, argument in ((model, model_state, "model"), (optimizer, optimizer_state, "optimizer")):
        if positional is not None and keyword is not None:
            found.append(f"give {argument} or {argument}_state, not both")
    model = model if model is not None else model_state
    optimizer = optimizer if optimizer is not None else optimizer_state
    if isinstance(model, type):
        found.append(f"{model.__name__} is a class; make a model of it first: {model.__name__}(...)")
        model = None
    if isinstance(optimizer, tuple) and hasattr(optimizer, "init") and hasattr(optimizer, "update"):
        found.append(
            f"optimizer={type(optimizer).__name__} is what updates, and holds no state; give what its init(params) "
            "returned, or an nnx.Optimizer"
        )
        optimizer = None
    model, held = parts_of(model)
    optimizer = optimizer if optimizer is not None else held
    found += mixed_problems(model, "model_state")
    in_place = is_object(model)
    if (save is not None or saves(on_finding)) and model is None:
        by = "save=" if save is not None else "on_finding='save'"
        found.append(f"{by} needs the parameters that it is to save: give track() model= or model_state=")
    names: list[str] = []
    if model is not None and not any(_names.is_float(leaf) for leaf in jax.tree.leaves(model)):
        found.append(
            f"model_state={type(model).__name__} holds no float array; give the tree of parameters, an nnx module or "
            "an equinox model (of a flax.linen module what init() returned)"
        )
    elif model is not None:
        names = [leaf.name for leaf in _names.weights(model)]
        if not names:
            found.append("the model has no parameters that can be recorded")
    # Modules of linen are known only when they are called: a pattern may be for them alone.
    known = [*names, *_above(names)] if names and (in_place or is_equinox(model)) else None
    found += settings.problems(known)
    if inputs is True:
        found.append("inputs=True is there in PyTorch alone; in JAX record what a module is given by tag(x, 'name')")
    if attention is True and callable(stash_value):
        found.append("attention=True and a stash_value= of your own cannot be combined; leave one out")
    if experts is True:
        found.append("experts=True is there in PyTorch alone")
    if budget is not None and _hosts.several():
        found.append("budget= chooses steps by this process's time; give every= on several hosts, the same in each")
    if stops(on_finding) and _hosts.several():
        found.append("on_finding='stop' cannot stop several hosts at the same step; give 'warn', 'save' or a function")
    own_function = stash_value not in (None, _stash.stash_all_stats_and_hist)
    found += format_problems(formats, formats_axis, not _hosts.several(), own_function)
    if callable(stash_value):
        found += _stash.problems(stash_value)
    refuse(found)

    promised = [
        *(["model_state"] if model is not None and not in_place else []),
        *(["opt_state"] if optimizer is not None and not is_object(optimizer) else []),
        *(["grads"] if track_gradients else []),
    ]
    if in_place and "grads" in promised:
        promised.remove("grads")  # nnx.Optimizer.update is seen receiving them
    return JaxTracker(
        settings,
        model=model,
        optimizer=optimizer,
        promised=tuple(promised),
        every_trees=every_trees,
        title=type(model).__name__ if in_place or is_equinox(model) else "jax",
        exact=exact,
        blocks=BlockFormats(tuple(dict.fromkeys(formats)), formats_axis) if formats else None,
    )


def _above(names: list[str]) -> list[str]:
    return [".".join(name.split(".")[:end]) for name in names for end in range(1, name.count(".") + 1)]
