"""The page as a widget: its messages, what a saved notebook keeps of it, and hosts that cannot be run here."""

import base64
import io
import json
import sys
import threading

import numpy as np
import pytest
from matplotlib.image import imread

from in_browser import CHROMIUM, browser
from tandv.log.logframe import example_log
from tandv.page import view as viewing
from tandv.page.answers import Answers
from tandv.page.envelope import unpack
from tandv.page.opening import measured, opened
from tandv.page.widget import PageWidget

LOG = example_log(layers=4, steps=20)
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def widget():
    shown = opened([{"demo": LOG}], measured)
    made = PageWidget(Answers([one.run for one in shown]), "demo", lambda: viewing.picture(shown[0], {}), height=500)
    yield made
    made.close()


def sent(widget, monkeypatch, message):
    out = []
    monkeypatch.setattr(widget, "send", lambda content, buffers=(): out.append((content, list(buffers))))
    widget._take_message(widget, message, [])
    return out


def test_a_list_of_questions_is_answered_by_one_envelope_under_its_number(widget, monkeypatch):
    heat = {"kind": "heat", "tt": "Weight", "metric": "rm2", "w": 10}
    ((content, (envelope,)),) = sent(widget, monkeypatch, {"id": 7, "run": 0, "batch": [{"kind": "meta"}, heat]})
    assert content == {"id": 7}
    (meta, _), (heat, _) = unpack(envelope)
    assert (meta["name"], heat["rows"], heat["cols"]) == ("demo", 4, 10)


@pytest.mark.parametrize("message", [None, "text", {}, {"batch": []}, [1]])
def test_what_is_no_question_is_not_answered(widget, monkeypatch, message):
    assert sent(widget, monkeypatch, message) == []


@pytest.mark.parametrize("asked", [{"batch": 3}, {"run": "x", "batch": [{"kind": "meta"}]}, {}])
def test_a_malformed_question_is_answered_by_a_sentence(widget, monkeypatch, asked):
    ((content, (envelope,)),) = sent(widget, monkeypatch, {"id": 1, **asked})
    assert content == {"id": 1} and unpack(envelope)[0][0]["error"]


def test_a_failure_is_told_and_the_next_question_answered(widget, monkeypatch):
    whole = widget._answers
    monkeypatch.setattr(widget, "_answers", None)
    assert sent(widget, monkeypatch, {"id": 1, "batch": []})[0][0]["error"].startswith("tandv could not answer: Attri")
    monkeypatch.setattr(widget, "_answers", whole)
    assert sent(widget, monkeypatch, {"id": 2, "batch": []})[0][0] == {"id": 2}


def test_what_is_new_is_told_as_long_as_somebody_asks(monkeypatch):
    monkeypatch.setattr("tandv.page.watching.INTERVAL", 0.01)
    monkeypatch.setattr("tandv.page.watching._ATTENDED", 3600)  # however slowly it starts
    told = threading.Event()

    class Growing:
        def answer(self, run, questions):
            return b""

        def refresh(self):
            return True

        def close(self):
            pass

    monkeypatch.setattr(
        PageWidget, "send", lambda self, content, buffers=(): told.set() if content == {"changed": 1} else None
    )
    widget = PageWidget(Growing())
    assert told.wait(600)
    widget.close()
    widget._watcher._thread.join(600)
    assert not widget._watcher._thread.is_alive()


def test_a_saved_notebook_keeps_a_picture_with_the_line_in_it(widget):
    data, about = widget._repr_mimebundle_()
    assert about["image/png"]["alt"] == repr(widget)
    assert data[WIDGET]["model_id"] == widget.model_id
    assert data["text/plain"] == repr(widget) == "view('demo'): run this cell again to bring it to life"
    image = imread(io.BytesIO(base64.b64decode(data["image/png"])))
    assert image.shape == (498, 900, 4)
    plain = viewing.picture(opened([LOG], measured)[0], {})
    assert np.array_equal(image[:28], imread(io.BytesIO(plain))[:28])  # the strip with the line
    inked = np.flatnonzero(image[:28, :, :3].mean(-1).min(0) < 0.4)
    assert inked[0] > 200 and inked[-1] < 700 and len(inked) > 150


def test_jupyter_gets_a_second_output_for_when_the_kernel_is_gone(widget, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **named: shown.append((data, named)))
    widget._ipython_display_()
    (first, named), (second, _) = shown
    assert named["metadata"]["image/png"] == {"width": 900, "alt": repr(widget)}
    assert first[WIDGET]["model_id"] == widget.model_id and "image/png" in first
    assert list(second) == ["text/html"] and first["image/png"] in second["text/html"]


def test_without_matplotlib_there_are_words_only(widget, monkeypatch):
    monkeypatch.delattr("tandv.viz")
    monkeypatch.setitem(sys.modules, "tandv.viz", None)
    data, _ = widget._repr_mimebundle_()
    assert set(data) == {WIDGET, "text/plain"}
    with pytest.raises(NotImplementedError):
        widget._ipython_display_()


ROOT = "el.firstElementChild"
# A host of anywidget in a few lines, as VS Code and Colab have one: a model, and `render` with an element, which is in
# a shadow root in marimo.
HOST = """async ([esm, css, shadow, height]) => {
    const listeners = {}, traits = { view: {}, height };
    const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const model = {
        get: (name) => traits[name], set: (name, value) => { traits[name] = value; }, save_changes() {},
        on: (event, listener) => { (listeners[event] ??= []).push(listener); }, off() {},
        send(message) {
            if (window.gone) throw new Error('Cannot send');  // as JupyterLab does after its kernel was restarted
            this.reply(message);
        },
        async reply(message) {
            const answer = bytes(await window.kernel(JSON.stringify(message)));
            const shifted = new Uint8Array(answer.length + 5);
            shifted.set(answer, 5);
            for (const one of listeners['msg:custom']) one({ id: message.id }, [new DataView(shifted.buffer, 5)]);
        },
    };
    const outer = document.createElement('div'), inner = shadow ? outer.attachShadow({ mode: 'open' }) : outer;
    const style = document.createElement('style'), el = document.createElement('div');
    style.textContent = css;
    inner.append(style, el);
    document.body.append(outer);
    const module = await import(URL.createObjectURL(new Blob([esm], { type: 'text/javascript' })));
    window.traits = traits; window.el = el;
    window.ended = await module.default.render({ model, el });
}"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: install one by `apt-get install chromium`")
@pytest.mark.parametrize("shadow", [False, True])
def test_a_host_shows_the_page_in_its_cell(widget, tmp_path, shadow):
    with browser(tmp_path) as page:
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: errors.append(request.url) if request.url.startswith("http") else None)
        page.expose_function("kernel", lambda text: answered(widget, text))
        page.evaluate(HOST, [widget._esm, widget._css, shadow, widget.height])
        size = page.evaluate(
            "() => { const r = el.firstElementChild.getBoundingClientRect(); return [r.width, r.height]; }"
        )
        assert size[1] == 500 and size[0] == page.evaluate("() => el.clientWidth") > 1000
        assert page.evaluate("() => el.querySelector('h1').textContent") == "demo"
        page.evaluate(f"() => {ROOT}.tandv.state.set({{ step: 7 }})")
        page.wait_for_function("() => window.traits.view.step === 7")
        page.set_viewport_size({"width": 800, "height": 900})
        page.wait_for_function(
            "() => Math.abs(el.firstElementChild.clientWidth - el.clientWidth) < 3 && el.clientWidth < 800"
        )
        page.evaluate(f"() => {{ window.gone = true; {ROOT}.tandv.state.set({{ step: 9 }}); }}")
        page.locator(".tandv .notes:has-text('the kernel that answered is gone: run this cell again')").wait_for()
        page.evaluate("() => window.ended()")
        assert page.evaluate(f"() => {ROOT}.childElementCount") == 0
        assert errors == []


def answered(widget, text):
    message = json.loads(text)
    return base64.b64encode(widget._answers.answer(message["run"], message["batch"])).decode()
