"""What the pictures of the page show, in a real browser: pixels, texts and read-outs, and what leaves them as files."""

import csv
import io
import math
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pictured_run
import pytest
from pictured_run import BREAKS, EVIL, HOT, LATE, PARTLY

from in_browser import CHROMIUM, browser
from tandv.formats import cast_shares, number_format
from tandv.log import logframe
from tandv.page.answers.answers import Answers
from tandv.page.one_file import document
from tandv.page.pooled import pooled
from tandv.page.server import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="NO BROWSER: the page's browser tests did not run; install one by `apt-get install chromium`",
    ),
]
LOG = pictured_run.log()
LAYERS = list(dict.fromkeys(logframe.select(LOG, tt="Activation")["metadata", "name"].astype(str)))
SHOWN = {"tt": "Activation", "layer": HOT, "metric": "rm2", "step": 100, "format": "e4m3", "theme": "dark"}
ALL = {"other": -1, "compare": "difference", "pin": None, "from": None, "to": None, "top": "", "bottom": ""}
STATE = SHOWN | ALL | {"colour": "value", "follow": False}
PANELS = ("heat", "exponents", "histogram", "profile", "curves")

# Run in the page, where `ctx` is what the panels share.
CTX = "const ctx = document.getElementById('tandv').tandv.ctx, rgb = (hex) => parseInt(hex.slice(1), 16);"
PIXELS = """([name, x0, y0, x1, y1]) => { CTX  // colours of a part of a panel's box, given as shares of it
    const p = ctx.panels[name], b = p.box, d = p.dpr(), g = p.base.getContext('2d');
    const [x, y] = [Math.round((b.x + x0 * b.w) * d), Math.round((b.y + y0 * b.h) * d)];
    const [w, h] = [Math.max(1, Math.round((x1 - x0) * b.w * d)), Math.max(1, Math.round((y1 - y0) * b.h * d))];
    const of = g.getImageData(x, y, w, h).data, out = [];
    const under = [16, 8, 0].map((by) => (rgb(ctx.look.panel) >> by) & 255);
    for (let k = 0; k < of.length; k += 4) {
        const seen = under.map((c, i) => Math.round(c + ((of[k + i] - c) * of[k + 3]) / 255));
        out.push(seen[0] * 65536 + seen[1] * 256 + seen[2]);
    }
    return out;
}""".replace("CTX", CTX)
TEXTS = """() => { CTX  // the texts that each panel draws, with their places
    const draw = CanvasRenderingContext2D.prototype.fillText, out = {};
    for (const [name, p] of Object.entries(ctx.panels)) {
        if (!p.inner.clientWidth || p.el.hidden) continue;
        const texts = out[name] = [];
        CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
            const m = this.measureText(text);
            texts.push([text, x - m.actualBoundingBoxLeft, y - m.actualBoundingBoxAscent, x + m.actualBoundingBoxRight,
                y + m.actualBoundingBoxDescent]);
            return draw.apply(this, arguments);
        };
        p.same({});  // it is not the same any more: all is drawn
        p.does.draw();
        if (name !== 'heat' && name !== 'otherHeat') p.does.hover();  // the chosen layer's name stands above the others
    }
    CanvasRenderingContext2D.prototype.fillText = draw;
    const size = (p) => [p.inner.clientWidth, p.inner.clientHeight];
    return [out, Object.fromEntries(Object.entries(ctx.panels).map(([name, p]) => [name, size(p)]))];
}""".replace("CTX", CTX)


@pytest.fixture(scope="module")
def served():
    runs = [pictured_run.run("diverge"), pictured_run.run("slower", breaks=None, seed=3)]
    with serving(Answers(runs)) as page:
        yield page.address


@pytest.fixture(scope="module")
def chromium(tmp_path_factory, served):
    with browser(tmp_path_factory.mktemp("profile")) as page:
        page.goto(served)  # takes the cookie
        yield page


@pytest.fixture
def opened(chromium, served):
    """Return a function that brings the page into a state; whatever the page complains of is a failure."""
    wrong: list[str] = []
    listeners = {
        "console": lambda message: None if "willReadFrequently" in message.text else wrong.append(message.text),
        "pageerror": lambda error: wrong.append(str(error)),
    }
    for event, listener in listeners.items():
        chromium.on(event, listener)

    def opened(width=1280, height=720, **state):
        chromium.set_viewport_size({"width": width, "height": height})
        if chromium.evaluate("!document.getElementById('tandv')?.tandv || !!window.changed"):
            chromium.goto("about:blank")
            chromium.goto(served.partition("?")[0])
            settled(chromium)
        chromium.evaluate("(view) => document.getElementById('tandv').tandv.state.set(view)", STATE | state)
        settled(chromium)
        return chromium

    yield opened
    for event, listener in listeners.items():
        chromium.remove_listener(event, listener)
    assert wrong == []


BUSY = """(() => {
    const page = document.getElementById('tandv')?.tandv;
    if (!page || page.busy()) return true;
    const { firsts, transitions } = page.ctx.data;  // looked for in the background
    return !firsts || firsts.ready === false || !transitions[0] || transitions[0].ready === false;
})()"""


def settled(page):
    """Wait until all is answered and drawn."""
    for _ in range(12_000):
        if not page.evaluate(BUSY):
            break
        page.wait_for_timeout(50)
    else:
        raise AssertionError("still busy")
    for _ in range(3):
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        page.wait_for_timeout(20)


def colour(page, name: str) -> int:
    return page.evaluate(f"() => {{ {CTX} return rgb({name}); }}")


def pixels(page, panel: str, *part: float) -> np.ndarray:
    return np.array(page.evaluate(PIXELS, [panel, *part]))


def channels(of: np.ndarray | int) -> np.ndarray:
    return np.stack([np.asarray(of) >> 16, np.asarray(of) >> 8 & 255, np.asarray(of) & 255], axis=-1)


def row_of(layer: str) -> tuple[float, float]:
    at = LAYERS.index(layer)
    return (at + 0.15) / len(LAYERS), (at + 0.85) / len(LAYERS)


def hover(page, panel: str, x: float, y: float) -> list[str]:
    """Move the mouse to a part of a panel's box; return what is read out."""
    place = page.evaluate(
        f"(name) => {{ {CTX} const p = ctx.panels[name], r = p.over.getBoundingClientRect();"
        " return [r.x + p.box.x, r.y + p.box.y, p.box.w, p.box.h]; }",
        panel,
    )
    page.mouse.move(place[0] + x * place[2], place[1] + y * place[3])
    return page.eval_on_selector_all(".tandv .tip > div", "all => all.map(one => one.textContent)")


def column(step: int) -> float:
    return (step + 0.5) / 160


def test_cells_are_hatched_where_values_are_not_finite_and_dotted_where_nothing_was_logged(opened):
    page = opened()
    nan, panel = colour(page, "ctx.look.nan"), colour(page, "ctx.look.panel")
    lost = pixels(page, "heat", (BREAKS + 3) / 160, 0.1, 0.98, 0.9)
    assert 0.55 < (lost == nan).mean() < 0.75, "whole cells: wide lines"
    some = pixels(page, "heat", 45 / 160, row_of(PARTLY)[0], 100 / 160, row_of(PARTLY)[1])
    assert 0.15 < (some == nan).mean() < 0.5, "a part of the values: thin lines over the colour of the others"
    assert len(np.unique(some)) > 20
    assert not (pixels(page, "heat", 0, 0.5, 0.6, 0.6) == nan).any()
    row = LAYERS.index(LATE)  # all of it: dots are some pixels apart
    late = pixels(page, "heat", 0.01, row / len(LAYERS), 28 / 160, (row + 1) / len(LAYERS))
    assert 0.8 < (late == panel).mean() < 1


def test_what_overflows_the_format_is_outlined_and_only_for_formats_that_it_overflows(opened):
    part = (80 / 160, row_of(HOT)[0] - 0.02, 109 / 160, row_of(HOT)[1] + 0.02)
    page = opened()
    tone = colour(page, "ctx.look.formats.e4m3")
    outlined = pixels(page, "heat", *part) == tone
    assert outlined.sum() > 60
    page = opened(format="bf16")
    assert not (pixels(page, "heat", *part) == colour(page, "ctx.look.formats.bf16")).any()


def test_read_outs_of_the_heat_map_name_layer_step_value_and_marks(opened):
    page = opened()
    row = logframe.select(LOG, HOT, "Activation", BREAKS)
    words = hover(page, "heat", column(BREAKS), np.mean(row_of(HOT)))
    value = float(row["scalar_stats", "rm2"].iloc[0])
    assert words[:2] == [HOT, f"step {BREAKS}"]
    assert math.isclose(float(words[2].split()[1].rstrip(",").replace(",", "")), value, rel_tol=1e-5)
    assert words[3:5] == ["has infinity", "max_abs overflows e4m3"]
    assert words[5:] in ([], ["SQNR below 20 dB in e4m3"])  # what casts lose is answered later than the panels
    assert hover(page, "heat", column(10), np.mean(row_of(LATE))) == [LATE, "step 10", "not logged"]
    assert hover(page, "heat", column(120), np.mean(row_of(PARTLY)))[2:] == ["rm2 NaN", "has NaN"]


def test_the_scale_and_the_limits_of_marked_casts_are_chosen_below_the_formats(opened):
    page = opened(tt="Gradient", layer=LAYERS[0], step=50)
    menus = "[...document.querySelectorAll('.tandv .formats .limits select')]"
    assert page.evaluate(f"{menus}.map(one => one.value)") == ["none", "1", "20"]
    for name, value in (("marks: scale", "max"), ("SQNR", "60")):
        page.select_option(f".tandv .formats select[aria-label='{name}']", value)
    page.wait_for_function(f"() => {{ {CTX} return ctx.data.casts?.ready && ctx.data.casts.scale === 'max'; }}")
    settled(page)
    assert "SQNR under 60 dB" in page.inner_text(".tandv .swatches")
    assert "SQNR below 60 dB in e4m3, its largest value scaled to the largest" in hover(
        page, "heat", column(50), 0.5 / len(LAYERS)
    )
    page = opened(format="none", scale="none", sqnr="20")
    assert page.evaluate(f"{menus}.every(one => one.closest('label').hidden)")


def test_limits_stand_at_their_exponents_and_lanes_show_what_is_not_finite(opened):
    page = opened()
    tone = colour(page, "ctx.look.formats.e4m3")
    lanes = 26 / box_height(page, "exponents")
    places = page.evaluate(
        f"async () => {{ {CTX} const {{ exponentRowsOf }} = await import('./panel_exponents.js');"
        " const {rows} = exponentRowsOf(ctx, ctx.panels.exponents.box), b = ctx.panels.exponents.box;"
        " return [Math.log2(448), -6, -10].map((e) => (rows.y(e) - b.y) / b.h); }"
    )
    half = 2.0 / box_height(page, "exponents")
    for place in places:
        for panel in ("exponents", "histogram"):  # they share their rows
            assert (pixels(page, panel, 0.6, place - half, 0.95, place + half) == tone).sum() > 20
    assert (pixels(page, "exponents", 0.75, 0.005, 0.95, 0.4 * lanes) != colour(page, "ctx.look.empty")).mean() > 0.4
    infinite = pixels(page, "exponents", column(BREAKS) - 0.002, 0.55 * lanes, column(BREAKS) + 0.002, 0.9 * lanes)
    assert (infinite != colour(page, "ctx.look.empty")).any()
    assert (pixels(page, "exponents", 0.1, 0.55 * lanes, 0.6, 0.9 * lanes) == colour(page, "ctx.look.empty")).all()


def box_height(page, panel: str) -> float:
    return page.evaluate(f"(name) => {{ {CTX} return ctx.panels[name].box.h; }}", panel)


def test_bars_beyond_the_format_are_hatched_in_its_colour(opened):
    page = opened()
    tone, bar = colour(page, "ctx.look.formats.e4m3"), colour(page, "ctx.look.bar")
    beyond, within = pixels(page, "histogram", 0, 0.0, 0.5, 0.42), pixels(page, "histogram", 0, 0.5, 0.6, 0.9)
    assert (beyond == tone).sum() > 100
    rows = [row for row in beyond.reshape(-1, round(0.5 * box_width(page, "histogram"))) if (row == tone).mean() > 0.2]
    assert any((np.diff(row == tone) != 0).sum() > 8 for row in rows), "stripes, not a colour alone"
    assert (within == bar).sum() > 100


def box_width(page, panel: str) -> float:
    return page.evaluate(f"(name) => {{ {CTX} return ctx.panels[name].box.w; }}", panel)


def test_the_histogram_reads_out_exact_counts_and_those_of_the_pinned_step(opened):
    page = opened(pin=20)
    counts = {step: logframe.select(LOG, HOT, "Activation", step)["exponent_counts"] for step in (100, 20)}
    most = int(counts[100].drop(columns=[-np.inf, np.inf]).iloc[0].idxmax())
    place = page.evaluate(
        f"async (e) => {{ {CTX} const {{ exponentRowsOf }} = await import('./panel_exponents.js');"
        " const {rows} = exponentRowsOf(ctx, ctx.panels.exponents.box), b = ctx.panels.exponents.box;"
        " return (rows.y(e + 0.5) - b.y) / b.h; }",
        most,
    )
    words = hover(page, "histogram", 0.5, place)
    n, before = (int(counts[step][most].iloc[0]) for step in (100, 20))
    assert f"{n:,} of 4,096 values" in words[2]
    assert words[-1].startswith(f"step 20: {before:,} of 4,096 values")


def test_the_table_of_formats_says_what_python_says(opened):
    page = opened()
    rows = page.eval_on_selector_all(
        ".tandv .formats tbody tr", "all => all.map(tr => [...tr.children].map(td => td.textContent))"
    )
    row = logframe.select(LOG, HOT, "Activation", 100)
    for short, overflow, to_zero, subnormal in rows:
        expected = cast_shares(row, short)
        for text, (low, high) in zip((overflow, to_zero, subnormal), (one[0] for one in expected), strict=True):
            ends = [float(part.strip("%! ")) / 100 for part in text.split("–")]
            if len(ends) == 1:
                np.testing.assert_allclose(ends * 2, [low, high], rtol=0.006, atol=1e-9)
            else:  # two digits, rounded outwards
                assert 0.9 * low <= ends[0] <= low and high <= ends[1] <= 1.1 * high
    assert "–" in rows[0][1] and "!" in rows[0][1]
    page.click(".tandv .formats tbody tr:nth-child(2)")
    settled(page)
    assert page.get_attribute(".tandv .formats tbody tr:nth-child(2)", "aria-selected") == "true"
    # Of a tensor of NaN alone no share is given.
    page.evaluate("""() => {
        const { ctx } = document.getElementById('tandv').tandv, { at } = ctx.data, lanes = Float64Array.of(0, 0, 8);
        ctx.data.at = { ...at, stats: { nans: 8, numel: 8 }, lanes, counts: at.counts.map(() => 0) };
        ctx.state.set({ format: 'bf16' });
    }""")
    cells = page.eval_on_selector_all(".tandv .formats td", "all => all.map(td => td.textContent)")
    assert set(cells) == {"–"}
    assert page.inner_text(".tandv .formats .caption").endswith("all values are NaN, nothing to cast")
    page.evaluate("window.changed = true")  # the next test opens the page anew


# Which texts of the table of formats are cut off, below notes of two lines, were its intervals as wide as they can be.
CUT = """() => {
  const page = document.querySelector('.tandv'), box = e => e.getBoundingClientRect();
  const table = page.querySelector('.formats'), notes = page.querySelector('.notes');
  notes.hidden = false; notes.querySelector('ul').innerHTML = '<li>one</li><li>two</li>';
  const wide = [...table.querySelectorAll('td')].map(td => { td.innerHTML = '0.012–<wbr>0.62% !'; return td; });
  const all = [...wide, ...table.querySelectorAll('th, .caption')].filter(e => e.scrollWidth > e.clientWidth);
  const low = box(page.querySelector('.panel.histogram')).bottom, end = box(page).bottom;
  return [
    ...all.map(e => e.textContent),
    ...table.scrollHeight > table.clientHeight ? [`${table.scrollHeight} > ${table.clientHeight}`] : [],
    ...page.clientWidth > 760 && low > end ? [`histogram ${low} ${end} ${box(table).height} ${box(notes).height}`] : [],
  ];
}"""


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (390, 844)])
def test_no_two_texts_of_a_panel_overlap_or_leave_it(opened, size):
    for state in (
        {},
        {"format": "e5m2", "other": 1},
        {"metric": "mean", "from": 50, "to": 63, "other": 1, "compare": "side"},
    ):
        page = opened(*size, **state)
        found, sizes = page.evaluate(TEXTS)
        assert set(PANELS) <= set(found)
        for panel, texts in found.items():
            for i, (text, x0, y0, x1, y1) in enumerate(texts):
                where = f"{text!r} in {panel} at {size}, {state}"
                assert x0 >= -1 and y0 >= -2 and x1 <= sizes[panel][0] + 1 and y1 <= sizes[panel][1] + 1, where
                for other, a0, b0, a1, b1 in texts[:i]:
                    assert x0 >= a1 or a0 >= x1 or y0 >= b1 or b0 >= y1, f"{where} and {other!r}"
    assert page.evaluate(CUT) == [], size
    page.evaluate("window.changed = true")


def test_curves_are_shown_and_hidden_their_gaps_are_hatched_and_the_axis_turns_logarithmic(opened):
    page = opened()
    page.evaluate("window.changed = true")
    chips = page.eval_on_selector_all(".tandv .chip", "all => all.map(c => [c.textContent, c.ariaPressed])")
    names = {text.split(" ")[0]: pressed for text, pressed in chips}
    assert names == {"loss": "true", "aux_loss": "true", "rm2": "true", "lr": "false", "log": "false"}
    loss = pictured_run.curves()["loss"]
    assert f"loss {loss[100]:.4g}" in chips[0][0]
    strip, nan = (channels(of) for of in (pixels(page, "curves", 0.8, 0.93, 0.95, 0.99), colour(page, "ctx.look.nan")))
    assert 0.2 < (abs(strip - nan).max(-1) < 40).mean() < 0.9, "stripes"
    assert hover(page, "curves", column(50), 0.3)[1] == f"loss: {loss[50]:.7g}"
    assert hover(page, "curves", column(150), 0.3)[1] == "loss: NaN"
    before = [text for text, *_ in page.evaluate(TEXTS)[0]["curves"]]
    page.click(".tandv .chip.log")
    settled(page)
    after = [text for text, *_ in page.evaluate(TEXTS)[0]["curves"]]
    assert before != after
    for name in ("loss", "aux_loss", "lr"):
        page.click(f".tandv .chip:has-text('{name}') >> nth=0")
        settled(page)
    assert ".tandv .chip.log" and page.query_selector(".tandv .chip.log") is None
    assert "0.001" in [text for text, *_ in page.evaluate(TEXTS)[0]["curves"]]


def test_hovering_redraws_no_picture(opened):
    page = opened()
    page.evaluate(
        f"() => {{ {CTX} window.drawn = 0; window.changed = true;"
        " for (const p of Object.values(ctx.panels)) { const draw = p.does.draw;"
        " p.does.draw = () => { window.drawn += 1; draw(); }; } }"
    )
    before = pixels(page, "heat", 0, 0, 1, 1)
    for at in np.linspace(0.1, 0.9, 6):
        hover(page, "heat", at, at)
    settled(page)
    assert page.evaluate("window.drawn") == 0
    assert (pixels(page, "heat", 0, 0, 1, 1) == before).all()


def download(page, panel: str, kind: str):
    page.hover(f".tandv .panel.{panel}")
    with page.expect_download() as coming:
        page.click(f".tandv .panel.{panel} .save button:has-text('{kind}')")
    with open(coming.value.path(), "rb") as file:
        return coming.value.suggested_filename, file.read()


def test_each_panel_is_saved_as_a_picture_a_drawing_and_a_table(opened):
    page = opened(pin=20)
    tables = {}
    for panel in PANELS:
        name, picture = download(page, panel, "PNG")
        assert name.endswith(".png") and picture[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
        size = page.evaluate(
            f"(n) => {{ {CTX} const i = ctx.panels[n].inner; return [i.clientWidth, i.clientHeight]; }}", panel
        )
        assert (width, height) == (2 * size[0], 2 * (size[1] + 38))
        name, drawing = download(page, panel, "SVG")
        tree = ET.fromstring(drawing)
        texts = ["".join(one.itertext()) for one in tree.iter("{http://www.w3.org/2000/svg}text")]
        assert texts[0].startswith("diverge · ") and len(texts) > 4
        images = list(tree.iter("{http://www.w3.org/2000/svg}image"))
        assert bool(images) == (panel in ("heat", "exponents"))
        assert all(image.get("href").startswith("data:image/png;base64,") for image in images)
        name, table = download(page, panel, "CSV")
        about, _, rest = table.decode().partition("\n")
        assert about.startswith("# diverge: ") and name.endswith(".csv")
        tables[panel] = list(csv.reader(io.StringIO(rest)))

    heat = tables["heat"]
    assert heat[0] == ["layer", *(str(step) for step in range(160)), "marks"] and len(heat) == 1 + len(LAYERS)
    assert [row[0] for row in heat[1:]] == [f"'{name}" if name == EVIL else name for name in LAYERS]
    hot = heat[1 + LAYERS.index(HOT)]
    rm2 = logframe.select(LOG, HOT, "Activation")["scalar_stats", "rm2"].to_numpy()
    np.testing.assert_allclose(np.array(hot[1:-1], float), rm2, rtol=1e-6)
    assert f"NaN at {BREAKS + 1} to 159; infinity at {BREAKS}" in hot[-1]
    assert heat[1 + LAYERS.index(LATE)][1:31] == [""] * 30

    counts = logframe.select(LOG, HOT, "Activation", 100)["exponent_counts"].iloc[0]
    histogram = {row[0]: int(row[1]) for row in tables["histogram"][1:]}
    assert histogram.pop("zero") == counts[-np.inf] and histogram.pop("infinity") == histogram.pop("NaN") == 0
    assert {int(n): k for n, k in histogram.items() if k} == {n: k for n, k in counts.items() if k and np.isfinite(n)}
    assert tables["histogram"][0] == ["exponent", "step 100", "step 20"]

    profile = logframe.select(LOG, tt="Activation", step=100).set_index(("metadata", "name"))["scalar_stats", "rm2"]
    assert [math.isclose(float(row[1]), profile[row[0].lstrip("'")], rel_tol=1e-6) for row in tables["profile"][1:]]
    curves = pictured_run.curves()
    assert tables["curves"][0] == ["step", "loss", "aux_loss", "rm2 of mlp.up"]
    found = pd.DataFrame(tables["curves"][1:], columns=tables["curves"][0]).astype(float)
    np.testing.assert_allclose(found["loss"], curves["loss"], rtol=1e-6)
    assert len(tables["exponents"][0]) == 161 and tables["exponents"][1][0] == "NaN"

    assert download(page, "formats", "PNG")[1][:4] == b"\x89PNG"
    drawing = ET.fromstring(download(page, "formats", "SVG")[1])
    assert {"e4m3", "bf16", "overflow"} <= {one.text for one in drawing.iter("{http://www.w3.org/2000/svg}text")}
    _, table = download(page, "formats", "CSV")
    rows = list(csv.reader(io.StringIO(table.decode().partition("\n")[2])))
    row = logframe.select(LOG, HOT, "Activation", 100)
    np.testing.assert_allclose(np.array(rows[1][1:3], float), cast_shares(row, rows[1][0]).overflow[0], rtol=1e-12)
    assert number_format(rows[1][0]).short == "e4m3"


def test_pooled_columns_say_so_in_the_title_the_read_out_and_the_table(opened):
    page = opened(390, 844)
    about = page.inner_text(".tandv .panel.heat .more")
    pooled = page.evaluate(f"() => {{ {CTX} return ctx.data.heat.pooled; }}")
    assert pooled == 1 and "largest" not in about
    page.evaluate(
        f"() => {{ {CTX} window.changed = true; ctx.data.heat = {{ ...ctx.data.heat, pooled: 3 }};"
        " ctx.panels.heat.does.draw(); }"
    )
    assert "largest of 3 steps a column" in page.inner_text(".tandv .panel.heat .more")
    _, table = download(page, "heat", "CSV")
    assert "largest of 3 steps a column" in table.decode().partition("\n")[0]


def test_one_file_saves_as_well_and_says_which_counts_are_rounded(opened, tmp_path):
    page = opened()
    path = tmp_path / "run.html"
    path.write_text(document(pooled(Answers([pictured_run.run("filed")])), "filed", STATE), encoding="utf-8")
    page.goto(path.as_uri())
    page.evaluate("window.changed = true")  # the next test opens the page of the server
    settled(page)
    name, table = download(page, "histogram", "CSV")
    assert name.startswith("filed-histogram-") and "from shares in steps of 9 %" in table.decode().partition("\n")[0]
    assert download(page, "heat", "PNG")[1][:4] == b"\x89PNG"
    words = hover(page, "histogram", 0.5, 0.45)
    assert any(word.startswith("about ") and word.endswith(" of 4,096 values") for word in words)
    assert "(about)" in page.inner_text(".tandv .formats .caption")
