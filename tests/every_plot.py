"""Every public plot with data of many sizes, for tests of what all pictures have in common.

`CASES[name](**layout)` draws one; `layout` is figsize, theme, ax, title, ...
"""

from functools import cache, partial

import numpy as np
import pandas as pd

from tandv import viz
from tandv.analysis.attention import attention_curves
from tandv.analysis.circuits import HeadWeights, composition_scores
from tandv.analysis.diff import diff
from tandv.analysis.representations import project
from tandv.analysis.transitions import Evidence, Transition
from tandv.analysis.whatif import whatif_plan
from tandv.curves import as_curves
from tandv.log.logframe import EXAMPLE_TYPES, example_log, layers
from tandv.log.raster import Raster
from tandv.probes.lens import Lens

RNG = np.random.default_rng(0)
STEPS = np.arange(0, 5000, 100)
FALL = np.exp(-STEPS / 900)
WORDS = ["once", "upon", "a", "time", "there", "was", "a", "network"]
NAME = "model.transformer.decoder.layers.{}.self_attention.projection"  # 60 characters


def long_names(count):
    """Return the names of layers, of 60 characters each and more."""
    return [NAME.format(i) for i in range(count)]


@cache
def log(count, kinds=("Activation",), named=True):
    """Return a log of so many layers with long names, half of a layer's values NaN for a while."""
    df = example_log(layers=count, steps=20, tensor_types=list(kinds))
    if named:
        names = dict(zip(layers(df), long_names(count), strict=True))
        df = df.assign().copy()
        df[("metadata", "name")] = df[("metadata", "name")].astype(str).map(names)
    at = (df[("metadata", "step")] >= 12) & (df[("metadata", "name")] == layers(df)[-1])
    df.loc[at, ("scalar_stats", "nans")] = df.loc[at, ("scalar_stats", "numel")] // 2
    return df


@cache
def insight(count):
    """Return a log with the numbers of insight of so many layers."""
    df = example_log(layers=count, steps=20, tensor_types=["Weight_Gradient"]).copy()
    at = df[("metadata", "step")]
    numbers = {"zeros_1e-07": 100 + at, "zeros_1e-05": 10 * at**2 + 1, "gradient_norm": np.exp(-at / 4.0)}
    numbers |= {"zeros_retained_1e-05": 5 * at**2, "zeros_released_1e-05": at, "signed": 0.9 + 0 * at}
    numbers |= {"sign_flips": 0.2 + 0.01 * at, "update_norm": 0.1 + 0 * at}
    for name, values in numbers.items():
        df[("scalar_stats", name)] = values.astype(float)
    return df


@cache
def composed():
    """Return the composition of 18 heads of 3 layers."""
    heads = {name: HeadWeights(*RNG.normal(size=(3, 6, 16, 4)), RNG.normal(size=(6, 4, 16))) for name in long_names(3)}
    return composition_scores(heads)


@cache
def apart():
    """Return a comparison of two logs of 12 layers with long names that part at step 8."""
    a, b = log(12, ("Activation", "Weight")), log(12, ("Activation", "Weight")).copy()
    at = (b[("metadata", "step")] >= 8) & (b[("metadata", "name")] == layers(b)[5])
    b.loc[at, ("scalar_stats", "rm2")] *= 3
    return diff(a, b)


@cache
def losses():
    """Return the curves of a run: losses, accuracies, learning rate and norms."""
    return pd.DataFrame(
        {
            "train_loss": 3 * FALL + 0.01,
            "test_loss": 3 * FALL + 0.4,
            "train_accuracy": 1 - FALL,
            "test_accuracy": 0.8 - 0.8 * FALL,
            "learning_rate": 3e-4 * FALL,
            "weight_norm": 10 + 5 * FALL,
        },
        index=pd.Index(STEPS, name="step"),
    )


@cache
def attention():
    """Return attention of five layers of long names, 12 heads each, at four steps."""
    late = np.tril(np.ones((8, 8))) / np.arange(1, 9)[:, None]
    heads = np.stack([(1 - i / 11) * late + i / 11 * np.eye(8) for i in range(12)])
    return {step: dict.fromkeys(long_names(5), heads * (1 - step / 4000) + step / 4000 * late)
            for step in (0, 1000, 2000, 4000)}  # fmt: skip


@cache
def features(count):
    return {name: RNG.normal(size=(40, 10)) for name in long_names(count)}


JUMP = Transition("train_loss", 900, 1000, 1200, 2.0, 1.0, Evidence())
RUNS = {f"a run with a long name, of seed {i} and 12 layers": losses() * (1 + 0.03 * i) for i in range(12)}
CLASSES = [f"class {i % 11} with a long name" for i in range(40)]


def raster(count, **layout):
    sizes = np.full(count, 20)
    codes = RNG.integers(0, 4, size=(30, 20 * count)).astype(np.uint8)
    edges = np.arange(0, 20 * count + 1, 20)
    return viz.gradient_raster(Raster(np.arange(30), long_names(count), sizes, edges, 1e-8, codes), **layout)


def similarity(count):
    out = {"step": STEPS}
    for i, name in enumerate(long_names(count), 1):
        out |= {f"{name}/cka_to_final": 1 - FALL * i / count, f"{name}/cka_to_previous": 1 - FALL * i / count / 3}
    return out


def curves_of_layers(count):
    of = {metric: enumerate(long_names(count), 1) for metric in ("rank", "published:condition")}
    columns = {f"{metric}:{name}": 1 + FALL * i for metric, names in of.items() for i, name in names}
    return pd.DataFrame(columns, index=pd.Index(STEPS, name="step"))


def decoding(count):
    out = {"step": STEPS}
    for target in ("shape", "colour", "a target with a longer name", "size", "orientation"):
        out |= {f"{n}/{target}": 0.3 + 0.6 * (1 - FALL) * i / count for i, n in enumerate(long_names(count), 1)}
        out[f"chance/{target}"] = np.full(len(STEPS), 0.3)
    return out


def pairs():
    names, quantities = long_names(5), ("mean_abs_r", "cka", "cka_chance", "mean_abs_r_chance")
    two = [f"{a}~{b}" for a in names for b in names if a < b]
    return {"step": STEPS, **{f"{quantity}/{pair}": 1 - FALL for quantity in quantities for pair in two}}


GROUPS = ["average_accuracy", "worst_group_accuracy", "true", "spurious", "chance"]
FILTERS = {0: {NAME: RNG.normal(size=(64, 1, 5, 5))}, 1000: {NAME: RNG.normal(size=(64, 1, 5, 5))}}


def changes(count):
    sizes = np.linspace(0.01, 0.4, count)
    return pd.DataFrame({"relative": sizes, "usual": sizes[::-1]}, index=pd.Index(long_names(count), name="layer"))


def agreement(count):
    return pd.DataFrame({"icc": np.linspace(-0.05, 0.95, count), "mean_icc": 0.5}, index=long_names(count))


def emerging(count):
    return {"step": STEPS, **{f"a capability with a long name {i}": (1 - FALL) * i / count for i in range(count)}}


def of_layers(plot, **more):
    """Return a function that draws the first five layers of a log in a row."""
    return lambda **k: plot(log(5), long_names(5), "Activation", col_wrap=5, **more, **k)


@cache
def plan():
    """Return a plan of formats for twelve layers of long names."""
    return whatif_plan(log(12, EXAMPLE_TYPES), scale="none")


def _cases():
    first = long_names(1)[0]
    yield "line", lambda **k: viz.scalar_line(log(5), first, "Activation", ["rm2", "max_abs", "min_abs"], **k)
    yield "formats, 3 types", lambda **k: viz.format_map(plan(), **k)
    yield "lines, 5 in a row", of_layers(viz.scalar_line, scalar_metric=["rm2", "max_abs"])
    yield "histogram", lambda **k: viz.exp_hist(log(5), first, "Activation", 19, dtype_annotation="float8_e4m3fn", **k)
    yield (
        "histogram, 3 formats",
        lambda **k: viz.exp_hist(
            log(5), first, "Activation", 19, dtype_annotation=["float8_e4m3fn", "float8_e5m2", "float16"], **k
        ),
    )
    yield "histograms, 5 in a row", of_layers(viz.exp_hist, step=19, dtype_annotation="float8_e4m3fn")
    for count in (5, 50, 500):
        yield f"map, {count} layers", partial(viz.scalar_global_heatmap, log(count), "Activation", "rm2")
        yield f"overview, {count} layers", partial(viz.overview, log(count), train_stats=losses())
        yield f"changes, {count} layers", partial(viz.layer_changes, changes(count), subtitle="steps 0 and 10")
        yield f"agreement, {count} layers", partial(viz.augmentation_effect, agreement(count))
    kinds = ("Activation", "Gradient", "Weight", "Output Grad", "Weight Gradient")
    yield "maps, 5 in a row", lambda **k: viz.scalar_global_heatmap(log(8, kinds[:3]), None, "mean", col_wrap=5, **k)
    yield "map of change", lambda **k: viz.scalar_global_heatmap(log(5), None, "rm2", colour="change", **k)
    yield "exponents", lambda **k: viz.exp_heatmap(log(5), first, "Activation", "float8_e4m3fn", **k)
    yield "exponents, 5 in a row", of_layers(viz.exp_heatmap, dtype_annotation=False)
    yield "overview of weights", lambda **k: viz.overview(log(8, kinds[:3]), tt="Weight", **k)
    yield "norms", lambda **k: viz.norms(log(8, kinds[:3]), per_layer=True, **k)
    yield "optimisation, 5 layers", partial(viz.optimisation, insight(5))
    yield "optimisation by epochs", partial(viz.optimisation, insight(50), steps_per_epoch=5)
    yield "raster, 5 layers", partial(raster, 5)
    yield "raster, 50 layers", partial(raster, 50)
    yield "metric", lambda **k: viz.metric_curves(losses(), "train_loss", transitions=[JUMP], **k)
    yield "metrics, 5 in a row", lambda **k: viz.metric_curves(losses(), list(losses())[:5], col_wrap=5, **k)
    yield (
        "sizes over widths",
        lambda **k: viz.coordinate_check({64: log(12), 128: log(12), 256: log(12)}, step=[0, 1], **k),
    )
    yield "differences of two runs", lambda **k: viz.differences(apart(), **k)
    yield "maps of 40 layers", lambda **k: viz.layer_maps(curves_of_layers(40), **k)
    one = curves_of_layers(1)
    yield "maps of a layer of 3 runs", lambda **k: viz.layer_maps({f"seed {i}": one for i in range(3)}, "rank", **k)
    yield "metrics of 12 runs", lambda **k: viz.metric_curves(RUNS, ["train_loss", "test_loss"], **k)
    yield "dynamics", lambda **k: viz.training_dynamics(losses(), transitions=[JUMP], **k)
    yield "dynamics, 5 in a row", lambda **k: viz.training_dynamics(losses(), gap=False, col_wrap=5, **k)
    yield "dynamics of 3 runs", lambda **k: viz.training_dynamics(dict(list(RUNS.items())[:3]), gap=False, **k)
    yield "dynamics of seeds", lambda **k: viz.training_dynamics(RUNS, band="range", **k)
    yield (
        "effects",
        lambda **k: viz.setting_effects(
            {10.0**-i: losses() * (1 + i) for i in range(6)}, ["train_loss", "test_accuracy"], **k
        ),
    )
    yield (
        "grokking",
        lambda **k: viz.grokking_plot(losses().rename(columns=lambda c: c.replace("accuracy", "acc")), **k),
    )
    accuracies = {n: r.rename(columns=lambda c: c.replace("accuracy", "acc")) for n, r in list(RUNS.items())[:4]}
    yield "grokking of 4 runs", lambda **k: viz.grokking_plot(accuracies, **k)
    yield (
        "emergence of 3 runs",
        lambda **k: viz.emergence_plot({f"seed {i}": emerging(5 + i) for i in range(3)}, 0.5, **k),
    )
    seeds = {lr: [losses() * (1 + i + seed / 9) for seed in range(3)] for i, lr in enumerate((0.001, 0.01, 0.1))}
    yield "effects of seeds", lambda **k: viz.setting_effects(seeds, "train_loss", **k)
    yield "dynamics, confidence", lambda **k: viz.training_dynamics(RUNS, "train_loss", band="confidence", **k)
    jumps = as_curves({f"capability {i}": 1 / (1 + np.exp(-(STEPS - 2000) / (200 + 99 * i))) for i in range(4)})
    at = [Transition(name, 1500, 2000, 2500, 0.0, 1.0, Evidence()) for name in jumps]
    jumps.index = STEPS
    yield "sharpness", lambda **k: viz.sharpness_plot(jumps, at[:1], **k)
    yield "sharpness of 4", lambda **k: viz.sharpness_plot(jumps + 0.02 * RNG.normal(size=jumps.shape), at, **k)
    yield "emergence, 5", partial(viz.emergence_plot, emerging(5), 0.5)
    yield "emergence, 50", partial(viz.emergence_plot, emerging(50), 0.5)
    yield "pattern", lambda **k: viz.attention_pattern(attention(), head=1, tokens=WORDS, **k)
    yield "heads, 5 in a row", lambda **k: viz.attention_heads(attention(), heads=range(5), tokens=WORDS, **k)
    yield "published heads", lambda **k: viz.plot_attention_heads_comparison(attention()[0], attention()[4000], **k)
    yield "head curves, 5 in a row", lambda **k: viz.head_curves(attention_curves(attention()), col_wrap=5, **k)
    yield "entropy", lambda **k: viz.entropy_evolution(attention_curves(attention()), **k)
    yield "attention over training", lambda **k: viz.attention_evolution(attention(), **k)
    yield "correlations of layers", lambda **k: viz.layer_correlations(features(5), **k)
    yield "composition of heads", lambda **k: viz.head_composition(composed(), **k)
    yield "lens", lambda **k: viz.lens_map(Lens(long_names(12), RNG.random((12, 3, 40)), np.ones((12, 3, 40))), **k)
    yield "correlations of features", lambda **k: viz.feature_correlations(features(1), **k)
    yield "correlations over training", lambda **k: viz.correlation_history(pairs(), **k)
    tiles = np.sin(np.linspace(0, 9, 28)[:, None] * np.linspace(0, 3, 28) + np.arange(30)[:, None, None])
    yield "images", lambda **k: viz.image_grid(tiles, [f"an image with a long name {i % 4}" for i in range(30)], **k)
    yield "colour images", lambda **k: viz.image_grid(RNG.random((20, 3, 12, 16)), **k)
    yield "agreement of one image", partial(viz.augmentation_effect, agreement(5).assign(icc=np.nan, mean_r=0.7))
    yield "filters", lambda **k: viz.conv_filters(FILTERS, step=[0, 1000], **k)
    yield "activations", lambda **k: viz.activation_heatmap(features(1), labels=CLASSES, **k)
    yield "similarity, 5 layers", partial(viz.similarity_curves, similarity(5))
    yield "similarity, 50 layers", partial(viz.similarity_curves, similarity(50))
    moved = {i: features(1) for i in (0, 10, 20, 30, 40)}
    yield (
        "projection, 5 in a row",
        lambda **k: viz.projection(project(moved, NAME.format(0)), CLASSES, step=[0, 10, 20, 30, 40], col_wrap=5, **k),
    )
    yield "decodability, 5 in a row", lambda **k: viz.decodability(decoding(5), col_wrap=5, **k)
    yield "decodability, 50 layers", lambda **k: viz.decodability(decoding(50), **k)
    yield "groups", lambda **k: viz.group_accuracy({"step": STEPS, **dict.fromkeys(GROUPS, 1 - FALL)}, **k)


CASES = dict(_cases())
