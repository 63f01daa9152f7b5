"""The plot of optimisation: the whole model beside its layers, and a coin beside sign flips alone."""

from every_plot import insight

from tandv import viz
from tandv.analysis.optimisation import insight_curves


def test_the_whole_model_stands_beside_its_layers():
    log = insight(2)
    axes = {ax.get_title("left"): ax for ax in viz.optimisation(log).axes}
    assert list(axes) == [
        *("gradients ≤ 1e-7", "gradients ≤ 1e-5", "released: > 1e-5 again", "sign flips"),
        *("gradient, norm", "weight change, norm"),
    ]
    lines = {line.get_label(): line.get_ydata().tolist() for line in axes["gradients ≤ 1e-7"].lines}
    assert lines["all together"] == [2 * (100 + step) for step in range(20)]
    assert lines["embed"] == lines["head"] == [100 + step for step in range(20)]
    coins = [name for name, ax in axes.items() if "a coin: 50%" in [line.get_label() for line in ax.lines]]
    assert coins == ["sign flips"]
    axes["sign flips"].figure.canvas.draw()
    assert "30%" in [label.get_text() for label in axes["sign flips"].get_yticklabels()]


def test_epochs_and_moving_averages_are_said():
    figure = viz.optimisation(insight(2), per_layer=False, steps_per_epoch=4, window=3)
    assert figure.texts[1].get_text() == "5 epochs, 0 to 4  |  means of epochs  |  moving average of 3"
    assert {ax.get_xlabel() for ax in figure.axes} <= {"", "epoch"}
    means = insight_curves(insight(2), steps_per_epoch=4)["zeros_1e-07"]
    assert figure.axes[0].lines[0].get_ydata().tolist()[1] == means[:3].mean()
