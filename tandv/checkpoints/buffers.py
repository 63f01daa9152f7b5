"""Which tensors of a state dict are trained: by their names, and by what an optimiser in the same file updates."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from tandv.checkpoints.entries import Entry, Shape

# "unknown" is taken for trained; the last two are not.
Verdict = Literal["trained", "unknown", "buffer by its name", "not updated"]

# The shapes of the parameters of each group of an optimiser, in its order; None where it keeps no average of one.
Updated = Sequence[Sequence[Shape | None]]

# Buffers of PyTorch and of common models, whatever stands before them.
_BUFFER = re.compile(
    r"running_(mean|var|std)|num_batches_tracked|n_averaged|(\w+_)?inv_freq|masked_bias|(\w+_)?mask|tril|triu|IGNORE"
    r"|(cos|sin)_(cached?|table|emb)|freqs_c(is|os)|freqs_sin|(position|token_type|pos|buffered_token_type)_ids"
    r"|relative_position_index|relative_coords_table|rel_pos_index|_extra_state|_float_tensor|queue(_ptr|_\w+)?"
    r"|(sqrt_|log_)?(one_minus_)?alphas(_\w+)?|sqrt_(recip|recipm1|one_minus)\w*|posterior_\w+|betas|log_one_minus\w*"
    r"|moving_(mean|variance)|activation_post_process|zero_point|(min|max)_val|fake_quant_enabled|observer_enabled|amax|_amax"
)
# Names that buffers often have, and parameters now and then.
_OFTEN_A_BUFFER = re.compile(
    r"pe|cos|sin|mean|std|var|variance|(pixel|image|data|input|target|obs|x|y|norm|running)_(mean|std|var|min|max|scale)"
    r"|(\w+_)?anchors?|(anchor_)?grid|strides?|center|window|filt|fb|freqs?|(\w+_)?freqs|sinusoid\w*|pos_table|steps?"
    r"|count(er)?s?|cluster_size|embed(ding)?_avg|ema_\w+|initted|indices|idx|(\w+_)?index|rotary\w*|rope\w*|alibi"
    r"|(weight|bias|[wb])_(eps(ilon)?|noise)|eps(ilon)?_\w+|\w+_(sq_mean|cov_mat_sqrt)|window_\w+|edge_weight|weight_init"
    r"|fisher(_\w+)?|(memory_|feature_)?bank|pos_weight|eye|identity|ones|zeros|eps|lookup|lut|timesteps?|dummy\w*|_?buffer\w*"
)
# What parameters are called in PyTorch, JAX and common models.
_TRAINED = re.compile(
    r"(\w+_)?(weights?|bias|biases)(_\w+)?|kernel|scale|shift|gamma|beta|alpha|original\d*|lora_\w+|(\w+_)?embed\w*"
    r"|(\w+_)?emb|\w+_tokens?|tokens?|[A-Za-z]\d*|[wbWB]_?\w{1,2}|A_log|dt_bias|logit_scale|temperature|latents?|lambda_\w+"
    r"|(layer_)?scale_?\d*|relative_position_bias_table|(\w+_)?param(eter)?s?(_\w+)?|[A-Z][a-z]?_\w+"
)
# Those that layers have: they stay although no optimiser updates them, since they may be frozen.
_OF_LAYERS = re.compile(
    r"(\w+_)?(weights?|bias|biases)(_\w+)?|kernel|embedding|scale|shift|gamma|beta|original\d*|lora_\w+|[wbWB]_?\w{0,2}"
)
_POSITIONS = re.compile(
    r"(\w+_)?pos(ition(s|al)?)?_?(emb\w*|enc\w*)", re.IGNORECASE
)  # of sines and cosines, or trained
# Weights of classes and observers: what a loss or a simulated rounding has beside trained layers.
_IN_LOSS = re.compile(r"(.*\.)?(criterion|loss(_\w+)?|\w+_(loss|criterion)|loss_?fn|b?ce)\.(weight|pos_weight)")
_FLOAT = re.compile(r"b?float")


def is_float(entry: Entry) -> bool:
    """Tell whether a tensor holds floating-point numbers."""
    return bool(_FLOAT.match(entry.dtype))


def is_buffer(name: str, entry: Entry) -> bool:
    """Tell whether a tensor has a name that only buffers have.

    >>> is_buffer("bn.running_mean", Entry("float32", (2,), lambda: None))
    True
    """
    last = name.rpartition(".")[2]
    if entry.layer is not None or entry.role is not None:  # the file says it
        return entry.role == "buffer" or entry.layer == ""
    return bool(_BUFFER.fullmatch(last)) or "activation_post_process." in name or _is_attention_mask(last, entry.shape)


def verdicts(
    entries: Mapping[str, Entry],
    updated: Updated | None = None,
) -> dict[str, Verdict]:
    """Return of each tensor whether it is trained, or a buffer, or has a name that tells neither.

    Names decide what they can. What they leave open is decided by an optimiser in the file, which updates parameters in
    the order of the model: whether its shapes can be had with, and without, the tensor.

    >>> entries = {name: Entry("float32", (2,), lambda: None) for name in ("fc.weight", "fc.bias", "fc.limits")}
    >>> verdicts(entries)["fc.limits"], verdicts(entries, [[(2,), (2,)]])["fc.limits"]
    ('unknown', 'not updated')

    Args:
        entries: the tensors of a model by name, in its order, floating-point numbers only.
        updated: the shapes of the parameters in each group of the optimiser, in its order.
    """
    named: dict[str, Verdict] = {name: _by_name(name, entry) for name, entry in entries.items()}
    # the first and second moment of a weight over training (SWAG)
    means = [name for name in entries if f"{name.removesuffix('_mean')}_sq_mean" in entries and name.endswith("_mean")]
    named.update((name, "buffer by its name") for name in means)
    is_open = {name: verdict in ("unknown", "buffer by its name") for name, verdict in named.items()}
    of_layers = {name: bool(_OF_LAYERS.fullmatch(name.rpartition(".")[2])) for name in entries}
    if updated is None or not any(is_open[name] or not of_layers[name] for name in entries):
        return named
    candidates = [name for name in entries if is_open[name] or named[name] == "trained"]
    shapes = [entries[name].shape for name in candidates]
    undecided = [is_open[name] for name in candidates]
    modules = [name.rpartition(".")[0] for name in candidates]
    decided: list[Verdict | None] | None = None
    if len(updated) == 1:  # groups of parameters are not in the order of the model
        # what no layer has by that name may be a buffer; where that leaves more than one way, names decide
        any_name = [is_open[name] or not of_layers[name] for name in candidates]
        for may_be in (any_name, undecided):
            ways = (_in_order(shapes, may_be, updated[0], same) for same in (modules, candidates))
            found = next((one for one in ways if one is not None), None)
            if found is not None:
                decided = found if decided is None else [a or b for a, b in zip(decided, found, strict=True)]
    if decided is None:
        decided = _by_shape(shapes, undecided, [shape for group in updated for shape in group])
        decided = [one if undecided[i] else None for i, one in enumerate(decided)]
    by_optimiser: dict[str, Verdict] = {
        name: one
        for name, one in zip(candidates, decided, strict=True)
        if one and (is_open[name] or not of_layers[name])
    }
    return {**named, **by_optimiser}


def _by_name(name: str, entry: Entry) -> Verdict:
    last = name.rpartition(".")[2]
    if entry.layer or entry.role == "parameter":
        return "trained"
    in_loss = _IN_LOSS.fullmatch(name) and len(entry.shape) == 1
    if _OFTEN_A_BUFFER.fullmatch(last) or in_loss or "_fake_quant." in name:
        return "buffer by its name"
    if _POSITIONS.fullmatch(last):
        return "unknown"
    return "trained" if _TRAINED.fullmatch(last) else "unknown"


def _is_attention_mask(last: str, shape: Shape) -> bool:
    # GPT-2 of Hugging Face keeps its causal mask as `attn.bias`, 1 × 1 × positions × positions
    return last == "bias" and len(shape) >= 3 and shape[-1] == shape[-2] and set(shape[:-2]) == {1}


def _in_order(
    shapes: Sequence[Shape], is_open: Sequence[bool], updated: Sequence[Shape | None], modules: Sequence[str]
) -> list[Verdict | None] | None:
    """Return what every way of having the updated shapes in this order agrees on; None if there is no way.

    PyTorch lists the parameters of a module before its buffers: after a buffer, all of the same module are buffers.
    """
    if not is_open.count(False) <= len(updated) <= len(shapes):
        return None

    def after(i: int, state: tuple[int, bool], take: bool) -> tuple[int, bool] | None:
        used, skipped = state
        skipped = skipped and i > 0 and modules[i] == modules[i - 1]
        if not take:
            return (used, True) if is_open[i] else None
        fits = used < len(updated) and updated[used] in (None, shapes[i])
        return (used + 1, False) if fits and not skipped else None

    # how many of the updated are used up before each tensor, and whether its module has had a buffer
    reachable: list[set[tuple[int, bool]]] = [{(0, False)}]
    for i in range(len(shapes)):
        reachable.append({to for state in reachable[i] for take in (True, False) if (to := after(i, state, take))})
    left = {state for state in reachable[-1] if state[0] == len(updated)}
    if not left:
        return None
    verdicts: list[Verdict | None] = []
    for i in reversed(range(len(shapes))):
        taken = {state for state in reachable[i] if after(i, state, True) in left}
        skipped = {state for state in reachable[i] if after(i, state, False) in left}
        verdicts.append(None if taken and skipped else "trained" if taken else "not updated")
        left = taken | skipped
    return verdicts[::-1]


def _by_shape(
    shapes: Sequence[Shape], is_open: Sequence[bool], updated: Sequence[Shape | None]
) -> list[Verdict | None]:
    """Return what the number of updated parameters of each shape tells; groups of parameters change the order."""
    out: list[Verdict | None] = []
    for shape, undecided in zip(shapes, is_open, strict=True):
        with_shape = [one for one, same in zip(is_open, shapes, strict=True) if same == shape]
        left = sum(one == shape for one in updated) - with_shape.count(False)
        certain = None not in updated and left >= 0 and undecided
        enough = left >= with_shape.count(True)
        out.append(None if not certain else "not updated" if left == 0 else "trained" if enough else None)
    return out
