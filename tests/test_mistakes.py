"""Mistakes that people make: each ends in words that say what is wrong, what is allowed, and what to do."""

import re
from typing import NamedTuple

import matplotlib
import numpy as np
import optax
import pandas as pd
import pytest
import torch
from flax import linen, nnx
from matplotlib.figure import Figure
from torch import nn

import tandv
from tandv import logframe, viz
from tandv.analysis import transitions
from tandv.checkpoints import evaluate, weights
from tandv.curves import as_curves, read_curves
from tandv.exports import to_tensorboard
from tandv.log.files import read_csv, read_parquet, read_pickle, write_parquet, write_pickle
from tandv.log.run import read_run
from tandv.probes import attention_patterns, get_intermediate_outputs, probe, read_arrays
from tandv.track.jax import track as track_jax
from tandv.track.torch import track
from tandv.viz import interactive

LOG = logframe.example_log(layers=4, steps=5)


def model():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))


def optimizer(of):
    return torch.optim.Adam(of.parameters())


def line(df=LOG, **more):
    return viz.scalar_line(df, **{"layer": "head", "tt": "Weight", "scalar_metric": "rm2"} | more)


def histogram(**more):
    return viz.exp_hist(LOG, **{"layer": "head", "tt": "Weight", "step": 1} | more)


def flat():
    return pd.DataFrame({"a": [1]})


def step_outside():
    track(model()).step()


def step_after_the_block():
    with track(model(), name="over") as tracker:
        pass
    tracker.step()


def a_number_without_a_name():
    with track(model(), name="unnamed") as tracker:
        tracker.step(1.0)


def started_twice():
    tracker = track(model(), name="twice").start()
    try:
        tracker.start()
    finally:
        tracker.close()


def read_while_it_goes_on():
    with track(model(), name="on") as tracker:
        read_pickle(tracker.out_path)


def read_the_folder_with_read_pickle():
    (tracker := track(model(), name="folder").start()).close()
    read_pickle(tracker.path)


def a_run_that_is_not_there():
    track(model(), name="there").start().close()
    read_run("tandv-runs/nowhere")


def a_checkpoint_as_log():
    torch.save(model().state_dict(), "c.pt")
    tandv.read("c.pt")


def an_empty_file():
    open("empty.pkl", "w").close()
    tandv.read("empty.pkl")


def another_pickle():
    flat().to_pickle("other.pkl")
    read_pickle("other.pkl")


def another_csv():
    flat().to_csv("other.csv", index=False)
    read_csv("other.csv")


def a_pickle_as_parquet():
    write_pickle(LOG, "log.pkl")
    read_parquet("log.pkl")


def a_damaged_parquet():
    write_parquet(LOG, "log.parquet")
    with open("log.parquet", "r+b") as file:
        file.truncate(1000)
    tandv.read("log.parquet")


def weights_of_text():
    with open("step_1.pt", "w") as file:
        file.write("no checkpoint")
    list(weights("step_1.pt"))


def numbers_in_a_dict():
    with track(model(), name="dict") as tracker:
        tracker.step({"loss": 1.0})


def a_result_in_place_of_a_function():
    with track_jax(model_state={"w": np.ones(3, np.float32)}, name="result") as tracker:
        tracker.intercept(1.0)


def a_step_without_values():
    with track_jax(model_state={"w": np.ones(3, np.float32)}, name="values") as tracker:
        tracker.step(loss=1.0)


class Mistake(NamedTuple):
    make: object
    error: type[BaseException]
    words: str


MISTAKES = {
    # Tracking.
    "the class of a model": Mistake(
        lambda: track(nn.Linear), TypeError, r"needs a torch.nn.Module, not .*; make a model of it first: Linear\(...\)"
    ),
    "parameters": Mistake(lambda: track(model().parameters()), TypeError, "not generator .*; pass the model itself"),
    "a state dict": Mistake(
        lambda: track(model().state_dict()), TypeError, "not OrderedDict .*; pass the model itself"
    ),
    "no model": Mistake(lambda: tandv.track.track(None), TypeError, "cannot track nothing; give a torch.nn.Module"),
    "parameters as optimiser": Mistake(
        lambda: track(model(), optimizer=model().parameters()), ValueError, "must be a torch.optim.Optimizer, or a list"
    ),
    "an optimiser by name": Mistake(
        lambda: track(model(), optimizer="adam"), ValueError, "optimizer=str 'adam' must be a torch.optim.Optimizer"
    ),
    "the class of an optimiser": Mistake(
        lambda: track(model(), optimizer=torch.optim.Adam), ValueError, "must be a torch.optim.Optimizer, or a list"
    ),
    "an optimiser of another model": Mistake(
        lambda: track(model(), optimizer=optimizer(model())),
        ValueError,
        r"the Adam given as optimizer has none of the model's parameters; pass the one made with this model's",
    ),
    "half a pattern": Mistake(
        lambda: track(model(), include="layers.(0"), ValueError, r"'layers.\(0' is not a regular expression: missing \)"
    ),
    "a glob": Mistake(
        lambda: track(model(), include="*.weight"),
        ValueError,
        "not a regular expression: nothing to repeat.*; it is searched in the dotted names.* stands for any text",
    ),
    "a list of names": Mistake(
        lambda: track(model(), include=["0", "2"]),
        ValueError,
        r"include=\['0', '2'\] is several; give one regular expression that finds all of them, such as '0\|2'",
    ),
    "a number as pattern": Mistake(
        lambda: track(model(), exclude=3), ValueError, "exclude=3 must be a regular expression, such as 'attention'"
    ),
    "a pattern that finds nothing": Mistake(
        lambda: track(model(), include="attention"),
        ValueError,
        "include='attention' matches no module or parameter; there are Sequential, 0, 1, 2",
    ),
    "patterns that leave nothing": Mistake(
        lambda: track(model(), include="0", exclude="0"), ValueError, "together leave no module or parameter to track"
    ),
    "every=0": Mistake(lambda: track(model(), every=0), ValueError, "every=0 must be a positive number of steps or a"),
    "half a step": Mistake(
        lambda: track(model(), every=0.5), ValueError, "every=0.5 must be a positive number of steps"
    ),
    "every as text": Mistake(lambda: track(model(), every="10"), ValueError, "every='10' must be a positive number"),
    "a budget without %": Mistake(
        lambda: track(model(), budget="2"), ValueError, r"budget='2' must say .* such as \"2%\" or as a share such as"
    ),
    "a budget above 1": Mistake(lambda: track(model(), budget=2), ValueError, "budget=2 must say how much longer"),
    "a budget and an interval": Mistake(
        lambda: track(model(), budget="2%", every=3), ValueError, "give either budget or every, not both"
    ),
    "logs in csv": Mistake(
        lambda: track(model(), offload_type=".csv"), ValueError, "'.csv' is not one of '.pkl', '.parquet'"
    ),
    "a format without its dot": Mistake(
        lambda: track(model(), offload_type="parquet"), ValueError, "did you mean '.parquet'?"
    ),
    "exponents the wrong way round": Mistake(
        lambda: track(model(), exponents=(16, -16)), ValueError, r"must be \(lowest, highest\), two whole numbers"
    ),
    "insight as a number": Mistake(
        lambda: track(model(), insight=5), ValueError, "insight=5 must be True or a dict such as"
    ),
    "text for true": Mistake(
        lambda: track(model(), track_weights="yes"), ValueError, "track_weights='yes' must be True or False"
    ),
    "no flush": Mistake(lambda: track(model(), offload_inc=0), ValueError, "offload_inc=0 must be a positive number"),
    "a negative step": Mistake(lambda: track(model(), init_step=-1), ValueError, "init_step=-1 must be a step number"),
    "a number as name": Mistake(
        lambda: track(model(), name=3), ValueError, "name=3 must be a word for the run's folder"
    ),
    "a number as path": Mistake(
        lambda: track(model(), path=3), ValueError, "path=3 must be the path of the run's folder"
    ),
    "a function that is none": Mistake(
        lambda: track(model(), stash_value="std"), ValueError, "stash_value='std' must be a function of one tensor"
    ),
    "a writer that is none": Mistake(
        lambda: track(model(), tensorboard=True), ValueError, "tensorboard=bool must be a SummaryWriter, such as"
    ),
    "British spelling": Mistake(
        lambda: track(model(), optimiser=None),
        TypeError,
        r"track\(\) has no argument 'optimiser'; did you mean 'optimizer'",
    ),
    "the argument of another tool": Mistake(
        lambda: track(model(), optim=None, evry=2),
        TypeError,
        r"no argument 'optim'; did you mean 'optimizer'\?; no argument 'evry'; did you mean 'every'",
    ),
    "a measure by another name": Mistake(
        lambda: probe(model(), torch.ones(3, 8), measures="outputs"),
        TypeError,
        "no argument 'measures'; did you mean 'measure'",
    ),
    "a run of MLflow that is none": Mistake(
        lambda: track(model(), mlflow=3), ValueError, "mlflow=3 must be True, for the active run, or a run of MLflow"
    ),
    "a run of trackio that is none": Mistake(
        lambda: track(model(), trackio=True), ValueError, "trackio=bool must be a run of trackio, what trackio.init"
    ),
    "another word for W&B": Mistake(
        lambda: track(model(), use_wandb="yes"), ValueError, "use_wandb='yes' must be True, False or 'rows'"
    ),
    "another word for findings": Mistake(
        lambda: track(model(), on_finding="halt"), ValueError, r"(?s)on_finding.*'warn'.*'save'.*'stop'"
    ),
    "several at once": Mistake(
        lambda: track(model(), every=-1, offload_type="x", insight=5),
        ValueError,
        r"(?s)every=-1 must.*\n.*offload_type='x' is not.*\n.*insight=5 must",
    ),
    "a step outside": Mistake(
        step_outside, RuntimeError, r"outside its block; write `with track\(...\) as tracker:` around the loop, or call"
    ),
    "a step after the block": Mistake(step_after_the_block, RuntimeError, "outside its block; write `with track"),
    "a number without a name": Mistake(
        a_number_without_a_name, TypeError, r"was given float without a name; .* such as tracker.step\(loss=loss"
    ),
    "started twice": Mistake(
        started_twice, RuntimeError, r"this tracker has been started already; call track\(...\) again for another run"
    ),
    "a phase without a name": Mistake(
        lambda: track(model()).phase("").__enter__(), ValueError, "a phase needs a name, such as tracker.phase"
    ),
    # Reading.
    "a file that is not there": Mistake(
        lambda: read_pickle("nothing.pkl"), FileNotFoundError, "there is no such file; give tracker.out_path of a run"
    ),
    "a place where nothing is": Mistake(
        lambda: tandv.read("nothing"), FileNotFoundError, "there is nothing of this name; tandv.read opens the folder"
    ),
    "a log while its run goes on": Mistake(
        read_while_it_goes_on,
        FileNotFoundError,
        r"a run writes this file when it ends; tandv.read\('.*tandv-runs.on'\) opens what it has recorded so far",
    ),
    "a folder as a pickle": Mistake(
        read_the_folder_with_read_pickle, IsADirectoryError, "it is a folder; open the folder of a run with read_run"
    ),
    "a run that is not there": Mistake(
        a_run_that_is_not_there, FileNotFoundError, "the folder is missing; tandv-runs has the runs 'there'"
    ),
    "no run at all": Mistake(
        lambda: read_run("no/where"), FileNotFoundError, "the folder is missing; give the folder tracker.path"
    ),
    "a checkpoint": Mistake(a_checkpoint_as_log, ValueError, r"a zip archive \(a checkpoint of torch.save\?\)"),
    "an empty file": Mistake(
        an_empty_file, ValueError, "it is an empty file, which was cut off; copy it again from where"
    ),
    "another pickle": Mistake(another_pickle, ValueError, "not a tandv log:\n  the columns are one flat level"),
    "another csv": Mistake(
        another_csv, ValueError, r"not a tandv log:(?s:.)*\('metadata', 'name'\) is missing; add it"
    ),
    "a pickle as parquet": Mistake(a_pickle_as_parquet, ValueError, "cannot read log.pkl"),
    "a file that was cut off": Mistake(a_damaged_parquet, ValueError, "it is damaged or was cut off"),
    "a table to read": Mistake(lambda: tandv.read(LOG), TypeError, "cannot read a DataFrame, only what lies at a path"),
    "nothing to read": Mistake(lambda: tandv.read(None), TypeError, "cannot read a NoneType, only what lies at a path"),
    "curves that are a number": Mistake(
        lambda: as_curves(3), TypeError, r'curves are .*; for example \{"step": \[0, 1\]'
    ),
    "curves that are not there": Mistake(lambda: read_curves("nowhere.csv"), FileNotFoundError, "nowhere.csv"),
    "curves of several lengths": Mistake(
        lambda: as_curves({"a": [1.0], "b": [1.0, 2.0]}), ValueError, "a has 1, b has 2 values; give every curve one"
    ),
    # Asking a log.
    "a plain table": Mistake(
        lambda: line(flat()), ValueError, r"not a tandv log: the columns .* one level \(a\), not of"
    ),
    "a plain table to a heat map": Mistake(
        lambda: viz.scalar_global_heatmap(flat(), tt="Weight", scalar_metric="rm2"), ValueError, "not a tandv log"
    ),
    "a plain table to select": Mistake(lambda: logframe.select(flat(), tt="Weight"), ValueError, "not a tandv log"),
    "a plain table to findings": Mistake(lambda: tandv.findings(flat()), ValueError, "not a tandv log"),
    "a dict as log": Mistake(lambda: line({"a": [1]}), TypeError, "a log is a table, or the place of one, not a dict"),
    "no log": Mistake(lambda: line(None), TypeError, "a log is a table, or the place of one, not a NoneType"),
    "a path where nothing is": Mistake(
        lambda: line("a/path"), FileNotFoundError, "cannot read a/path: there is nothing"
    ),
    "a layer that is not there": Mistake(
        lambda: line(layer="haed"), LookupError, "no layer 'haed' .* did you mean 'head'"
    ),
    "a layer by number": Mistake(
        lambda: line(layer=0), TypeError, r"0 is no layer: give a name, a compiled pattern such as re.compile"
    ),
    "a pattern as layer": Mistake(
        lambda: line(layer="layers.*attention"),
        LookupError,
        r"a text is a whole name; re.compile\('layers.\*attention'\) finds 'layers.0.attention.wq'",
    ),
    "a tensor type that is not there": Mistake(
        lambda: line(tt="Weights"), LookupError, "no tensor type 'Weights' in this log; did you mean 'Weight'"
    ),
    "a tensor type by number": Mistake(lambda: line(tt=3), TypeError, "3 is no tensor type: give a name, a compiled"),
    "a statistic that is not there": Mistake(
        lambda: line(scalar_metric="rms"), LookupError, "no statistic 'rms' in this log; did you mean"
    ),
    "a statistic by number": Mistake(
        lambda: line(scalar_metric=3), LookupError, "no statistic 3 in this log; this log has 'mean', 'std'"
    ),
    "no statistic": Mistake(
        lambda: line(scalar_metric=[]), ValueError, "no scalar_metric was given; this log has mean"
    ),
    "a step that is not there": Mistake(
        lambda: histogram(step=999), LookupError, r"no step 999 in this log; the nearest are 3 and 4 \(it has 5 steps"
    ),
    "half of a step": Mistake(
        lambda: histogram(step=2.5), LookupError, "no step 2.5 in this log; the nearest are 2 and 3"
    ),
    "a step as text": Mistake(
        lambda: histogram(step="3"), TypeError, "'3' is no step, which is a number; give a whole"
    ),
    "true as step": Mistake(lambda: histogram(step=True), TypeError, "True is no step, which is a number"),
    "NaN as step": Mistake(lambda: histogram(step=np.nan), ValueError, "nan is no step"),
    "fp8": Mistake(
        lambda: histogram(dtype_annotation="fp8"), LookupError, "'fp8': there are 'float8_e4m3fn', 'float8_e5m2'"
    ),
    "a format that is not there": Mistake(
        lambda: histogram(dtype_annotation="e4m4"), LookupError, "no number format 'e4m4'; did you mean"
    ),
    "a format by number": Mistake(
        lambda: histogram(dtype_annotation=8),
        TypeError,
        "8 is no number format; give a name such as 'float16' or 'e4m3'",
    ),
    "a phase where there is none": Mistake(
        lambda: logframe.select(LOG, phase="rollout"),
        LookupError,
        "no phase 'rollout' in this log: it was recorded without",
    ),
    # Drawing.
    "axes as figure": Mistake(
        lambda: line(fig=Figure().subplots()),
        TypeError,
        "fig is a figure or sub-figure of matplotlib, not Axes; one Axes is given by ax=, and its figure is axes",
    ),
    "a figure as axes": Mistake(lambda: line(ax=Figure()), TypeError, "ax is one Axes of a matplotlib figure, such as"),
    "a size of one number": Mistake(
        lambda: line(figsize=5), ValueError, r"figsize=5 must be \(width, height\) in inches, such as \(8, 4\)"
    ),
    "a size of nothing": Mistake(
        lambda: line(figsize=(0, 4)), ValueError, r"figsize=\(0, 4\) must be \(width, height\)"
    ),
    "a theme that is not there": Mistake(
        lambda: line(theme="drak"), ValueError, "'drak' is not one of 'light', 'dark', 'paper'; did you mean 'dark'"
    ),
    "a table instead of a plot": Mistake(
        lambda: interactive(LOG),
        TypeError,
        r"interactive takes a plot first, not a DataFrame, and what it draws by name: interactive\(viz.scalar_global",
    ),
    "the name of a plot": Mistake(
        lambda: interactive("scalar_line", df=LOG), TypeError, "interactive takes a plot first, not a str"
    ),
    "no log to interactive": Mistake(
        lambda: interactive(viz.scalar_line), TypeError, r"interactive needs the log: interactive\(scalar_line, df="
    ),
    "an argument that a plot lacks": Mistake(
        lambda: interactive(viz.scalar_line, df=LOG, colour="red"),
        TypeError,
        "does not take colour; it takes df, layer",
    ),
    "signs that were not recorded": Mistake(lambda: viz.gradient_raster("nowhere"), FileNotFoundError, "nowhere"),
    # Probes, detectors, other tools.
    "the batch first": Mistake(
        lambda: probe(torch.ones(3, 8), model()),
        TypeError,
        r"the model comes first, then the batch, such as probe\(model",
    ),
    "the batch first, once": Mistake(
        lambda: get_intermediate_outputs(np.ones((3, 8)), model()), TypeError, "the model comes first, then the batch"
    ),
    "text as model": Mistake(
        lambda: probe("model", torch.ones(3)), TypeError, "cannot look into a builtins.str; give a"
    ),
    "a measure that is not there": Mistake(
        lambda: probe(model(), torch.ones(3, 8), measure="output"), ValueError, "(?s)'output'.*'outputs'"
    ),
    "a detector that is not there": Mistake(
        lambda: transitions.find_transitions({"a": [0.0] * 30}, "transition"), ValueError, "did you mean 'transitions'"
    ),
    "no writer": Mistake(lambda: to_tensorboard(LOG, None), TypeError, "tensorboard=NoneType must be a SummaryWriter"),
    "a number to show": Mistake(
        lambda: to_tensorboard(3, _Writer()),
        TypeError,
        "a int cannot be shown; give a log, or the place of one; curves",
    ),
    "fractions of epochs": Mistake(
        lambda: to_tensorboard({"epoch": [0.5], "loss": [1.0]}, _Writer()),
        ValueError,
        "0.5 is not whole, and TensorBoard",
    ),
    # More of what is given in the wrong place.
    "a tracker to read": Mistake(
        lambda: tandv.read(track(model())),
        TypeError,
        "cannot read a TorchTracker, .*give tracker.path or tracker.out_path",
    ),
    "a tracker to findings": Mistake(
        lambda: tandv.findings(track(model())), TypeError, "a log is a table, .*not a TorchTracker.*give tracker.path"
    ),
    "a tracker to a plot": Mistake(
        lambda: viz.overview(track(model())), TypeError, "a log is a table, .*not a TorchTracker.*give tracker.path"
    ),
    "a tracker to the page": Mistake(
        lambda: tandv.view(track(model()), out="x.html"),
        ValueError,
        r"what can be shown is the folder of a run \(tracker.path\), a log, curves, .*, not a TorchTracker",
    ),
    "nothing to the page": Mistake(lambda: tandv.view(None), ValueError, "what can be shown is .*, not a NoneType"),
    "a page as picture": Mistake(lambda: tandv.view(LOG, out="x.png"), ValueError, "out=x.png must end in .html"),
    "a page into no folder": Mistake(
        lambda: tandv.view(LOG, out="no/x.html"), ValueError, "there is no folder .*no for out=x.html; make it first"
    ),
    "a page of no such layer": Mistake(
        lambda: tandv.view(LOG, layer="haed", out="x.html"), LookupError, "no layer 'haed' in log; did you mean 'head'"
    ),
    "findings of nowhere": Mistake(
        lambda: tandv.findings("nowhere"),
        FileNotFoundError,
        "there is nothing of this name; tandv.read opens the folder",
    ),
    "a difference to nowhere": Mistake(
        lambda: tandv.diff("nowhere", LOG), FileNotFoundError, "cannot read nowhere: there is nothing of this name"
    ),
    "casts to fp8": Mistake(lambda: tandv.whatif(LOG, "fp8"), LookupError, "'fp8': there are 'float8_e4m3fn'"),
    "casts to nothing": Mistake(lambda: tandv.whatif(LOG, []), ValueError, "formats is empty; name at least one"),
    "one width": Mistake(
        lambda: tandv.coordinate_check({64: LOG}), ValueError, "needs runs of two widths or more, .* such as {64: run"
    ),
    "widths that are not known": Mistake(
        lambda: tandv.coordinate_check([LOG, LOG]),
        ValueError,
        r"the width of run 1, 2 is not known.*\{64: run, 128: oth",
    ),
    "an argument of a plot": Mistake(
        lambda: viz.exp_hist(LOG, layr="head"), TypeError, r"exp_hist\(\) has no argument 'layr'; did you mean 'layer'"
    ),
    "a word as step": Mistake(
        lambda: viz.overview(LOG, step="last"), TypeError, "'last' is no step, which is a number; give a whole number"
    ),
    "a step from the end": Mistake(
        lambda: histogram(step=-1), LookupError, "no step -1 in this log; the nearest are 0 and 1"
    ),
    "a plot that was called": Mistake(
        lambda: interactive(line(), df=LOG), TypeError, "interactive takes a plot first, not a Figure"
    ),
    "a plot without steps to animate": Mistake(
        lambda: viz.animate(viz.scalar_line, LOG), TypeError, "scalar_line has no step to go through; animate a plot of"
    ),
    "a log to a plot of arrays": Mistake(
        lambda: viz.attention_heads(LOG),
        TypeError,
        r"a log holds statistics, not the arrays .*give {layer: array}, such as attention_patterns\(model, batch\)",
    ),
    "a log as curves": Mistake(
        lambda: viz.training_dynamics(LOG),
        ValueError,
        r"these are not curves: .*take its curves out with tandv.logframe",
    ),
    "no curves": Mistake(
        lambda: viz.training_dynamics({}), ValueError, "there is no column besides the step; give at least one"
    ),
    "grokking without accuracies": Mistake(
        lambda: viz.grokking_plot({"step": [0, 1], "loss": [1.0, 0.5]}),
        ValueError,
        r"lack 'train_acc' and 'test_acc'; they have 'loss': name yours by grokking\(curves, train=..., test=...\)",
    ),
    "curves of words": Mistake(
        lambda: transitions.find_transitions({"a": ["x"] * 30}), ValueError, "column 'a' holds something that is not a"
    ),
    "checkpoints of nowhere": Mistake(
        lambda: evaluate("nowhere", ["spectral"]),
        FileNotFoundError,
        "nowhere does not exist; give the folder that your checkp",
    ),
    "a metric that is not there": Mistake(
        lambda: (torch.save(model().state_dict(), "step_1.pt"), evaluate(".", ["spectrall"])),
        LookupError,
        "no metric 'spectrall'; did you mean 'spectral'",
    ),
    "a function as metric": Mistake(
        lambda: (torch.save(model().state_dict(), "step_1.pt"), evaluate(".", len)),
        TypeError,
        "metrics are names, such as 'spectral', and paths of .py files; put a function of yours, whose name ends",
    ),
    "text as a checkpoint": Mistake(weights_of_text, ValueError, "it is damaged, or not written by torch.save"),
    "a layer that the model lacks": Mistake(
        lambda: get_intermediate_outputs(model(), torch.ones(3, 8), layers="fc"),
        LookupError,
        "no layer 'fc'; there are",
    ),
    "a loader as batch": Mistake(
        lambda: get_intermediate_outputs(model(), torch.utils.data.DataLoader(torch.ones(3, 8))),
        TypeError,
        r"a DataLoader gives batches and is none; give the inputs of one, such as next\(iter\(loader\)\)\[0\]",
    ),
    "attention of a model without": Mistake(
        lambda: attention_patterns(model(), torch.ones(3, 8)), ValueError, "no attention is seen in the forward pass of"
    ),
    "arrays of nowhere": Mistake(
        lambda: read_arrays("nowhere.npz"),
        FileNotFoundError,
        "cannot read nowhere.npz: .*give what `Probe.save` wrote",
    ),
    "probing at every 0th step": Mistake(
        lambda: probe(model(), torch.ones(3, 8), every=0), ValueError, "every=0 must be a positive number of steps"
    ),
    "saving as text": Mistake(
        lambda: track(model(), save="10"),
        ValueError,
        r"save='10' must be a SaveRule, such as tandv.track.SaveRule\(every",
    ),
    "numbers in a dict": Mistake(
        numbers_in_a_dict, TypeError, r"was given dict without a name; .* such as tracker.step\(loss=loss"
    ),
    # JAX.
    "a class of flax": Mistake(
        lambda: track_jax(nnx.Linear), ValueError, r"Linear is a class; make a model of it first: Linear\(...\)"
    ),
    "a module of flax.linen without parameters": Mistake(
        lambda: track_jax(linen.Dense(3)),
        ValueError,
        r"Dense holds no float array; .*\(of a flax.linen module what init",
    ),
    "a transformation as optimiser": Mistake(
        lambda: track_jax(model_state={"w": np.ones(3, np.float32)}, optimizer_state=optax.adam(1e-2)),
        ValueError,
        r"optimizer=GradientTransformation\w* is what updates, and holds no state; give what its init\(params\)",
    ),
    "a result in place of a function": Mistake(
        a_result_in_place_of_a_function,
        TypeError,
        r"takes your function first, then its arguments, not a float: write tracker.intercept\(train_step, ",
    ),
    "a step without the values after it": Mistake(
        a_step_without_values, TypeError, r"tracker.step\(\) lacks model_state, .*write tracker.step\(model_state"
    ),
    "a name that tandv lacks": Mistake(
        lambda: tandv.raed, AttributeError, "module 'tandv' has no attribute 'raed'; it has"
    ),
}


class _Writer:
    add_scalar = add_histogram_raw = flush = lambda *_, **__: None


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore:tandv")  # trackers here record nothing
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_in_words_that_say_what_to_do(name):
    make, error, words = MISTAKES[name]
    with pytest.raises(error) as raised:
        make()
    assert re.search(words, str(raised.value)), str(raised.value)
    assert len(str(raised.value)) < 1500
    matplotlib.pyplot.close("all")


def test_what_is_no_mistake_is_understood():
    assert line(layer=None) and histogram(step=3.0) and histogram(step=[0, 1])
    for given in (torch.float16, np.float16, np.dtype("float16"), [torch.bfloat16, "e4m3"]):
        assert histogram(dtype_annotation=given)
    of = model()
    assert track(of, optimizer(of)).settings.track_gradients is True  # track(model, optimizer)
