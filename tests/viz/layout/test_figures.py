"""Figures are matplotlib's figures: they are pickled, copied, shown by pyplot, and drawn into a user's Axes."""

import copy
import inspect
import pickle
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest
from every_plot import CASES, log, long_names, losses
from matplotlib._pylab_helpers import Gcf
from matplotlib.figure import Figure

from tandv import viz
from tandv.viz.layout.figures import KEPT, forget

SIZE = (3.6, 2.8)
QUICK = [
    *("line", "histogram", "map, 5 layers", "overview, 5 layers", "exponents", "norms", "raster, 5 layers"),
    *("changes, 5 layers", "metric", "dynamics", "effects", "grokking", "emergence, 5", "pattern", "entropy"),
    *("correlations of features", "agreement, 5 layers", "filters", "activations", "projection, 5 in a row"),
]
OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in CASES if name not in QUICK]


@pytest.fixture(autouse=True)
def no_windows_and_no_figures_before():
    """Have pyplot know no figures and make no windows, whatever other tests of this process left behind."""
    before = plt.get_backend()
    plt.switch_backend("agg")
    plt.close("all")
    yield
    plt.close("all")
    plt.switch_backend(before)


@pytest.mark.parametrize("name", [*QUICK, *OTHERS])
def test_a_figure_from_a_pickle_and_a_copy_look_the_same(name, tmp_path):
    figure = CASES[name](figsize=SIZE)
    figure.savefig(tmp_path / "before.png")
    again = pickle.loads(pickle.dumps(figure))
    again.savefig(tmp_path / "after.png")
    assert (tmp_path / "before.png").read_bytes() == (tmp_path / "after.png").read_bytes()


@pytest.mark.parametrize("name", ["map, 5 layers", "metric", "pattern"])
def test_a_copy_is_a_figure_of_its_own(name):
    figure = CASES[name](figsize=SIZE)
    other = copy.deepcopy(figure)
    other.axes[0].set_title("changed")
    assert figure.axes[0].get_title() == "" and type(other) is type(figure) is Figure
    assert len(plt.get_fignums()) == 1  # pyplot knows the figure, not its copy


def test_pyplot_shows_and_saves_it(tmp_path):
    figure = viz.metric_curves(losses(), "train_loss")
    assert plt.gcf() is figure
    plt.savefig(tmp_path / "figure.svg")
    assert "train_loss" in (tmp_path / "figure.svg").read_text()
    plt.show()
    plt.close(figure)
    assert plt.get_fignums() == []


def test_pyplot_keeps_the_latest_figures_only():
    for _ in range(KEPT + 5):
        last = viz.metric_curves(losses(), "train_loss", figsize=(2, 1))
    assert len(plt.get_fignums()) == KEPT and plt.gcf() is last
    mine = plt.figure()
    forget()  # as at the end of a notebook's cell
    assert plt.get_fignums() == [mine.number]


def test_a_figure_is_shown_in_a_window_of_the_backend(monkeypatch):
    shown = []
    monkeypatch.setattr("matplotlib.backend_bases.FigureManagerBase.show", lambda manager: shown.append(manager))
    figure = viz.metric_curves(losses(), "train_loss")
    plt.show()
    assert [manager.canvas.figure for manager in shown] == [figure]
    assert Gcf.get_active() is shown[0]  # it took the place of what waited


@pytest.mark.slow
def test_wandb_takes_it():
    wandb = pytest.importorskip("wandb")
    assert wandb.Image(viz.metric_curves(losses(), "train_loss")).image.size == (900, 420)


def test_a_notebook_displays_it():
    figure = viz.metric_curves(losses(), "train_loss")
    assert figure._repr_png_().startswith(b"\x89PNG")


# ------------------------------------------------------------------------- title= and ax=


PLOTS = [p for name in viz.__all__ if "fig" in inspect.signature(p := getattr(viz, name)).parameters]


def test_every_plot_takes_a_title_and_all_but_those_of_several_parts_take_axes():
    for plot in PLOTS:
        names = set(inspect.signature(plot).parameters)
        assert {"title", "theme", "figsize", "fig"} <= names
        assert ("ax" in names) is (plot not in (viz.overview, viz.attention_evolution))


def test_these_parameters_are_explained_in_the_same_words():
    for parameter in ("title", "ax", "theme", "fig"):
        words = set()
        for plot in PLOTS:
            lines = [line.strip() for line in plot.__doc__.splitlines() if line.strip().startswith(f"{parameter}: ")]
            words |= set(lines)
        assert len(words) == 1


@pytest.mark.parametrize(
    "name", ["changes, 5 layers", "metric", "dynamics", "pattern", "map, 5 layers", "overview, 5 layers", "filters"]
)
def test_a_title_can_be_chosen_and_switched_off(name):
    words = [text.get_text() for text in CASES[name](title="My run").texts]
    assert words[0] == "My run" and len(words) == 2  # and the line below it
    none = CASES[name](title="")
    assert [text.get_text() for text in none.texts] == []


def test_the_older_name_of_a_histograms_title_works():
    one = viz.exp_hist(log(5), long_names(5)[0], "Activation", 0, fig_title="My tensor")
    assert one.texts[0].get_text() == "My tensor"


SINGLE = ["line", "histogram", "map, 5 layers", "exponents", "raster, 5 layers", "metric", "pattern", "emergence, 5",
          "correlations of features", "activations", "changes, 5 layers", "agreement, 5 layers"]  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
def test_a_plot_of_one_panel_is_drawn_into_axes_of_a_users_figure(name):
    figure = Figure(figsize=(9, 4), layout=None)
    own, other = figure.subplots(1, 2)
    own.plot([5, 6], label="before")
    before = own.get_position().bounds, other.get_position().bounds
    assert CASES[name](ax=own, title="panel a") is figure
    assert own.get_title("left") == "panel a" and (own.get_position().bounds, other.get_position().bounds) == before
    assert figure.texts == [] and not other.has_data() and "before" not in own.get_legend_handles_labels()[1]
    assert own.has_data() or own.images or own.patches
    assert plt.get_fignums() == []
    figure.savefig(BytesIO(), format="png")


def test_lines_in_a_users_axes_have_a_legend_inside():
    figure = Figure()
    ax = figure.add_subplot()
    CASES["line"](ax=ax)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["rm2", "max_abs", "min_abs"]


def test_axes_for_several_panels_are_refused():
    ax = Figure().add_subplot()
    with pytest.raises(ValueError, match=r"ax= takes a single panel, and this plot has 2: 'train_loss', 'test_loss'"):
        viz.metric_curves(losses(), ["train_loss", "test_loss"], ax=ax)
    with pytest.raises(ValueError, match="either fig= or ax="):
        viz.metric_curves(losses(), "train_loss", ax=ax, fig=Figure())
    with pytest.raises(TypeError, match="not ndarray"):
        viz.metric_curves(losses(), "train_loss", ax=np.array([ax]))


def test_the_theme_for_paper_fills_a_column_and_has_no_line_below_the_title():
    one, five = (CASES[name](theme="paper") for name in ("metric", "metrics, 5 in a row"))
    assert one.get_size_inches()[0] == 3.3 and five.get_size_inches()[0] == pytest.approx(6.9)
    assert len(one.texts) == 1 and one.get_facecolor() == (1, 1, 1, 1)
