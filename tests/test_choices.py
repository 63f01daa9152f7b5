"""Every option of a public function that has choices refuses another word, and names the choices.

A new public function with such an option fails here until CALLS has a call of it.
"""

import ast
import functools
import importlib
import inspect
import pkgutil
import typing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from torch import nn

import tandv
from tandv.analysis.circuits import HeadWeights, composition_scores
from tandv.analysis.diff import diff
from tandv.analysis.whatif import Plan
from tandv.log.raster import Raster
from tandv.logframe import example_log

# What every module of these has without an underscore is public, but for the parts that plots are made of.
ROOMS = [
    "analysis", "checkpoints", "compat", "curves", "demo", "dossier", "exports", "log", "measure", "page", "probes",
    "track", "viz",
]  # fmt: skip
KERNELS = ("tandv.measure.ffi", "tandv.measure.block_ffi")  # numba compiles them at their import, and there is no more
PARTS = ("tandv.viz.layout", "tandv.viz.notebook", *KERNELS)

LOG = example_log(layers=2, steps=4)
ONE_ROW_A_STEP = example_log(layers=1, steps=2, tensor_types=["Weight"])  # two logs take long to compare
RUN = {"train_loss": [2.0, 1.0, 0.5, 0.4], "train_acc": [0.1, 0.9, 1.0, 1.0], "test_acc": [0.1, 0.1, 0.2, 1.0]}
CURVE = pd.Series([0.1, 0.1, 0.1, 0.1, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9], name="accuracy")
HEADS = {"fc/head0/entropy": [2.0, 0.5], "fc/head1/entropy": [2.0, 1.9]}
ARRAY = np.random.default_rng(0).normal(size=(6, 4))
PATTERN = {0: {"fc": np.full((1, 2, 3, 3), 1 / 3)}}
GROUPS = {name: [0.5, 0.6] for name in ("average_accuracy", "worst_group_accuracy", "true", "spurious")}
CHANGES = pd.DataFrame({"relative": [0.1, 0.2]}, index=["fc1", "fc2"])
AGREEMENT = pd.DataFrame({"icc": [0.1, 0.2], "mean_icc": [0.1, 0.2], "chance": [0.0, 0.0]}, index=["fc1", "fc2"])
POINTS = pd.DataFrame(ARRAY[:, :2], pd.MultiIndex.from_product([[0, 10], [0, 1, 2]], names=["step", "sample"]))
RASTER = Raster(np.arange(2), ["fc"], np.array([1]), np.array([0, 1]), 1e-8, np.zeros((2, 1), np.uint8))
MODEL = nn.Linear(2, 2)
INSIGHT = example_log(layers=2, steps=4, tensor_types=["Weight_Gradient"]).copy()
INSIGHT[("scalar_stats", "update_norm")] = 0.5
WEIGHTS = np.random.default_rng(0).normal(size=(3, 2, 8, 3))
ATTENDING = {layer: HeadWeights(*WEIGHTS, WEIGHTS[0].transpose(0, 2, 1)) for layer in ("0", "1")}
COMPOSITION = composition_scores(ATTENDING)
PLAN = Plan([], ["e4m3"], "max", {"sqnr": 20.0}, (0, 1), [], [])

# What each is called with, where the option that is tried is given on top.
CALLS: dict[str, tuple] = {
    "analysis.moments.identify_moments": (RUN,),
    "analysis.representations.compare_representations": ({"fc": [1.0, 0.0]}, {"fc": [0.0, 1.0]}),
    "analysis.representations.project": ({0: {"fc": ARRAY}}, "fc"),
    "analysis.samples.rows_of_features": (ARRAY,),
    "analysis.transitions.find_transitions": (CURVE,),
    "analysis.transitions.transitions": (CURVE,),
    "analysis.transitions.change_points": (CURVE,),
    "analysis.transitions.jumps": (CURVE,),
    "analysis.transitions.relative_jumps": (CURVE,),
    "analysis.transitions.p_value": (CURVE,),
    "analysis.transitions.threshold_crossings": (CURVE,),
    "analysis.widths.coordinate_check": ({64: LOG, 128: LOG},),
    "compat.DelayedGeneralizationPlotter": (),
    "curves.mean_and_band": ([RUN, RUN],),
    "demo.run": (),
    "demo.run_again_broken": ("log.pkl",),
    "dossier.write_dossier": (RUN,),
    "page.answers.CurvesOnly": (RUN,),
    "page.document": (RUN,),
    "page.save": (RUN, "page.html"),
    "page.show": (RUN,),
    "probes.correlations_of": (),
    "probes.dimensions_of": (),
    "track.jax.track": (),
    "track.torch.track": (MODEL,),
    "viz.attention_evolution": (PATTERN,),
    "viz.attention_heads": (PATTERN,),
    "viz.attention_pattern": (PATTERN,),
    "viz.format_map": (PLAN,),
    "viz.entropy_evolution": (HEADS,),
    "viz.head_curves": (HEADS,),
    "viz.head_composition": (COMPOSITION,),
    "viz.image_grid": (np.ones((2, 4, 4)),),
    "viz.optimisation": (INSIGHT,),
    "viz.plot_activation_heatmap": ({"fc": ARRAY},),
    "viz.plot_attention_heads_comparison": (PATTERN[0], PATTERN[0]),
    "viz.plot_attention_pattern": (PATTERN,),
    "viz.plot_corr_means": ({"mean_abs_r/fc1~fc2": [0.1, 0.2]},),
    "viz.plot_entropy_evolution": (HEADS,),
    "viz.plot_filter_visualization": ({"conv": np.ones((2, 1, 3, 3))},),
    "viz.plot_layerwise_correlations": ({"fc1": ARRAY, "fc2": ARRAY},),
    "viz.sharpness_plot": ({"accuracy": CURVE.to_numpy()},),
    "viz.augmentation_effect": (AGREEMENT,),
    "viz.correlation_history": ({"mean_abs_r/fc1~fc2": [0.1, 0.2]},),
    "viz.feature_correlations": ({"fc": ARRAY},),
    "viz.lens_map": (SimpleNamespace(layers=["0"], probability=np.ones((1, 1, 2)), rank=np.ones((1, 1, 2))),),
    "viz.layer_correlations": ({"fc1": ARRAY, "fc2": ARRAY},),
    "viz.activation_heatmap": ({"fc": ARRAY},),
    "viz.conv_filters": ({"conv": np.ones((2, 1, 3, 3))},),
    "viz.decodability": ({"fc/label": [0.5, 0.9], "chance/label": [0.5, 0.5]},),
    "viz.group_accuracy": (GROUPS,),
    "viz.projection": (POINTS,),
    "viz.similarity_curves": ({"fc/cka_to_final": [0.5, 1.0]},),
    "viz.layer_changes": (CHANGES,),
    "viz.layer_maps": ({"rank:fc1": [2.0, 1.0]},),
    "viz.theme": (),
    "viz.training_dynamics": (RUN,),
    "viz.setting_effects": ({0.1: RUN, 0.2: RUN}, "train_loss"),
    "viz.emergence_plot": (RUN, 0.5),
    "viz.grokking_plot": (RUN,),
    "viz.metric_curves": (RUN,),
    "viz.norms": (LOG,),
    "viz.coordinate_check": ({64: LOG, 128: LOG},),
    "viz.differences": (diff(ONE_ROW_A_STEP, ONE_ROW_A_STEP),),
    "viz.overview": (LOG,),
    "viz.exp_heatmap": (LOG, "head", "Activation"),
    "viz.exp_hist": (LOG, "head", "Activation", 0),
    "viz.scalar_global_heatmap": (LOG,),
    "viz.scalar_line": (LOG, "head", "Activation", "rm2"),
    "viz.gradient_raster": (RASTER,),
}

# Parts of these that no user calls: they get what was checked.
BEHIND = [
    "analysis.samples.places",
    "analysis.samples.rows_of_layers",
    "analysis.transitions.scale.scaled",
    "analysis.transitions.search.search",
    "checkpoints.file_names.tokens",
    "checkpoints.matrices.pieces",
    "checkpoints.measurement.measure",
    "checkpoints.metrics.of_all",
    "checkpoints.metrics.over_matrices",
    "demo.broken.in_words",
    "demo.jax_breaking.fault",
    "demo.torch_breaking.fault",
    "dossier.choice.moments_of",
    "dossier.pictures.draw",
    "track.common.acting.Acting",
    "track.common.writer.Writer",
    "track.settings.Settings",
    "viz.of_curves.metrics.marks_of",
    "viz.of_curves.over_steps.scale_for",
    "viz.of_curves.over_steps.scales",
    "viz.of_log.overview_panels.draw",
]


def public_functions():
    seen = set()
    for found in pkgutil.walk_packages(tandv.__path__, "tandv."):
        parts = found.name.split(".")
        if parts[1] not in ROOMS or any(part.startswith("_") for part in parts) or found.name.startswith(PARTS):
            continue
        module = importlib.import_module(found.name)
        for name, thing in vars(module).items():
            own = getattr(thing, "__module__", None) == found.name or name in getattr(module, "__all__", ())
            is_ours = inspect.isfunction(thing) or inspect.isclass(thing)
            if own and is_ours and thing not in seen and not name.startswith(("_", "draw_")):
                seen.add(thing)
                yield f"{found.name.removeprefix('tandv.')}.{name}", thing


def hints(thing):
    """Return the annotations of a function, also where they are text, and of names for type checkers only."""
    function = thing.__init__ if inspect.isclass(thing) else thing
    if not inspect.isfunction(function) or not function.__module__.startswith("tandv."):
        return {}  # of a tuple, or of pandas
    return typing.get_type_hints(function, names_in(inspect.getmodule(function)))


@functools.cache
def names_in(module):
    names = dict(vars(module))
    tree = ast.parse(Path(module.__file__).read_text())
    for node in tree.body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for one in node.body:
                if isinstance(one, ast.ImportFrom):
                    there = names_in(importlib.import_module(one.module))
                    names |= {alias.asname or alias.name: there[alias.name] for alias in one.names}
                else:
                    exec(compile(ast.Module([one], []), "names for type checkers", "exec"), names)
    return names


def words(annotation):
    """Return the choices in an annotation, wherever in it they stand."""
    if typing.get_origin(annotation) is typing.Literal:
        return [choice for choice in typing.get_args(annotation) if isinstance(choice, str)]
    return [word for part in typing.get_args(annotation) for word in words(part)]


OPTIONS = [
    (name, thing, option, choices)
    for name, thing in public_functions()
    for option, annotation in hints(thing).items()
    if option != "return" and (choices := words(annotation))
]


def test_there_are_options_to_be_tried():
    assert len({name for name, *_ in OPTIONS}) > 35
    assert ("viz.norms", "xscale") in {(name, option) for name, _, option, _ in OPTIONS}


def test_every_function_with_choices_has_a_call_here():
    assert {name for name, *_ in OPTIONS} == {*CALLS, *BEHIND}


@pytest.mark.parametrize(
    ("name", "thing", "option", "choices"),
    [pytest.param(*one, id=f"{one[0]}-{one[2]}") for one in OPTIONS if one[0] in CALLS],
)
def test_another_word_is_refused_with_the_choices(name, thing, option, choices, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = CALLS[name]
    with pytest.raises((ValueError, LookupError)) as refused:
        positional = list(inspect.signature(thing).parameters).index(option) < len(arguments)
        assert not positional, "leave what is tried to the test"
        thing(*arguments, **{option: "nonsense"})
    assert all(repr(choice) in str(refused.value) for choice in choices), refused.value
    assert not list(tmp_path.iterdir())
