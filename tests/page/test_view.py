"""`tandv.view`: a widget in notebooks, a page elsewhere, or a file; and where each of them opens."""

import errno
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.image import imread

import tandv
from tandv.log.logframe import example_log
from tandv.messages import UnknownName
from tandv.page import view as viewing
from tandv.page.opening import CannotShow, measured, opened
from tandv.page.widget import PageWidget

LOG = example_log(layers=3, steps=12)
WHERE = {"layer": "head", "tt": "Gradient", "scalar_metric": "std", "step": 10}


@pytest.fixture(autouse=True)
def no_notebook(monkeypatch):
    for name in ("IPython", "marimo"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def kernel():
    return SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))


@pytest.mark.parametrize(
    ("module", "found", "is_one"),
    [
        ("IPython", kernel(), True),
        ("IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()), False),  # the shell of a terminal
        ("IPython", SimpleNamespace(get_ipython=lambda: None), False),
        ("marimo", SimpleNamespace(running_in_notebook=lambda: True), True),
        ("marimo", SimpleNamespace(running_in_notebook=lambda: False), False),
        ("IPython", None, False),
    ],
)
def test_a_notebook_is_told_from_a_shell(module, found, is_one, monkeypatch):
    monkeypatch.setitem(sys.modules, module, found)
    assert viewing.in_notebook() is is_one


def test_in_a_notebook_it_is_a_widget(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", kernel())
    widget = tandv.view({"mine": LOG}, height=400, **WHERE)
    assert isinstance(widget, PageWidget)
    assert widget.view == {"layer": "head", "tt": "Gradient", "metric": "std", "step": 10}
    assert (widget.height, repr(widget)) == (400, "view('mine'): run this cell again to bring it to life")
    widget.close()


def test_elsewhere_it_is_a_page_whose_address_says_where_it_opens():
    said = []

    def say(line):
        said.append(line)
        raise KeyboardInterrupt  # as Ctrl-C does

    assert tandv.view(LOG, {"loss": [2.0, 1.0]}, browser=False, say=say, **WHERE) is None
    assert said[0].endswith("#layer=head&tt=Gradient&metric=std&step=10")


def test_with_a_path_it_is_a_file(tmp_path):
    path = tandv.view({"<mine>": LOG}, out=str(tmp_path / "run.html"))
    assert path == tmp_path / "run.html" and "<title>&lt;mine&gt;</title>" in path.read_text()


def test_a_full_disk_leaves_the_page_of_before(tmp_path, monkeypatch):
    (tmp_path / "run.html").write_text("before")
    whole = Path.write_text

    def half(path, text, **settings):
        whole(path, text[: len(text) // 2], **settings)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match="No space left"):
        tandv.view(LOG, out=tmp_path / "run.html")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("run.html", "before")]


def test_what_cannot_be_shown_is_an_error_before_anything_is_served():
    with pytest.raises(CannotShow, match="nowhere"):
        tandv.view("nowhere", browser=False, say=pytest.fail)


@pytest.mark.parametrize("notebook", [False, True])
def test_all_choices_that_the_run_does_not_have_are_named_at_once(notebook, monkeypatch):
    if notebook:
        monkeypatch.setitem(sys.modules, "IPython", kernel())
    with pytest.raises(UnknownName) as raised:
        tandv.view({"mine": LOG}, layer="haed", tt="Foo", scalar_metric="rm3", step=99, browser=False, say=pytest.fail)
    first, second, third, fourth = str(raised.value).splitlines()
    assert first.startswith("no tensor type 'Foo' in mine; mine has 'Activation', ")
    assert second == "no layer 'haed' in mine; did you mean 'head'?"
    assert third.startswith("no statistic 'rm3' in mine; did you mean")
    assert fourth == "no step 99 in mine; the nearest are 10 and 11 (it has 12 steps, 0 to 11)"


def test_curves_have_no_layers_to_choose():
    with pytest.raises(UnknownName, match="curves has curves only, of which layer, step chooses nothing; leave it out"):
        tandv.view({"loss": [2.0, 1.0]}, layer="head", step=1, browser=False, say=pytest.fail)


def test_what_is_wrong_with_the_file_is_said_with_the_rest(tmp_path):
    with pytest.raises(CannotShow) as raised:
        tandv.view("nowhere", out=tmp_path / "no" / "run.pdf")
    assert [part in str(raised.value) for part in ("must end in .html", "there is no folder", "nowhere")] == [True] * 3


def test_the_picture_of_curves_and_of_a_log_that_is_empty(tmp_path):
    (curves,) = opened([{"loss": [2.0, 1.0], "lr": [0.1, 0.1]}], measured)
    image = imread(io.BytesIO(viewing.picture(curves, {})))
    assert image.shape == (498, 900, 4) and len(np.unique(image.reshape(-1, 4), axis=0)) > 10
    (tmp_path / "run.json").write_text('{"status": "running"}')
    (empty,) = opened([tmp_path], measured)
    assert viewing.picture(empty, {}) is None


def test_the_picture_is_of_what_is_shown_first():
    (shown,) = opened([LOG], measured)
    assert viewing.picture(shown, {"step": 3}) != viewing.picture(shown, {"step": 4})
