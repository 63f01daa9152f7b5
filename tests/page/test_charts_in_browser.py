"""The charts of curves in a real browser: what people do with them, and that they are quiet, alone and harmless."""

import math
import re
import xml.etree.ElementTree as ElementTree

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from in_browser import CHROMIUM, browser
from tandv.analysis.transitions import Evidence, Transition
from tandv.curves import as_curves, read_curves
from tandv.page import save
from tandv.page.answers import Answers, CurvesOnly, Run
from tandv.page.server import serving

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
JUMP = Transition("spectral", 1, 5, 10, 2.0, 9.0, Evidence(effect=12.0, p=1e-4))
CARDS = "all => all.map(one => one.dataset.metric)"
TEXTS = "all => all.map(one => one.innerText.trim())"
SVG = "{http://www.w3.org/2000/svg}"


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

    def opened(curves=CURVES, transitions=(JUMP,), address="", **choices):
        path = save(curves, tmp_path / "page.html", transitions=transitions, title="a run", **choices)
        chromium.goto("about:blank")
        chromium.goto(path.as_uri() + address)
        chromium.wait_for_selector(".card .readout span, .charts .empty, .tables table, .overlaid .legend button")
        return chromium

    yield opened
    for event, listener in listeners.items():
        chromium.remove_listener(event, listener)
    chromium.goto("about:blank")
    assert wrong == []


def _is_own(url: str) -> bool:
    return url.partition("#")[0].endswith("/page.html") or url.startswith(("blob:", "data:", "about:"))


def cards(page):
    return page.eval_on_selector_all(".card", CARDS)


def readout(page, metric):
    return " ".join(page.inner_text(f'.card[data-metric="{metric}"] .readout').split())


def press(page, group, choice):
    page.click(f'[role=group][aria-label="{group}"] button[data-value="{choice}"]')
    painted(page)


def saved(page, selector, path):
    with page.expect_download() as download:
        page.click(selector)
    download.value.save_as(path)
    return download.value.suggested_filename


def painted(page):
    """Wait until what was asked for is painted, which happens in the next frame."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page


def until(page, expression):
    """Wait until an expression holds in the page; one given to the browser to poll would need `eval`."""
    for _ in range(6000):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"it never was so: {expression}")


def address_holds(page, words):
    """Wait until the address holds some words: it is written when the state has rested."""
    until(page, f"location.href.includes({words!r})")
    return True


def place(page, metric, share):
    """Return a point of a chart: a share of the way from its first step to its last one."""
    box = page.locator(f'.card[data-metric="{metric}"] .plot').bounding_box()
    return box["x"] + 42 + share * (box["width"] - 60), box["y"] + box["height"] / 2


def test_a_chart_for_each_metric_with_its_extremes(opened):
    page = opened(notes=["step_7.pt could not be read"])
    assert cards(painted(page)) == ["spectral", "rank", "condition"]
    assert readout(page, "spectral") == "▲ 10 at 100 ▼ 1 at 0"
    assert readout(page, "rank") == "constant 3"
    assert readout(page, "condition") == "▲ 8 at 100 ▼ 0.3333 at 1,000 1 infinite 1 without a value"
    assert page.inner_text(".charts-bar .about") == "5 steps, steps 0 to 1,000"
    assert page.inner_text("h1") == "a run"
    assert page.is_visible("text=step_7.pt could not be read")
    # something of the curve's colour is drawn
    blue = """canvas => { const g = canvas.getContext('2d'), d = g.getImageData(0, 0, canvas.width, canvas.height).data;
        let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i] < 30 && d[i + 2] > 150; return n; }"""
    assert page.eval_on_selector('.card[data-metric="spectral"] canvas', blue) > 200


def test_hovering_reads_out_all_charts_at_once(opened):
    page = opened()
    page.mouse.move(*place(page, "spectral", 0.98))
    page.wait_for_selector(".tip:visible")
    assert [readout(page, name) for name in ("spectral", "rank")] == ["step 1,000 5", "step 1,000 3"]
    assert page.inner_text(".tip").split("\n") == ["step 1,000", "5"]
    page.mouse.move(2, 2)
    painted(page)
    assert readout(page, "spectral") == "▲ 10 at 100 ▼ 1 at 0"


def test_a_click_expands_a_chart_and_keys_move_in_it(opened):
    page = opened()
    page.mouse.click(*place(page, "spectral", 0.5))
    assert painted(page).inner_text(".expanded h2") == "spectral"
    cells = page.eval_on_selector_all(".expanded table >> nth=0 >> tbody tr:first-child :is(td, th)", TEXTS)
    assert cells == ["spectral", "1", "5", "1", "0", "10", "100", "5.4", "3.611", "5", "1"]
    rows = page.eval_on_selector_all(".expanded table >> nth=1 >> tbody tr", TEXTS)
    assert rows[0].split("\t") == ["spectral", "–", "1", "5", "10", "2", "9", "12", "0.0001"]
    page.keyboard.press("ArrowDown")
    assert painted(page).inner_text(".expanded h2") == "rank"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    painted(page)
    assert page.inner_text(".expanded .readout").split() == ["step", "100", "10"]
    page.keyboard.press("Home")
    painted(page)
    assert page.inner_text(".expanded .readout").split() == ["step", "0", "1"]
    page.keyboard.press("Escape")
    assert not painted(page).is_visible(".expanded")
    assert readout(page, "spectral") == "step 0 1"  # the cursor stays
    page.focus(".card[data-metric=rank] h2 button")
    page.keyboard.press("Enter")
    assert painted(page).inner_text(".expanded h2") == "rank"
    page.click(".expanded button[title^=Close]")
    assert not painted(page).is_visible(".expanded")


def test_keys_move_the_cursor_and_open_the_search(opened):
    page = opened()
    page.keyboard.press("ArrowLeft")
    assert readout(painted(page), "spectral") == "step 100 10"
    page.keyboard.press("Home")
    assert readout(painted(page), "rank") == "step 0 3"
    page.keyboard.press("Shift+ArrowRight")
    assert readout(painted(page), "spectral") == "▲ 10 at 100 ▼ 1 at 0"  # at the last step there is no cursor
    page.keyboard.press("/")
    page.keyboard.type("rank")
    words = "rank numerical rank, averaged over matrices (published:rank is another definition)"
    assert page.eval_on_selector_all(".choices label", TEXTS) == [words]
    page.keyboard.press("Escape")
    assert not page.is_visible(".chooser .pop")
    page.keyboard.press("d")
    assert page.get_attribute(".tandv", "data-theme") == "dark"


def test_metrics_are_chosen_by_a_search(opened):
    page = opened()
    page.click(".chooser summary")
    page.uncheck(".choices input[value=rank]")
    assert cards(painted(page)) == ["spectral", "condition"]
    page.fill(".chooser input[type=search]", "script")
    assert page.locator(".choices label").count() == 1
    page.click("text=All found")
    assert cards(painted(page)) == ["spectral", "condition", EVIL]
    page.click(".chooser >> text=None")
    page.wait_for_selector(".empty")
    assert (cards(page), page.inner_text(".empty")) == ([], "Choose metrics above.")
    page.fill(".chooser input[type=search]", "nothing like it")
    assert page.inner_text(".choices") == "nothing has such a name"


def test_a_name_is_text_whatever_it_says(opened, tmp_path):
    page = opened(address="#charts=metrics%3Dall")
    assert cards(page)[-1] == EVIL
    page.click(".card h2 button >> nth=3")
    assert painted(page).inner_text(".expanded h2") == EVIL
    page.keyboard.press("Escape")
    press(page, "Layout", "Overlay")
    assert page.eval_on_selector_all(".overlaid .legend button", TEXTS) == ["spectral", "rank", "condition", EVIL]
    saved(page, ".saves .svg", tmp_path / "a.svg")
    press(page, "Layout", "Charts")
    saved(page, ".saves .svg", tmp_path / "b.svg")
    texts = [one.text for one in ElementTree.parse(tmp_path / "b.svg").iter(f"{SVG}text")]
    assert EVIL in texts
    assert page.evaluate("document.images.length") == 0


def test_over_each_other_a_curve_is_picked_out(opened):
    page = opened()
    press(page, "Layout", "Overlay")
    page.hover(".overlaid .legend button >> nth=0")
    painted(page)
    assert page.get_attribute(".overlaid .legend button.on", "data-line") == "0 spectral"
    box = page.locator(".overlaid .plot").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 18, box["y"] + 30)
    page.wait_for_selector(".tip:visible")
    page.click(".overlaid .legend button >> nth=1")
    assert painted(page).inner_text(".expanded h2") == "rank"


def test_many_curves_over_each_other_fit_the_window(opened):
    many = pd.DataFrame({f"metric {i}": [float(i), 1.0] for i in range(200)})
    page = opened(many, transitions=(), address="#charts=layout%3Doverlay")
    assert page.locator(".overlaid .legend button").count() == 200
    assert page.locator(".overlaid .plot").bounding_box()["height"] < page.viewport_size["height"]


def test_curves_of_hundreds_of_layers_are_a_map(opened, tmp_path):
    steps = np.arange(0, 5000, 100)
    table = {"rank": np.ones(50)} | {f"rank:blocks.{i}.w": 1.0 + i + steps / 5000 for i in range(300)}
    page = opened(pd.DataFrame(table, index=steps), transitions=())
    press(page, "Layout", "Layers")
    assert cards(page) == ["rank"]
    assert "300 layers" in readout(page, "rank")
    box = page.locator(".card.map .plot").bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * (box["height"] - 16))
    row = page.wait_for_selector(".tip:visible").inner_text().split()[0]
    assert re.fullmatch(r"blocks\.14\d\.w|blocks\.15\d\.w", row)
    assert saved(page, ".saves .svg", tmp_path / "a.svg") == "layers.svg"
    assert len(list(ElementTree.parse(tmp_path / "a.svg").iter(f"{SVG}image"))) == 2  # the map and the key
    page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * (box["height"] - 16))
    assert painted(page).inner_text(".expanded h2") == f"rank:{row}"
    assert opened(CURVES[["rank"]], transitions=()).is_hidden('[data-value="Layers"]')


def test_transitions_are_marked_and_can_be_hidden(opened, tmp_path):
    page = opened(rule="faster than before and after")
    alarm = page.evaluate("document.querySelector('.tandv').tandv.ctx.look.alarm")

    def marked():
        saved(page, ".saves .svg", tmp_path / "a.svg")
        found = ElementTree.parse(tmp_path / "a.svg").iter(f"{SVG}path")
        return sum(one.get("stroke") == alarm and one.get("stroke-dasharray") == "2 3" for one in found)

    assert page.get_attribute(".switch", "title") == "faster than before and after"
    assert marked() == 1
    page.uncheck(".switch input")
    assert marked() == 0
    press(page, "Layout", "Table")
    assert page.inner_text(".tables table >> nth=1 >> caption") == "Transitions: faster than before and after"
    page = opened(transitions=())
    assert page.is_disabled(".switch input")


def test_logarithmic_axes(opened):
    page = opened(axis="log")
    pressed = page.eval_on_selector_all("button[aria-pressed=true][data-value]", TEXTS)
    assert pressed == ["Charts", "log", "linear"]
    page.mouse.move(*place(page, "spectral", 0.67))  # step 0 has a place: 100 stands two thirds on the way to 1,000
    painted(page)
    assert readout(page, "spectral") == "step 100 10"
    press(page, "Step axis", "linear")
    press(page, "Value axis", "log")
    assert address_holds(page, "charts=steps%3Dlinear%26values%3Dlog")
    negative = opened({"loss": [1.0, -1.0]}, transitions=(), address="#charts=values%3Dlog")
    assert readout(negative, "loss").endswith("linear: not all values are above 0")


def test_dragging_zooms_into_steps_and_the_address_holds_it_all(opened):
    steps = pd.DataFrame({"loss": np.arange(101.0)}, index=pd.Index(range(0, 1010, 10), name="step"))
    page = opened(steps, transitions=())
    (x, y), (to, _) = place(page, "loss", 0.25), place(page, "loss", 0.5)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move((x + to) / 2, y)
    page.mouse.move(to, y)
    page.mouse.up()
    painted(page)
    view = page.evaluate("document.querySelector('.tandv').tandv.state.view")
    assert 200 <= view["from"] <= 300 and 450 <= view["to"] <= 550
    assert address_holds(page, f"from={view['from']}") and page.is_visible("text=all steps")
    page.mouse.click(*place(page, "loss", 0.5))
    assert address_holds(page, "open%3Dloss")
    address = page.url.partition("#")[2]
    page = opened(steps, transitions=(), address=f"#{address}")
    assert painted(page).inner_text(".expanded h2") == "loss"
    page.keyboard.press("Escape")
    page.click("text=all steps")
    painted(page)
    assert page.evaluate("document.querySelector('.tandv').tandv.state.view.from") is None


def test_a_table_leaves_as_it_came(opened, tmp_path):
    page = opened()
    assert saved(page, ".saves .csv", tmp_path / "a.csv") == "metrics.csv"
    pd.testing.assert_frame_equal(read_curves(tmp_path / "a.csv"), CURVES[["spectral", "rank", "condition"]])
    page.click(".card[data-metric=condition] h2 button")
    assert saved(page, ".expanded button:text-is('CSV')", tmp_path / "b.csv") == "condition.csv"
    assert read_curves(tmp_path / "b.csv").columns.tolist() == ["condition"]


def test_pictures_leave_in_the_size_they_say(opened, tmp_path):
    page = opened()
    saved(page, ".saves .png", tmp_path / "a.png")
    picture = matplotlib.image.imread(tmp_path / "a.png")
    assert picture.shape[:2] == (2 * 280, 3 * 2 * 440)
    thirds = np.split(picture[..., :3], 3, axis=1)
    assert all((third < 0.9).any(axis=2).mean() > 0.01 for third in thirds)  # something is drawn in each
    page.click(".card[data-metric=spectral] h2 button")
    assert saved(page, ".expanded button:text-is('PNG')", tmp_path / "b.png") == "spectral.png"
    assert matplotlib.image.imread(tmp_path / "b.png").shape[:2] == (1040, 2000)
    assert saved(page, ".expanded button:text-is('SVG')", tmp_path / "b.svg") == "spectral.svg"
    assert ElementTree.parse(tmp_path / "b.svg").getroot().get("width") == "1000"


def test_runs_are_compared_and_can_be_hidden(opened, tmp_path):
    page = opened({"seed 0": CURVES, "seed <1>": CURVES * 2}, transitions={"seed <1>": [JUMP]})
    assert page.eval_on_selector_all(".run", TEXTS) == ["seed 0", "seed <1>"]
    assert page.eval_on_selector_all(".run line", "all => all.map(one => one.getAttribute('stroke-dasharray'))") == [
        "",
        "7 3",
    ]
    page.mouse.move(*place(page, "spectral", 0.98))
    page.wait_for_selector(".tip:visible")
    assert page.inner_text(".tip").split("\n") == ["step 1,000", "seed 0: 5", "seed <1>: 10"]
    assert readout(page, "spectral") == "5 10 step 1,000"
    saved(page, ".saves .csv", tmp_path / "a.csv")
    table = read_curves(tmp_path / "a.csv")
    assert table["spectral (seed <1>)"].tolist() == (CURVES["spectral"] * 2).tolist()
    page.uncheck(".run input >> nth=1")
    page.mouse.move(2, 2)
    painted(page)
    assert readout(page, "spectral") == "▲ 10 at 100 ▼ 1 at 0"
    page.uncheck(".run input >> nth=0")
    page.wait_for_selector(".empty")
    assert page.inner_text(".empty") == "Choose a run above."


def test_runs_with_other_steps_and_metrics(opened, tmp_path):
    other = pd.DataFrame({"spectral": [7.0], "own_of_model": [1.0]}, index=[5])
    page = opened({"a": CURVES, "b": other}, transitions=())
    assert cards(painted(page)) == ["spectral", "rank", "condition", "own_of_model"]
    page.mouse.move(*place(page, "spectral", 0.98))
    page.wait_for_selector(".tip:visible")
    assert page.inner_text(".tip").split("\n") == ["step 1,000", "a: 5", "b: 7 (step 5)"]
    saved(page, ".saves .csv", tmp_path / "a.csv")
    table = read_curves(tmp_path / "a.csv")
    assert table.index.tolist() == [0, 1, 5, 10, 100, 1000]
    assert table["spectral (b)"].dropna().to_dict() == {5: 7.0}


def test_light_and_dark(opened):
    page = opened()
    colour = "getComputedStyle(document.querySelector('.tandv')).backgroundColor"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    try:
        painted(page)
        dark = page.evaluate(colour)
        assert dark == "rgb(17, 20, 27)" != light
    finally:
        page.emulate_media(color_scheme="light")


def test_only_charts_in_sight_are_drawn(opened):
    many = pd.DataFrame({f"spectral:layers.{i}": [float(i), 1.0] for i in range(200)})
    page = opened(many, transitions=())
    assert len(cards(page)) == 200
    drawn = "[...document.querySelectorAll('.card canvas.base')].filter((one) => one.height > 150).length"
    until(page, f"{drawn} >= 3")
    assert page.evaluate(drawn) < 60
    page.locator(".card >> nth=199").scroll_into_view_if_needed()
    page.wait_for_selector(".card >> nth=199 >> .readout span")
    assert readout(page, "spectral:layers.199") == "▲ 199 at 0 ▼ 1 at 1"
    until(page, "document.querySelector('.card canvas.base').width === 0")  # out of sight, it needs no pixels


def test_many_values_are_pooled_and_it_is_said(opened):
    page = opened({"loss": np.sin(np.arange(5000.0))}, transitions=())
    assert re.search(r"up to [\d,]+ values at a point: shaded from smallest to largest", page.inner_text(".about"))


def test_one_value_is_a_chart(opened):
    page = opened({"loss": [2.0]}, transitions=())
    assert readout(page, "loss") == "constant 2"


class Growing(CurvesOnly):
    """Curves that have `steps` steps when they are looked at again."""

    status = "running"
    steps = 3

    def refresh(self):
        if len(self.curves.table) == self.steps:
            return False
        self.curves.table = as_curves({"loss": np.where(np.arange(self.steps) < 60, 2.0, 1.0)})
        self.curves.version += 1
        return True


def test_charts_of_a_run_that_goes_on_go_on(chromium):
    source = Growing({"loss": [2.0] * 3}, "run")
    with serving(Answers([Run(source)])) as served:
        chromium.goto(served.address)
        chromium.wait_for_selector(".about:has-text('3 steps')")
        assert readout(chromium, "loss") == "constant 2"
        source.steps = 120
        chromium.wait_for_selector(".about:has-text('120 steps, steps 0 to 119')")
        assert readout(painted(chromium), "loss") == "▲ 2 at 0 ▼ 1 at 60"
        chromium.wait_for_selector(".switch input:enabled")  # its transition has been found
        chromium.click(".card[data-metric=loss] h2 button")
        assert chromium.inner_text(".expanded table >> nth=1 >> tbody tr").split("\t")[:4] == [
            "loss",
            "step",
            "60",
            "60",
        ]
        chromium.goto("about:blank")


def test_a_run_beside_the_one_that_is_shown_goes_on_as_well(chromium):
    other = Growing({"loss": [2.0] * 3}, "new")
    with serving(Answers([Run(CurvesOnly({"loss": [2.0, 1.0]}, "old")), Run(other)])) as served:
        chromium.goto(served.address)
        chromium.wait_for_selector(".about:has-text('2 runs, 3 steps')")
        other.steps = 7
        chromium.wait_for_selector(".about:has-text('2 runs, 7 steps')")
        chromium.goto("about:blank")


def test_on_a_phone(opened):
    page = opened()
    size = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 844})
    try:
        painted(page)
        width = page.evaluate("[document.documentElement.scrollWidth, document.querySelector('.charts').scrollWidth]")
        assert max(width) <= 390
        assert page.locator(".card >> nth=0").bounding_box()["width"] > 340
    finally:
        page.set_viewport_size(size)
