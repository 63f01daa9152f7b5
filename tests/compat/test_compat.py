"""The published names do what the functions behind them do."""

import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file

from tandv.analysis.moments import CriticalMoment, MissingCheckpoint
from tandv.analysis.transitions import find_transitions
from tandv.compat import (
    DelayedGeneralizationPlotter,
    MeasurementTools,
    Phase2Infrastructure,
    PhaseTransitionAnalyzer,
    Phenomenon,
)
from tandv.compat.self_test import self_test

EPOCHS = list(range(0, 600, 10))
TRAIN = [min(1.0, 0.1 + epoch / 50) for epoch in EPOCHS]
TEST = [0.1 + 0.9 / (1 + math.exp(-(epoch - 400) / 15)) for epoch in EPOCHS]


def plotter(kind="grokking"):
    made = DelayedGeneralizationPlotter(phenomenon_type=kind)
    for epoch, train, test in zip(EPOCHS, TRAIN, TEST, strict=True):
        made.add_epoch_data(epoch=epoch, train_loss=2 - train, test_loss=2 - test, train_acc=train, test_acc=test)
    return made


def marks(figure):
    return [line.get_xdata()[0] for ax in figure.axes for line in ax.lines if line.get_gid() == "transition"]


def test_epochs_become_curves_with_missing_values():
    made = DelayedGeneralizationPlotter()
    made.add_epoch_data(epoch=5, train_loss=torch.tensor(1.0, requires_grad=True), worst_group_accuracy=0.25)
    made.add_epoch_data(epoch=0, train_loss=2.0, test_loss=None, learning_rate=0.1)
    made.add_epoch_data(epoch=0, test_acc=0.5)
    expected = pd.DataFrame(
        {
            "train_loss": [2.0, 1.0],
            "worst_group_accuracy": [math.nan, 0.25],
            "learning_rate": [0.1, math.nan],
            "test_acc": [0.5, math.nan],
        },
        index=pd.Index([0, 5], name="step"),
    )
    pd.testing.assert_frame_equal(made.curves, expected)


def test_transitions_are_in_epochs_and_are_marked_in_the_same_figure():
    made = plotter()
    figure = made.create_training_dynamics_plot()
    assert marks(figure) == []
    transitions = made.detect_phase_transitions()
    assert transitions == find_transitions(made.curves)
    assert [abs(one.step - 400) < 10 for one in transitions if one.quantity == "test_acc"] == [True]
    assert made.add_transition_markers(transitions) is figure
    assert sorted(marks(figure)) == sorted(one.step for one in transitions)
    assert figure.axes[0].get_xscale() == "function"  # the logarithmic axis that grokking is looked at with


@pytest.mark.parametrize("kind", ["grokking", "simplicity_bias", "phase_transitions", "general"])
def test_markers_alone_make_the_figure(kind):
    figure = plotter(kind).add_transition_markers()
    assert marks(figure)
    titles = [ax.get_title("left") for ax in figure.axes]
    assert ("accuracy gap" in titles) == (kind in ("grokking", "general"))


def test_a_phenomenon_of_ones_own_has_its_metrics_detector_and_analysis():
    found = []
    own = Phenomenon(
        "forgetting", ["train_acc"], analysis=lambda curves: float(curves["test_acc"].iloc[-1]),
        detector=lambda curves: found.append(list(curves)) or [],
    )  # fmt: skip
    made = plotter(own)
    figure = made.create_training_dynamics_plot()
    assert figure.texts[0].get_text() == "forgetting" and len(figure.axes) == 1
    assert made.detect_phase_transitions() == [] and found == [["train_acc"]]
    assert made.analyze() == TEST[-1]
    assert plotter("grokking").analyze().is_grokking


def test_what_is_wrong_with_a_plotter_is_said():
    with pytest.raises(ValueError, match="phenomenon_type='groking' is not one of 'grokking', 'simplicity_bias'"):
        DelayedGeneralizationPlotter("groking")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing to draw yet"):
        DelayedGeneralizationPlotter().create_training_dynamics_plot()


def test_grokking_from_curves():
    analyzer = PhaseTransitionAnalyzer({"step": EPOCHS, "train_acc": TRAIN, "test_acc": TEST})
    found = analyzer.analyze_grokking(transition_threshold=0.95, window_size=100)
    assert (found.memorisation.step, found.generalisation.step) == (50, 450)  # 0.1 + 0.9 · 0.965 at 450
    assert (found.delay, found.ratio, found.is_grokking) == (400, 9.0, True)
    figure = analyzer.create_grokking_plot(found)
    assert figure.texts[0].get_text() == "grokking"


def test_grokking_from_models_that_are_asked():
    x, labels = torch.eye(4), torch.tensor([0, 1, 2, 3])

    def knows(count):  # a model that is right about the first `count` inputs
        weight = torch.zeros(4, 4)
        weight[torch.arange(count), torch.arange(count)] = 1.0
        weight[(torch.arange(count, 4) + 1) % 4, torch.arange(count, 4)] = 1.0
        model = torch.nn.Sequential(torch.nn.Linear(4, 4, bias=False), torch.nn.Dropout(0.99))
        model[0].weight.data = weight
        return model

    models = {0: knows(0), 10: knows(2), 20: knows(4)}
    data = {"train_data": (x[:2], labels[:2]), "test_data": [(x[2:3], labels[2:3]), (x[3:], labels[3:])]}
    analyzer = PhaseTransitionAnalyzer(model_checkpoints=models, **data)
    assert analyzer.curves.to_dict("list") == {"train_acc": [0, 1, 1], "test_acc": [0, 0, 1]}
    assert models[0].training
    assert PhaseTransitionAnalyzer(model_checkpoints=list(models.values()), **data).curves.index.tolist() == [0, 1, 2]
    own = PhaseTransitionAnalyzer(model_checkpoints={0: "a.pt"}, **data, accuracy=lambda one, batch: len(one) / 8)
    assert own.curves["test_acc"].tolist() == [0.5]


def test_an_analyzer_needs_something_to_analyze():
    with pytest.raises(ValueError, match="give either curves with train_acc and test_acc"):
        PhaseTransitionAnalyzer()
    with pytest.raises(ValueError, match="need train_data and test_data"):
        PhaseTransitionAnalyzer(model_checkpoints={0: print})
    with pytest.raises(ValueError, match=r"model_checkpoints is a list; give \{step: model\}, \{step: state_dict\}"):
        PhaseTransitionAnalyzer(model_checkpoints=[])
    with pytest.raises(ValueError, match="model_checkpoints is an empty dict"):
        PhaseTransitionAnalyzer(model_checkpoints={})
    with pytest.raises(ValueError, match=r"no models that can be called: 0 \(dict\); load each .* or give accuracy="):
        PhaseTransitionAnalyzer(model_checkpoints={0: {}, 1: print}, train_data=(), test_data=())


@pytest.fixture
def experiments(tmp_path):
    run = tmp_path / "mlp"
    (run / "checkpoints").mkdir(parents=True)
    table = pd.DataFrame({"train_loss": 2 - np.array(TEST), "rank/fc1": np.linspace(1, 2, 60)}, index=EPOCHS)
    table.to_csv(run / "curves.csv", index_label="step")
    for step in (300, 500):
        save_file({"fc1.weight": np.full((2, 2), step / 100)}, run / "checkpoints" / f"step_{step}.safetensors")
    return tmp_path


def test_runs_of_a_folder_are_investigated(experiments):
    infra = Phase2Infrastructure(experiments)
    summary = infra.get_experiment_summary("mlp")
    assert (summary["num_jumps"], summary["checkpoints"]) == (1, [300, 500])
    assert re.match("no log: .* is not the folder of a tracker", summary["missing"][0])
    before, during, after = infra.identify_moments("mlp", num_jumps=5)
    assert abs(during.step - 400) <= 10
    result = infra.compare_representations(before, after, within=100)
    assert result.measurements["loss_change"] == pytest.approx(TEST[before.step // 10] - TEST[after.step // 10])
    assert list(result.measurements["layer_changes"]) == ["rank/fc1"]
    assert result.measurements["weights"]["fc1"]["relative"] == pytest.approx(2 / 3)  # from 3 to 5
    assert result.measurements["missing"] == []
    assert list(result.visualizations) == ["curves", "weights"]
    assert result.visualizations["weights"].axes[0].patches[0].get_width() == pytest.approx(2 / 3)
    far = infra.compare_representations(before, after, within=1)
    assert "weights" not in far.measurements
    assert "no checkpoint within 1 steps before" in far.measurements["missing"][0]
    assert infra.write_report("mlp").report.name == "comparison_report.md"
    shutil.rmtree(experiments / "mlp" / "checkpoints")
    alone = [
        one for one in Phase2Infrastructure(experiments).get_experiment_summary("mlp")["missing"] if "check" in one
    ]
    assert len(alone) == 1 and alone[0].startswith("no checkpoints: in ")  # said once, with its reason


def test_a_manager_says_what_is_near(experiments):
    manager = Phase2Infrastructure(experiments).checkpoint_manager
    assert manager.load_measurements_at_step("mlp", 10)["train_loss"] == pytest.approx(2 - TEST[1])
    with pytest.raises(KeyError, match="no step 12; the nearest recorded one is 10"):
        manager.load_measurements_at_step("mlp", 12)
    with pytest.raises(MissingCheckpoint):
        manager.load_checkpoint(CriticalMoment("mlp", 0, "before_jump"))


def test_measurements_have_their_published_names():
    one_hot, flat = np.eye(4), np.full((4, 4), 0.25)
    tools = MeasurementTools()
    assert tools.attention_entropy(one_hot).tolist() == [0, 0, 0, 0]
    assert tools.attention_specialization([one_hot, flat])["specialization_index"] == pytest.approx(math.log(4))
    changed = tools.weight_change_magnitude([3.0, 4.0], [3.0, 5.0])
    assert (changed["relative_change"], changed["absolute_change"]) == (0.2, 1.0)
    assert tools.cosine_similarity([1.0, 0.0], [0.0, 1.0]) == 0
    assert tools.activation_sparsity([[0.0, 1.0], [0.0, 0.0]]).share == 0.75
    assert tools.activation_selectivity([[3.0, 1.0], [1.0, 1.0]], ["cat", "dog"]).index.tolist() == [0.5, 0]


def test_several_records_in_each_epoch_are_kept_apart():
    made = DelayedGeneralizationPlotter()
    for record in range(20):
        made.add_epoch_data(epoch=record / 5, train_loss=10.0 - record)
    assert made.curves.index.tolist() == [record / 5 for record in range(20)]
    assert made.create_training_dynamics_plot().axes[0].get_xlabel() == "epoch"


def test_measures_of_your_own_are_methods_and_are_taken_of_the_weights_at_moments(experiments):
    infra = Phase2Infrastructure(experiments, measures={"largest": lambda weights: float(np.abs(weights).max())})
    assert infra.measurements.largest([1.0, -3.0]) == 3.0
    before, _, after = infra.identify_moments("mlp")
    found = infra.compare_representations(before, after, within=100).measurements["measures"]
    assert found == {"largest": {"fc1": (3.0, 5.0)}}
    with pytest.raises(AttributeError, match="there is no measure 'smallest'; there are largest"):
        _ = infra.measurements.smallest
    with pytest.raises(ValueError, match="'a b' is no name; 'cosine_similarity' is taken; 'x' is no function"):
        MeasurementTools({"a b": len, "cosine_similarity": len, "x": 1})  # type: ignore[dict-item]


def test_the_self_test_finds_what_it_has_made():
    assert self_test()[1].startswith("Moments: before_jump at step 5")
