"""The page in a real browser: what people do with it, and that it is quiet, alone and harmless meanwhile."""

import math

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from in_browser import CHROMIUM, browser
from tandv.analysis.transitions import Evidence, Transition
from tandv.curves import read_curves
from tandv.page import save
from tandv.page.loopback import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="NO BROWSER: the page's browser tests did not run; install one by `apt-get install chromium`",
    ),
]
EVIL = "spectral:<script>alert(1)</script><img src=x onerror=alert(2)>%{y}"
CURVES = pd.DataFrame(
    {
        "spectral": [1.0, 2.0, 9.0, 10.0, 5.0],
        "rank": [3.0] * 5,
        "condition": [2.0, math.nan, math.inf, 8.0, 1 / 3],
        EVIL: [0.5, 0.25, 0.125, 0.5, 1.0],
    },
    index=pd.Index([0, 1, 10, 100, 1000], name="step"),
)
JUMP = Transition("spectral", 1, 5, 10, 2.0, 9.0, Evidence(effect=12.0, p=0.01))
PLOTTED = "metric => document.querySelector(`.card[data-metric='${metric}'] .chart`)"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def opened(chromium, tmp_path):
    """Return a function that opens a page about curves; whatever the page complains of, or asks for, is a failure."""
    wrong: list[str] = []
    listeners = {
        "console": lambda message: wrong.append(f"{message.type}: {message.text}"),
        "pageerror": lambda error: wrong.append(str(error)),
        "dialog": lambda dialog: (wrong.append(dialog.message), dialog.dismiss()),
        "request": lambda request: None if _is_own(request.url) else wrong.append(request.url),
    }
    for event, listener in listeners.items():
        chromium.on(event, listener)

    def opened(curves=CURVES, transitions=(JUMP,), **choices):
        path = save(curves, tmp_path / "page.html", transitions=transitions, title="a run", **choices)
        chromium.goto(path.as_uri())
        chromium.wait_for_selector(".card .main-svg")
        return chromium

    yield opened
    for event, listener in listeners.items():
        chromium.remove_listener(event, listener)
    chromium.goto("about:blank")
    assert wrong == []


def _is_own(url: str) -> bool:
    return url.endswith("/page.html") or url.startswith(("blob:", "data:", "about:"))


def cards(page):
    return page.eval_on_selector_all(".card", "all => all.map(one => one.dataset.metric)")


def drawn(page, metric, what):
    """Return something of a chart as Plotly holds it, once it is drawn."""
    page.wait_for_function(f"metric => !!({PLOTTED})(metric)?.data", arg=metric)
    return page.evaluate(f"metric => {{ const gd = ({PLOTTED})(metric); return {what}; }}", metric)


def shapes(page, metric="spectral"):
    return drawn(page, metric, "gd.layout.shapes.map(one => [one.type, one.x0, one.x1])")


def test_a_chart_for_each_metric_with_its_extremes_marked(opened):
    page = opened()
    assert cards(page) == ["spectral", "rank", "condition"]
    assert drawn(page, "spectral", "[gd.data[0].x, gd.data[0].y]") == [
        CURVES.index.tolist(),
        CURVES["spectral"].tolist(),
    ]
    assert drawn(page, "spectral", "[gd.data[1].x, gd.data[1].y]") == [[100, 0], [10, 1]]
    assert " ".join(page.inner_text(".card[data-metric=spectral] .extremes").split()) == "▲ 10 at 100 ▼ 1 at 0"
    assert page.inner_text(".card[data-metric=rank] .extremes") == "constant 3"
    assert page.inner_text("#subtitle") == "5 checkpoints, steps 0 to 1,000"


def test_what_has_no_value_and_what_is_infinite_is_seen(opened):
    page = opened()
    assert drawn(page, "condition", "gd.data[0].y") == [2, None, None, 8, 1 / 3]
    marks = drawn(page, "condition", "gd.data.slice(2).map(one => [one.name, one.x])")
    assert marks == [["no value", [1]], ["infinite", [10]]]
    assert "1 without a value" in page.inner_text(".card[data-metric=condition] .extremes")


def test_hovering_reads_out_a_value(opened):
    page = opened()
    drawn(page, "spectral", "1")
    x, y = page.evaluate(
        "() => { const gd = document.querySelector('.card[data-metric=spectral] .chart'); "
        "const box = gd.getBoundingClientRect(), of = gd._fullLayout; "
        "return [box.x + of._size.l + of.xaxis.d2p(1000), box.y + of._size.t + of.yaxis.d2p(5)]; }"
    )
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    page.wait_for_selector(".hovertext")
    assert page.text_content(".hovertext").startswith("step 1,0005")


def test_a_click_expands_a_chart_and_escape_closes_it(opened):
    page = opened()
    page.click(".card[data-metric=spectral] .chart", position={"x": 150, "y": 100})
    assert page.inner_text("#details-name") == "spectral"
    cells = page.eval_on_selector_all(
        "#tables table:first-of-type tbody tr:first-child td", "a => a.map(b => b.innerText)"
    )
    assert cells[:9] == ["spectral", "1", "5", "1", "0", "10", "100", "5.4", "3.611"]
    assert "0.01" in page.inner_text("#tables table >> nth=1")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#details-name") == "rank"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    assert not page.is_visible("#details")
    page.focus(".card[data-metric=rank] h2 button")
    page.keyboard.press("Enter")
    assert page.inner_text("#details-name") == "rank"
    page.click("#close")
    assert not page.is_visible("#details")


def test_metrics_are_chosen(opened):
    page = opened()
    page.click("#chosen")
    page.uncheck("#choices input[value=rank]")
    assert cards(page) == ["spectral", "condition"]
    page.fill("#filter", "script")
    assert page.eval_on_selector_all("#choices label", "all => all.length") == 1
    page.click("#choose-all")
    assert cards(page) == ["spectral", "condition", EVIL]
    page.click("#choose-none")
    assert cards(page) == []
    assert page.inner_text("#shown") == "Choose metrics above."


def test_a_name_is_text_whatever_it_says(opened):
    page = opened()
    page.click("#chosen")
    page.fill("#filter", "script")
    page.click("#choose-all")
    page.keyboard.press("Escape")
    name = page.locator(".card h2 >> nth=3")
    name.scroll_into_view_if_needed()
    assert name.inner_text() == EVIL
    name.click()
    assert page.inner_text("#details-name") == EVIL
    page.keyboard.press("Escape")
    page.click("#view button[data-value=overlay]")
    page.wait_for_selector("#overlay .legendtext")
    texts = page.eval_on_selector_all("#overlay .legendtext", "all => all.map(one => one.textContent)")
    assert texts == ["spectral", "rank", "condition", EVIL]
    with page.expect_download() as download:
        page.click("#png")
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    assert page.evaluate("document.images.length + document.scripts.length") == 3


def test_the_overlay_goes_from_the_smallest_to_the_largest_value(opened):
    page = opened()
    page.click("#view button[data-value=overlay]")
    page.wait_for_selector("#overlay .main-svg")
    found = dict(page.evaluate("document.querySelector('#overlay').data.map(one => [one.name, one.y])"))
    assert found["spectral"] == pytest.approx([0, 1 / 9, 8 / 9, 1, 4 / 9])
    assert found["rank"] == [0.5] * 5
    assert found["condition"][1:3] == [None, None]
    page.click("#view button[data-value=charts]")
    assert cards(page) == ["spectral", "rank", "condition"]


def test_transitions_are_marked_and_can_be_hidden(opened):
    page = opened(rule="faster than before and after")
    assert shapes(page) == [["rect", 1, 10], ["line", 5, 5]]
    assert shapes(page, "rank") == []
    page.uncheck("#marks")
    assert shapes(page) == []
    page.check("#marks")
    page.click("#view button[data-value=table]")
    assert (
        page.eval_on_selector_all("#shown table >> nth=1", "all => all[0].caption.innerText")
        == "faster than before and after"
    )
    rows = page.eval_on_selector_all("#shown table:nth-of-type(1) tbody tr", "all => all.map(one => one.innerText)")
    assert rows[-1].split("\t")[:6] == ["spectral", "1", "5", "10", "2", "9"]


def test_without_transitions_there_is_nothing_to_switch(opened):
    page = opened(transitions=())
    assert page.is_disabled("#marks")


def test_steps_and_values_on_logarithmic_axes(opened):
    page = opened()
    page.click("#steps button[data-value=log]")
    assert drawn(page, "spectral", "[gd.layout.xaxis.type, gd.data[0].x, gd.layout.xaxis.ticktext]") == [
        "log",
        [1, 2, 11, 101, 1001],  # step 0 has a place
        ["0", "1", "10", "100", "1,000"],
    ]
    assert shapes(page)[0] == ["rect", 2, 11]
    page.click("#values button[data-value=log]")
    assert drawn(page, "spectral", "gd.layout.yaxis.type") == "log"
    assert drawn(page, "rank", "gd.layout.yaxis.type") == "linear"  # a constant stays as it is
    page = opened(axis="log")
    assert drawn(page, "spectral", "gd.layout.xaxis.type") == "log"


def test_a_table_leaves_as_it_came(opened, tmp_path):
    page = opened()
    with page.expect_download() as download:
        page.click("#csv")
    download.value.save_as(tmp_path / "a.csv")
    assert download.value.suggested_filename == "metrics.csv"
    pd.testing.assert_frame_equal(read_curves(tmp_path / "a.csv"), CURVES[["spectral", "rank", "condition"]])
    page.click(".card[data-metric=condition] h2")
    with page.expect_download() as download:
        page.click("#details-csv")
    download.value.save_as(tmp_path / "b.csv")
    assert read_curves(tmp_path / "b.csv").columns.tolist() == ["condition"]


def test_pictures_leave_in_the_size_they_say(opened, tmp_path):
    page = opened()
    with page.expect_download() as download:
        page.click("#png")
    download.value.save_as(tmp_path / "a.png")
    picture = matplotlib.image.imread(tmp_path / "a.png")
    assert picture.shape[:2] == (2 * 280, 3 * 2 * 440)
    thirds = np.split(picture[..., :3], 3, axis=1)
    assert all((third < 0.9).any(axis=2).mean() > 0.01 for third in thirds)  # something is drawn in each
    page.click(".card[data-metric=spectral] h2")
    with page.expect_download() as download:
        page.click("#details-png")
    assert download.value.suggested_filename == "spectral.png"
    download.value.save_as(tmp_path / "b.png")
    assert matplotlib.image.imread(tmp_path / "b.png").shape[:2] == (1040, 2000)


def test_runs_are_compared_and_can_be_hidden(opened, tmp_path):
    page = opened({"seed 0": CURVES, "seed <1>": CURVES * 2}, transitions={"seed <1>": [JUMP]})
    assert page.eval_on_selector_all(".run", "all => all.map(one => one.innerText.trim())") == ["seed 0", "seed <1>"]
    curves = "gd.data.filter(one => one.mode === 'lines+markers').map(one => [one.name, one.y[0]])"
    assert drawn(page, "spectral", curves) == [["seed 0", 1], ["seed &lt;1&gt;", 2]]
    assert len(shapes(page)) == 2
    with page.expect_download() as download:
        page.click("#csv")
    download.value.save_as(tmp_path / "a.csv")
    table = read_curves(tmp_path / "a.csv")
    assert table["spectral (seed <1>)"].tolist() == (CURVES["spectral"] * 2).tolist()
    page.uncheck(".run input >> nth=1")
    assert drawn(page, "spectral", curves) == [["seed 0", 1]]
    assert shapes(page) == []
    page.uncheck(".run input >> nth=0")
    assert page.inner_text("#shown") == "Choose a run above."


def test_runs_with_other_steps_and_metrics(opened, tmp_path):
    other = pd.DataFrame({"spectral": [7.0], "own_of_model": [1.0]}, index=[5])
    page = opened({"a": CURVES, "b": other}, transitions=())
    assert cards(page) == ["spectral", "rank", "condition", "own_of_model"]
    with page.expect_download() as download:
        page.click("#csv")
    download.value.save_as(tmp_path / "a.csv")
    table = read_curves(tmp_path / "a.csv")
    assert table.index.tolist() == [0, 1, 5, 10, 100, 1000]
    assert table["spectral (b)"].dropna().to_dict() == {5: 7.0}


def test_light_and_dark(opened):
    page = opened()
    colour = "getComputedStyle(document.body).backgroundColor"
    assert (page.evaluate(colour), drawn(page, "spectral", "gd.data[0].line.color")) == (
        "rgb(255, 255, 255)",
        "#0072b2",
    )
    page.click("#theme")
    assert (page.evaluate(colour), drawn(page, "spectral", "gd.data[0].line.color")) == ("rgb(17, 20, 27)", "#4da3e6")
    page.emulate_media(color_scheme="dark")
    try:
        assert opened().evaluate(colour) == "rgb(17, 20, 27)"
    finally:
        page.emulate_media(color_scheme="light")


def test_charts_are_drawn_when_they_come_into_sight(opened):
    many = pd.DataFrame({f"spectral:layers.{i}": [float(i), 1.0] for i in range(200)})
    page = opened(many, transitions=())
    assert len(cards(page)) == 200
    assert 3 <= page.locator(".js-plotly-plot").count() < 60
    page.locator(".card >> nth=199").scroll_into_view_if_needed()
    assert drawn(page, "spectral:layers.199", "gd.data[0].y") == [199, 1]


def test_the_temporary_page_can_be_loaded_again_and_loses_its_token(chromium, tmp_path):
    text = save(CURVES, tmp_path / "page.html").read_text()
    with serving(text) as address:
        for _ in range(2):
            chromium.goto(address)
            chromium.wait_for_selector(".card .main-svg")
            assert "token" not in chromium.url
            address = chromium.url
        chromium.reload()
        chromium.wait_for_selector(".card .main-svg")
