"""Make the pictures of the README and the list of pictures: every plot, of the log of `tandv demo` and of small data.

python docs/pictures.py
python docs/pictures.py --page      # only the page that lists them
"""

import ast
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dynamics_pictures
import numpy as np
import page_pictures
import pandas as pd
import view_pictures
from PIL import Image

from tandv import demo, viz
from tandv.analysis.attention import attention_curves
from tandv.analysis.features import augmentation_analysis
from tandv.analysis.representations import compare_representations, project
from tandv.analysis.similarity import cka_curves
from tandv.curves.of_run import losses_of, run_curves
from tandv.log import logframe
from tandv.log.raster import Raster
from tandv.track.common import read_pickle

HERE = Path(__file__).parent / "pictures"
ATTENTION = [f"layers.{i}.attention.{w}" for i in (0, 3) for w in ("wq", "wo")]
LAYER = "layers.3.attention.wq"
RNG = np.random.default_rng(0)
STEPS = np.arange(0, 3000, 50)
SIZES = {"half a column": (3.3, 2.4), "a column": (6.4, 3.8), "a page": (12.0, 7.0)}
HEAD = """
Every plot of `tandv.viz` with the call that draws it, made by `python docs/pictures.py`: in both themes, and with
`theme="paper"` at half a column of print where that is useful. `df` is a log or the place of one, `run` a table of
curves, `seeds` a dict of such tables, `heads` attention and `moments` features by step and layer. What else is named
is made in that file.
""".strip()
LARGE = 160  # dots per inch of the README's pictures; those of the list have 100


class Picture(NamedTuple):
    """A picture of the list: its file, what draws it, and what it shows."""

    name: str
    draw: Callable[..., Any]
    words: str
    look: tuple[dict[str, Any], ...] = ({},)  # a picture for each


HALF = {"figsize": SIZES["half a column"], "theme": "paper"}
DARK = {"theme": "dark"}


# ---------------------------------------------------------------------------------------------- data


def falling(to: float, rate: float, late: float = 0.0) -> np.ndarray:
    """Return a loss that falls to a level, by a second drop if `late` is a step."""
    second = 1 / (1 + np.exp((STEPS - late) / 90)) if late else 0.0
    noise = np.exp(0.04 * RNG.normal(size=len(STEPS)))
    return (to + np.exp(-STEPS / rate) + second) * noise


def a_run(seed: int = 0) -> pd.DataFrame:
    """Return the curves of a run that memorises first and generalises late."""
    late = 1900 + 60 * seed
    return pd.DataFrame(
        {
            "train_loss": falling(0.002, 160),
            "test_loss": falling(0.01, 1500, late),
            "train_acc": 1 - 0.9 * np.exp(-STEPS / 120),
            "test_acc": 0.1 + 0.9 / (1 + np.exp(-(STEPS - late) / 90)),
            "learning_rate": 1e-3 * np.minimum(STEPS / 300, 1) * (1 - STEPS / 4000),
            "weight_norm": 20 + 12 * np.exp(-STEPS / 900) + 0.2 * RNG.normal(size=len(STEPS)),
        },
        index=pd.Index(STEPS, name="step"),
    )


def attention() -> dict[int, dict[str, np.ndarray]]:
    """Return attention of two layers and four heads: some learn to look at the position before."""
    even = np.tril(np.ones((12, 12))) / np.arange(1, 13)[:, None]
    before = np.eye(12)[[0, *range(11)]]
    learnt = {"layers.0": (0.0, 0.9, 0.3, 0.1), "layers.1": (0.7, 0.0, 0.2, 1.0)}
    share = {step: 1 / (1 + np.exp(-(step - 1200) / 250)) for step in range(0, 3000, 250)}
    return {
        step: {layer: np.stack([even + s * how * (before - even) for how in heads]) for layer, heads in learnt.items()}
        for step, s in share.items()
    }


def features(samples: int = 90) -> dict[int, dict[str, np.ndarray]]:
    """Return features of three layers over training in which three classes move apart."""
    classes = np.arange(samples) % 3
    centres, noise = RNG.normal(size=(3, 24)), RNG.normal(size=(samples, 24))
    mixing = {f"blocks.{i}": RNG.normal(size=(24, 24)) / 5 for i in range(3)}
    return {
        step: {
            layer: np.maximum((noise + (i + 1) * step / 900 * centres[classes]) @ mix, 0)
            for i, (layer, mix) in enumerate(mixing.items())
        }
        for step in range(0, 3000, 250)
    }


def filters() -> np.ndarray:
    """Return filters of a first convolution: edges of several directions and blobs."""
    y, x = np.mgrid[-3:4, -3:4]
    angles = np.linspace(0, np.pi, 32, endpoint=False)
    waves = [np.cos(1.3 * (x * np.cos(a) + y * np.sin(a)) + a) * np.exp(-(x**2 + y**2) / 6) for a in angles]
    return np.stack(waves)[:, None] + 0.08 * RNG.normal(size=(32, 1, 7, 7))


def decoding() -> dict[str, Any]:
    out: dict[str, Any] = {"step": STEPS}
    for target, chance in (("class", 0.33), ("colour", 0.5)):
        for i in range(4):
            out[f"blocks.{i}/{target}"] = chance + (0.95 - chance) * (1 - np.exp(-STEPS / (1800 - 400 * i)))
        out[f"chance/{target}"] = np.full(len(STEPS), chance)
    return out


def correlations() -> dict[str, Any]:
    out: dict[str, Any] = {"step": STEPS}
    for i, pair in enumerate(("embed~blocks.0", "blocks.0~blocks.1", "blocks.1~head")):
        out |= {
            f"cka/{pair}": 0.3 + 0.6 * (1 - np.exp(-STEPS / (400 + 500 * i))),
            f"cka_chance/{pair}": 0 * STEPS + 0.25,
        }
        out |= {f"mean_abs_r/{pair}": 0.12 + 0.2 * (1 - np.exp(-STEPS / (400 + 500 * i)))}
    return out


def emerging() -> dict[str, Any]:
    curves = {f"{n}-digit addition": 1 / (1 + np.exp(-(STEPS - 500 * n) / 120)) for n in (1, 2, 3, 4, 7)}
    return {"step": STEPS, **curves}


def groups() -> dict[str, Any]:
    rise = 1 - np.exp(-STEPS / 400)
    late = 1 / (1 + np.exp(-(STEPS - 1800) / 200))
    return {
        "step": STEPS, "average_accuracy": 0.5 + 0.45 * rise, "worst_group_accuracy": 0.5 - 0.2 * rise + 0.55 * late,
        "true": 0.5 - 0.3 * rise + 0.7 * late, "spurious": 0.5 + 0.3 * rise - 0.7 * late, "chance": 0 * STEPS + 0.5,
    }  # fmt: skip


def raster() -> Raster:
    sizes = np.array([120, 300, 300, 60])
    drift = np.cumsum(RNG.normal(size=(80, sizes.sum())), axis=0)
    codes = np.where(drift > 0.5, 1, np.where(drift < -0.5, 0, 3)).astype(np.uint8)
    codes[RNG.random(codes.shape) < 0.1] = 2
    return Raster(np.arange(80), ["conv1", "conv2", "fc1", "fc2"], sizes, np.cumsum([0, *sizes]), 1e-8, codes)


def layers_of(run: pd.DataFrame) -> pd.DataFrame:
    """Return metrics of 48 layers over the steps of a run, as `evaluate(..., per_tensor=True)` returns them."""
    parts = ("attention.qkv", "attention.out", "mlp.up", "mlp.down")
    names = [f"blocks.{i}.{part}" for i in range(12) for part in parts]
    share = np.linspace(0, 1, len(run))
    grown = {f"spectral:{name}": 1.5 + (i % 4) + share * (0.5 + i / 8) for i, name in enumerate(names)}
    shrunk = {f"effective_rank:{name}": 400 - 40 * (i % 4) - share * 5 * i for i, name in enumerate(names)}
    return pd.DataFrame(grown | shrunk, index=run.index)


# ------------------------------------------------------------------------------------------ the list


def of_log(df: pd.DataFrame, losses: Any) -> Iterator[Picture]:
    last = logframe.steps(df)[-1]
    whole = {"layer": LAYER, "tt": "Gradient", "step": last, "train_stats": losses}
    yield Picture(
        "overview", lambda **k: viz.overview(df, **whole, **k),
        "A run as a whole: losses, all layers, the exponents of one, and what a cast would lose.",
        ({"figsize": SIZES["a page"]}, {"figsize": SIZES["a page"], **DARK}, {"figsize": (3.3, 3.6), "theme": "paper"}),
    )  # fmt: skip
    yield Picture(
        "scalar_global_heatmap", lambda **k: viz.scalar_global_heatmap(df, "Gradient", "rm2", **k),
        "A statistic of every layer at every step.", ({}, DARK, HALF),
    )  # fmt: skip
    yield Picture(
        "scalar_global_heatmap_in_a_row",
        lambda **k: viz.scalar_global_heatmap(df, ["Activation", "Gradient", "Weight"], "rm2", colour="change", **k),
        "The ratio to a layer's first step, of three tensor types.", ({"figsize": (12.0, 4.4)},),
    )  # fmt: skip
    yield Picture(
        "scalar_line", lambda **k: viz.scalar_line(df, ATTENTION, "Activation", ["rm2", "max_abs"], col_wrap=2, **k),
        "Statistics over the steps, a panel for each layer.", ({}, {**HALF, "figsize": (3.3, 3.0)}),
    )  # fmt: skip
    yield Picture(
        "exp_hist", lambda **k: viz.exp_hist(df, LAYER, "Gradient", last, dtype_annotation="float8_e5m2", **k),
        "The exponents of a tensor at a step, under the range of a number format.", ({}, DARK, HALF),
    )  # fmt: skip
    yield Picture(
        "exp_heatmap", lambda **k: viz.exp_heatmap(df, LAYER, "Gradient", "float8_e5m2", **k),
        "The exponents of a tensor over the steps.", ({}, HALF),
    )  # fmt: skip
    yield Picture("norms", lambda **k: viz.norms(df, per_layer=True, **k), "Norms of weights, gradients and updates.")
    yield Picture(
        "gradient_raster", lambda **k: viz.gradient_raster(raster(), **k), "The signs of gradients near zero."
    )
    yield from (Picture(*one) for one in dynamics_pictures.of_log())


def of_curves() -> Iterator[Picture]:
    run = a_run()
    seeds = {f"seed {i}": a_run(i) for i in range(4)}
    yield Picture(
        "metric_curves", lambda **k: viz.metric_curves(run, ["train_loss", "test_loss", "weight_norm"], True,
        yscale="auto", **k),
        "Metrics over the steps, with transitions and extremes.", ({"figsize": (10.0, 3.2)}, HALF),
    )  # fmt: skip
    yield Picture(
        "layer_maps", lambda **k: viz.layer_maps(layers_of(run), **k),
        "Metrics of single layers over training: a map for each metric.", ({"figsize": (10.0, 4.4)}, HALF),
    )  # fmt: skip
    yield Picture(
        "training_dynamics", lambda **k: viz.training_dynamics(run, transitions=True, **k),
        "A run at a glance.", ({"figsize": (10.0, 6.0)}, {"figsize": (10.0, 6.0), **DARK}),
    )  # fmt: skip
    yield Picture(
        "training_dynamics_of_seeds", lambda **k: viz.training_dynamics(seeds, ["test_loss", "test_acc"],
        band="range", **k),
        "The mean of several seeds and their range.",
    )  # fmt: skip
    yield Picture(
        "setting_effects", lambda **k: viz.setting_effects(
            {rate: pd.DataFrame({"loss": falling(0.05 + (np.log10(rate) + 2.5) ** 2 / 9, 30 / rate**0.5)},
            index=run.index)
             for rate in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)}, "loss", **k),
        "The effect of a setting on training.", ({"figsize": (9.0, 3.6)},),
    )  # fmt: skip
    yield Picture(
        "grokking_plot", lambda **k: viz.grokking_plot(run, **k), "Memorisation, generalisation, and the delay."
    )
    yield Picture(
        "emergence_plot", lambda **k: viz.emergence_plot(emerging(), 0.5, **k),
        "When each capability passes its threshold.", ({}, HALF),
    )  # fmt: skip
    before, after = (
        {f"blocks.{i}": w * (1 + s * i) for i in range(8)} for w, s in ((np.ones(4), 0.0), (np.ones(4), 0.03))
    )
    yield Picture(
        "layer_changes", lambda **k: viz.layer_changes(compare_representations(before, after), **k),
        "How far each layer moved between two checkpoints.",
    )  # fmt: skip
    yield from (Picture(*one) for one in dynamics_pictures.of_curves(run, seeds))


def of_arrays() -> Iterator[Picture]:
    heads, moments, samples = attention(), features(), np.arange(90) % 3
    words = ["the", "cat", "sat", "on", "the", "mat", "and", "the", "dog", "too", ".", "."]
    yield Picture(
        "attention_pattern", lambda **k: viz.attention_pattern(heads, "layers.1", head=3, tokens=words, **k),
        "Where a head attends.", ({"figsize": (5.6, 5.2)}, {**HALF, "figsize": (3.3, 3.2)}),
    )  # fmt: skip
    yield Picture("attention_heads", lambda **k: viz.attention_heads(heads, "layers.1", **k), "Heads before and after.")
    yield Picture(
        "head_curves", lambda **k: viz.head_curves(attention_curves(heads), "previous_token", True, **k),
        "A score of every head over training, and chance.",
    )  # fmt: skip
    yield Picture(
        "attention_evolution", lambda **k: viz.attention_evolution(heads, **k),
        "Patterns of heads that change most, and the scores of all.", ({"figsize": (10.0, 9.0)},),
    )  # fmt: skip
    yield Picture(
        "layer_correlations", lambda **k: viz.layer_correlations(moments, **k),
        "Correlations of the features of every two layers.", ({"figsize": (7.0, 6.4)},),
    )  # fmt: skip
    yield Picture(
        "feature_correlations", lambda **k: viz.feature_correlations(moments, "blocks.1", **k),
        "Correlations within a layer.", ({"figsize": (5.8, 5.4)}, {**HALF, "figsize": (3.3, 3.2)}),
    )  # fmt: skip
    yield Picture(
        "correlation_history", lambda **k: viz.correlation_history(correlations(), **k), "Correlations over training."
    )
    images = np.repeat(np.arange(20), 4)
    outputs = {f"blocks.{i}": RNG.normal(size=(20, 8))[images] + RNG.normal(size=(80, 8)) / (i + 0.5) for i in range(6)}
    yield Picture(
        "augmentation_effect", lambda **k: viz.augmentation_effect(augmentation_analysis(outputs, images=images), **k),
        "What augmentations leave of a layer's variance.",
    )  # fmt: skip
    yield Picture("conv_filters", lambda **k: viz.conv_filters({"conv1": filters()}, **k), "Filters of a convolution.")
    yield Picture(
        "activation_heatmap", lambda **k: viz.activation_heatmap(moments, "blocks.2", labels=samples, **k),
        "Activations of every sample, by class.",
    )  # fmt: skip
    yield Picture(
        "similarity_curves", lambda **k: viz.similarity_curves(cka_curves(moments), **k), "Likeness over training."
    )
    yield Picture(
        "projection", lambda **k: viz.projection(project(moments, "blocks.2"), samples, col_wrap=3, **k),
        "Samples in one basis for all steps.", ({"figsize": (9.0, 5.6)}, {"figsize": (9.0, 5.6), **DARK}),
    )  # fmt: skip
    yield Picture("decodability", lambda **k: viz.decodability(decoding(), **k), "What can be decoded from each layer.")
    yield Picture("group_accuracy", lambda **k: viz.group_accuracy(groups(), **k), "Worst group and spurious features.")
    yield from (Picture(*one) for one in dynamics_pictures.of_arrays())


def readme(df: pd.DataFrame, losses: Any) -> Iterator[tuple[str, Any]]:
    """Return the pictures of the README, which are larger."""
    last = logframe.steps(df)[-1]
    whole = {"layer": LAYER, "tt": "Gradient", "step": last, "train_stats": losses, "title": "tandv demo"}
    yield "overview", viz.overview(df, **whole)
    yield "overview_dark", viz.overview(df, **whole, theme="dark")
    yield "scalar_global_heatmap", viz.scalar_global_heatmap(df, tt="Gradient", scalar_metric="rm2")
    yield "scalar_line", viz.scalar_line(df, ATTENTION, "Activation", ["rm2", "max_abs"], col_wrap=2)
    formats = ["float8_e4m3fn", "float8_e5m2"]
    yield "exp_hist", viz.exp_hist(df, layer=LAYER, tt="Gradient", step=last, dtype_annotation=formats)
    yield "exp_heatmap", viz.exp_heatmap(df, layer=LAYER, tt="Gradient", dtype_annotation="float8_e5m2")


# --------------------------------------------------------------------------------------------- files


def save(figure: Any, path: Path, dpi: int) -> None:
    """Write a figure with 256 colours, which takes a third of the bytes and looks the same."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi)
    image = Image.open(out).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    print(f"{path.stat().st_size:9,} {path}")


def codes() -> dict[str, str]:
    """Return the call that draws each picture of the list, as it stands in these files."""
    out = {}
    for file in (Path(__file__), Path(dynamics_pictures.__file__)):
        for node in ast.walk(ast.parse(file.read_text())):
            given = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple) else []
            match given:
                case [ast.Constant(value=str(name)), ast.Lambda(body=ast.Call() as call), *_]:
                    call.keywords = [one for one in call.keywords if one.arg or ast.unparse(one.value) != "k"]
                    out[name] = ast.unparse(call)
    return out


def _demo() -> tuple[pd.DataFrame, Any]:
    """Return the log of `tandv demo`, and its losses."""
    with tempfile.TemporaryDirectory() as folder:
        log = demo.run(steps=100, out=Path(folder) / "demo")
        df, curves = read_pickle(log), run_curves(log.parent)
    assert curves is not None, "the demo keeps its losses"
    return df, losses_of(curves)


def main(draw: bool) -> None:
    """Write the pictures and the page that lists them, or the page alone."""
    df, losses = _demo() if draw else (logframe.example_log(), None)
    listed = HERE / "list"
    listed.mkdir(parents=True, exist_ok=True)
    if draw:
        for old in listed.glob("*.png"):
            old.unlink()
        for name, figure in readme(df, losses):
            save(figure, HERE / f"{name}.png", LARGE)
        page_pictures.main()
        view_pictures.main()
    code = codes()
    page = ["# Pictures", "", HEAD, ""]
    for kind, pictures in (
        ("Of a log", of_log(df, losses)), ("Of curves", of_curves()), ("Of arrays", of_arrays()),
    ):  # fmt: skip
        page += [f"## {kind}", ""]
        for picture in pictures:
            page += [f"### {picture.name.replace('_', ' ')}", "", picture.words, ""]
            if picture.name in code:
                page += ["```text", code[picture.name], "```", ""]
            for i, look in enumerate(picture.look):
                look = look if "figsize" in look else {"figsize": SIZES["a column"], **look}
                name = f"{picture.name}{f'_{i}' if i else ''}.png"
                if draw:
                    save(picture.draw(**look), listed / name, 100 if look.get("theme") != "paper" else 200)
                page += [f"![{picture.words}](list/{name})", ""]
    (HERE / "README.md").write_text("\n".join(page))


if __name__ == "__main__":
    main(draw="--page" not in sys.argv)
