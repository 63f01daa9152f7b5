"""The one screen in a real browser, served: each thing that people do with it, once, and that it is quiet meanwhile."""

import json
import os
import time
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from in_browser import CHROMIUM, browser
from tandv.log import logframe
from tandv.log.files import write_parquet
from tandv.log.status import this_process
from tandv.page.answers import answers_of
from tandv.page.server import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="NO BROWSER: the page's browser tests did not run; install one by `apt-get install chromium`",
    ),
]
EVIL = {
    "embed": "<img src=x onerror=alert(1)>",
    "layers.0.mlp.up": "</script><script>alert(2)</script>",
    "head": "=cmd|' /C calc'!A0",
}
PAGE = "document.getElementById('tandv')"
HEAT = ".tandv .panel.heat .over"
ADMITTED: set[str] = set()  # servers whose cookie the browser has


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def served():
    log, other = logframe.example_log(), logframe.example_log(seed=1, steps=60)
    with serving(answers_of(log, other), title="runs") as page:
        yield page


@pytest.fixture
def watched(chromium):
    """The browser's page; whatever it complains of, or asks of anybody else, is a failure."""
    wrong: list[str] = []
    listeners = {
        "console": lambda message: None if "403" in message.text else wrong.append(f"{message.type}: {message.text}"),
        "pageerror": lambda error: wrong.append(str(error)),
        "dialog": lambda dialog: (wrong.append(dialog.message), dialog.dismiss()),
        "request": lambda request: None if _is_own(request.url) else wrong.append(request.url),
    }
    for event, listener in listeners.items():
        chromium.on(event, listener)
    chromium.set_viewport_size({"width": 1280, "height": 720})
    yield chromium
    for event, listener in listeners.items():
        chromium.remove_listener(event, listener)
    chromium.goto("about:blank")
    assert wrong == []


@pytest.fixture
def opened(watched, served):
    """Return what opens the page, of one run alone: two would begin compared."""
    return lambda address="": _opened(watched, served.address, f"{address or '#'}&other=-1")


def _is_own(url: str) -> bool:
    return urlsplit(url).hostname == "127.0.0.1" or url.startswith(("blob:", "data:", "about:"))


def _opened(page, place: str, address: str = ""):
    base = place.partition("?")[0]
    page.goto("about:blank")
    page.goto(base + address if base in ADMITTED else place)
    if base not in ADMITTED and address:
        page.goto("about:blank")
        page.goto(base + address)
    ADMITTED.add(base)
    settle(page)
    return page


def until(page, expression: str, value=True):
    """Wait for what an expression says in the page; one given to the browser to poll would need `eval`."""
    for _ in range(6000):
        found = page.evaluate(expression)
        if found == value:
            return
        time.sleep(0.05)
    raise AssertionError(f"{expression} is {found}, not {value}")


def settle(page):
    until(page, f"!!{PAGE}?.tandv && !{PAGE}.tandv.busy()")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


def view(page):
    settle(page)
    return SimpleNamespace(**page.evaluate(f"{PAGE}.tandv.state.view"))


def press(page, *keys: str):
    for key in keys:
        page.keyboard.press(key)
    return view(page)


def box(page, panel: str):
    """Return a function from parts of a panel's picture, 0 to 1, to a place of the window."""
    outer = page.locator(f".tandv .panel.{panel} .over").bounding_box()
    inner = page.evaluate(f"name => ({{...{PAGE}.tandv.ctx.panels[name].box}})", panel)
    return lambda x, y: (outer["x"] + inner["x"] + x * inner["w"], outer["y"] + inner["y"] + y * inner["h"])


def click(page, panel: str, x: float, y: float):
    page.mouse.click(*box(page, panel)(x, y))
    return view(page)


def drag(page, panel: str, start, end):
    at = box(page, panel)
    page.mouse.move(*at(*start))
    page.mouse.down()
    page.mouse.move(*at((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
    page.mouse.move(*at(*end))
    page.mouse.up()
    return view(page)


def text(page, selector: str) -> str:
    return page.locator(f".tandv {selector}").first.inner_text()


def test_it_opens_at_the_first_value_that_is_no_number(opened):
    page = opened()
    now = view(page)
    assert (now.tt, now.layer, now.step, now.metric) == ("Activation", "head", 45, "rm2")
    assert "step 45 of 49" in text(page, ".where-now") and text(page, ".where-now .bad") == "178 infinite"
    until(page, "document.querySelectorAll('.tandv .findings li.on').length", 1)
    until(page, "location.hash", "#other=-1&tt=Activation&layer=head&step=45")
    until(page, "document.querySelectorAll('.tandv .findings li.on b.error').length", 1)
    assert "overflow · step 45" in text(page, ".findings li.on")
    # The page fits its window: nothing has to be scrolled.
    assert page.evaluate("document.scrollingElement.scrollHeight <= innerHeight")
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_the_keyboard_moves_everything(opened):
    page = opened("#tt=Activation&layer=head&step=20")
    press(page, "ArrowRight", "Shift+ArrowRight", "ArrowLeft")
    assert view(page).step == 30
    assert press(page, "ArrowUp").layer != "head"
    assert press(page, "ArrowDown").layer == "head"
    assert (press(page, "Home").step, press(page, "End").step) == (0, 49)
    assert press(page, "p").pin == 49
    assert (press(page, "Home").pin, press(page, "p").pin) == (49, 0)
    assert press(page, "p").pin is None
    assert (press(page, "c").colour, press(page, "c").colour) == ("change", "value")
    assert (press(page, "m").metric != "rm2", press(page, "M").metric) == (True, "rm2")
    assert (press(page, "t").tt, press(page, "T").tt) == ("Gradient", "Activation")
    assert (press(page, "d").theme, press(page, "d").theme) == ("dark", "light")
    assert press(page, "v").view == "curves" and page.locator(".tandv .screen").is_hidden()
    assert press(page, "v").view == "screen"
    assert press(page, "f").follow is True
    assert press(page, "ArrowLeft").follow is False
    assert vars(press(page, "+"))["from"] is not None
    assert vars(press(page, "0"))["from"] is None
    page.keyboard.press("?")
    assert page.locator(".tandv .help").is_visible() and "search layers" in text(page, ".help")
    page.keyboard.press("Escape")
    assert page.locator(".tandv .help").is_hidden()
    press(page, "v", "?")
    assert "choose metrics" in text(page, ".help") and "pin" not in text(page, ".help")
    page.keyboard.press("Escape")


def test_findings_are_links_and_keys_go_through_them(opened):
    page = opened("#tt=Activation&layer=head&step=3")
    until(page, "document.querySelectorAll('.tandv .findings a').length", 3)
    until(page, "document.querySelector('.tandv .findings b')?.textContent", "error")
    rule = page.locator(".tandv .findings a").first
    sentences = page.locator(f"#{rule.get_attribute('aria-describedby')}")
    assert "overflow · step 45" in rule.inner_text() and not sentences.is_visible()
    rule.click()
    first = view(page)
    assert (first.tt, first.layer, first.step) == ("Activation", "head", 45)
    assert sentences.is_visible() and "178 infinities among 4,096 values" in sentences.inner_text()
    assert page.locator(".tandv .tree .row.on .mark.error").count() == 1
    assert "the run has no loss" in page.locator(".tandv .unchecked").text_content()
    address = page.locator(".tandv .findings a").nth(2).get_attribute("href")
    on = "[...document.querySelectorAll('.tandv .findings li')].findIndex(li => li.classList.contains('on'))"
    assert page.evaluate(on) == 0
    press(page, "n")  # to what overflows fp16 in the same place
    assert "overflows fp16" in page.locator(".tandv .findings li.on").inner_text() and page.evaluate(on) == 1
    third = press(page, "n")
    assert page.evaluate(on) == 2
    assert parse_qs(address[1:])["layer"] == [third.layer] and parse_qs(address[1:])["step"] == [str(third.step)]
    back = press(page, "N", "N")
    assert (back.tt, back.layer, back.step) == (first.tt, first.layer, first.step) and page.evaluate(on) == 0


def test_the_search_takes_expressions_and_text(opened):
    page = opened()
    page.keyboard.press("/")
    page.keyboard.type("^layers.*(wq|wo)$")
    found = page.locator(".tandv .tree .row .label").all_inner_texts()
    assert found and all(name.endswith(("wq", "wo")) for name in found)
    assert f"{len(found)} of " in text(page, ".tree .note")
    page.keyboard.press("Enter")
    assert view(page).layer == found[0]
    page.keyboard.press("/")
    page.keyboard.type("[0")
    assert "no regular expression, taken as text" in text(page, ".tree .note")
    page.keyboard.press("Escape")
    assert page.locator(".tandv .tree input").input_value() == ""
    groups = page.locator(".tandv .tree .row.group")
    before = page.locator(".tandv .tree .row").count()
    groups.first.click()
    assert page.locator(".tandv .tree .row").count() < before
    groups.first.click()
    assert page.locator(".tandv .tree .row").count() == before


def test_the_mouse_reads_out_sets_and_zooms(opened):
    page = opened("#tt=Activation&layer=head&step=3")
    now = click(page, "heat", 0.5, 0.1)
    assert (now.step, now.layer) == (25, "embed")
    page.mouse.move(*box(page, "heat")(0.21, 0.9))
    settle(page)
    assert "step 10" in text(page, ".tip")
    now = drag(page, "heat", (0.2, 0.5), (0.61, 0.5))
    assert (vars(now)["from"], now.to, now.top) == (10, 30, "")
    now = drag(page, "heat", (0.2, 0.3), (0.61, 0.7))
    assert now.top == page.evaluate(f"{PAGE}.tandv.ctx.layers()[1]") and now.bottom != now.top
    page.locator(HEAT).dblclick(position={"x": 300, "y": 40})
    assert (vars(view(page))["from"], view(page).top) == (None, "")
    assert (view(page).step, view(page).layer) == (now.step, now.layer)  # the two clicks of it move nothing
    page.mouse.move(*box(page, "curves")(0.5, 0.5))
    page.keyboard.down("Shift")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Shift")
    until(page, f"{PAGE}.tandv.state.view.from !== null")
    assert click(page, "profile", 0.5, 0.99).layer == "head"
    page.keyboard.press("0")
    strip = page.locator(".tandv .brush").bounding_box()
    page.mouse.move(strip["x"] + 84 + 0.25 * (strip["width"] - 146), strip["y"] + 10)
    page.mouse.down()
    page.mouse.move(strip["x"] + 84 + 0.75 * (strip["width"] - 146), strip["y"] + 10, steps=3)
    page.mouse.up()
    assert (vars(view(page))["from"], view(page).to) == (12, 37)
    page.locator(".tandv .brush").focus()
    page.keyboard.press("ArrowRight")
    assert vars(view(page))["from"] == 15


def test_choices_of_the_header(opened):
    page = opened("#tt=Activation&layer=head&step=3")
    for label, value in (("tensor", "Weight"), ("statistic", "max_abs"), ("format", "fp16"), ("colour", "change")):
        page.get_by_label(label, exact=True).select_option(value)
    now = view(page)
    assert (now.tt, now.metric, now.format, now.colour) == ("Weight", "max_abs", "fp16", "change")
    page.get_by_role("button", name="pin").click()
    assert view(page).pin == 3 and "pin 3" in text(page, ".buttons")


def test_scrub_and_play(opened):
    page = opened("#tt=Activation&layer=head&step=40")
    page.get_by_label("go to step").fill("7")
    page.keyboard.press("Enter")
    assert view(page).step == 7
    page.get_by_label("step", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert view(page).step == 8
    assert page.get_by_label("step", exact=True).get_attribute("aria-valuetext") == "step 8"
    page.locator(".tandv .panel.heat .title").click()
    page.get_by_label("go to step").fill("46")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.keyboard.press(" ")
    until(page, f"{PAGE}.tandv.state.view.step", 49)
    until(page, "document.querySelector('.tandv .play').ariaLabel", "play the steps")


def test_the_address_is_the_state(opened):
    page = opened("#tt=Activation&layer=embed&step=12&from=5&to=30&pin=9&colour=change&format=fp16&theme=light")
    now = view(page)
    press(page, "ArrowRight")
    until(page, "location.hash.includes('step=13')")
    address = page.evaluate("location.hash")
    assert "metric" not in address and "follow" not in address
    page.reload()
    assert vars(view(page)) == {**vars(now), "step": 13}
    page.evaluate("location.hash = '#tt=Gradient&layer=head&step=2'")
    until(page, f"{PAGE}.tandv.state.view.step", 2)
    assert (view(page).colour, view(page).tt, view(page).pin) == ("value", "Gradient", None)


def test_an_address_that_cannot_be_meant_is_said(opened):
    page = opened(
        "#step=77&layer=%3Cimg%20src=x%20onerror=alert(1)%3E&tt=Activation&metric=constructor&evil=1&run=9&pin=x"
    )
    now = view(page)
    assert (now.step, now.metric, now.run, now.pin) == (49, "rm2", 0, None)
    said = text(page, ".notes")
    for words in (
        "step 77 was not logged",
        'has no layer "<img',
        'no statistic "constructor"',
        "there is no run 9",
        "pin",
    ):
        assert words in said
    page.get_by_role("button", name="hide these notes").click()
    assert page.locator(".tandv .notes").is_hidden()


def test_a_phase_that_the_run_does_not_have_is_said(opened):
    page = opened("#phase=nosuch&tt=Activation&layer=embed&step=2")
    assert (view(page).phase, view(page).layer) == ("", "embed")
    assert "nosuch" in text(page, ".notes")
    page.evaluate(f"{PAGE}.tandv.state.set({{ rank: '7' }})")
    until(page, f"{PAGE}.tandv.state.view.rank", "")
    settle(page)
    assert "7" in text(page, ".passing") and text(page, ".pill") == "finished"


def test_phases_are_a_choice(watched):
    log = logframe.example_log(steps=4)
    log["metadata", "phase"] = (log["metadata", "step"] % 2).map({0: "train", 1: "val"}).astype("category")
    with serving(answers_of(log), title="run") as page:
        shown = _opened(watched, page.address)
        assert shown.get_by_label("phase", exact=True).input_value() == "train"
        shown.get_by_label("phase", exact=True).select_option("val")
        assert view(shown).phase == "val"
        assert shown.evaluate(f"[...{PAGE}.tandv.ctx.meta.steps]") == [1, 3]
        assert view(shown).step in (1, 3)


def test_in_a_cell_of_a_notebook_the_keys_and_the_address_are_not_its_own(opened):
    page = opened("#tt=Activation&layer=head&step=20")
    page.evaluate("""async () => {
        const { mount } = await import('/app.js'), { served } = await import('/source.js');
        const cell = document.createElement('div');
        cell.id = 'cell';
        document.body.append(cell);
        window.heard = [];
        const view = { tt: 'Activation', layer: 'head', step: 5 };
        await mount(cell, served(), { view, changed: now => window.heard.push(now) });
    }""")
    steps = f"[{PAGE}.tandv.state.view.step, document.getElementById('cell').tandv.state.view.step]"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(steps) == [21, 5]
    page.locator("#cell .panel.heat .title").click()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(steps) == [21, 6]
    until(page, "window.heard.at(-1)?.step", 6)
    until(page, "location.hash.includes('step=21')")
    until(page, "document.querySelectorAll('#cell .findings li button').length > 0")  # when they have been found
    assert page.locator("#cell .findings a").count() == 0
    # What is shown first is told without what is at its default.
    assert page.evaluate("Object.keys(window.heard[0]).sort()") == ["layer", "step", "tt"]


def test_two_runs(opened):
    page = opened("#tt=Activation&layer=head&step=20")
    page.get_by_label("against", exact=True).select_option("1")
    assert view(page).other == 1
    assert page.evaluate(f"{PAGE}.tandv.ctx.data.heat.base").startswith("log2 of rm2 over that of run 1")
    assert page.evaluate(f"{PAGE}.tandv.ctx.data.other.label") == "run 1"
    assert page.get_by_label("colour", exact=True).is_disabled()
    for key in ("ArrowRight", "ArrowLeft"):  # the chip says both values at the cursor, however late they come
        step = press(page, key).step
        shown = page.evaluate(f"['at', 'other'].map(k => {PAGE}.tandv.ctx.data[k]).map(c => [c.step, c.stats.rm2])")
        mine, theirs = page.locator(".tandv .curves .chip", has_text="rm2 of").inner_text().split("┅")
        assert [at for at, _ in shown] == [step, step]
        assert [float(v.split()[-1]) for v in (mine, theirs)] == [pytest.approx(v, rel=1e-3) for _, v in shown]
    page.get_by_label("two runs", exact=True).select_option("side")
    settle(page)
    assert page.evaluate(f"{PAGE}.tandv.ctx.data.heat.base") is None
    shown = page.locator(".tandv .heats .panel:visible")
    assert shown.count() == 2 and shown.nth(0).bounding_box()["width"] == shown.nth(1).bounding_box()["width"]
    until(page, "document.querySelector('.tandv .notes').innerText.includes('run 1 goes on to step 59')")
    page.get_by_label("run", exact=True).select_option("1")
    now = view(page)
    assert (now.run, now.other) == (1, -1) and text(page, "h1") == "run 1"


def test_two_runs_begin_compared(watched, served):
    page = _opened(watched, served.address)
    assert view(page).other == 1 and text(page, "h1") == "run 0 and run 1"
    page.get_by_label("against", exact=True).select_option("-1")
    settle(page)
    until(page, "location.hash.includes('other=-1')")


def test_names_are_text(watched):
    log = logframe.example_log()
    name = ("metadata", "name")
    log[name] = log[name].astype(str).replace(EVIL).astype("category")
    curves = {"<img src=y onerror=alert(3)>": pd.Series([1.0, 2.0, 3.0])}
    with serving(answers_of(log, curves), title="<b>&") as page:
        shown = _opened(watched, page.address)
        rows = shown.locator(".tandv .tree .row").all_inner_texts()
        assert any("<img src=x onerror=alert(1)>" in row for row in rows)
        for evil in EVIL.values():
            shown.evaluate(f"layer => {PAGE}.tandv.state.set({{ layer }})", evil)
            settle(shown)
            assert text(shown, ".where-now .layer") == evil
        shown.mouse.move(*box(shown, "heat")(0.5, 0.1))
        settle(shown)
        assert shown.locator(".tandv img").count() == 0
        assert shown.evaluate("document.querySelectorAll('script').length") == 1


def test_a_screen_reader_reads_the_cursor(opened):
    page = opened("#tt=Gradient&layer=head&step=49")
    until(page, "document.querySelector('.tandv .unseen p').textContent.includes('4,096 NaN')")
    assert page.locator(".tandv [role=treeitem][aria-selected=true]").get_attribute("title") == "head"
    names = page.evaluate("""() => [...document.querySelectorAll('.tandv button, .tandv select, .tandv input')]
        .filter(e => e.offsetParent && !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).length""")
    assert names == 0


def test_a_phone_has_one_column_with_the_findings_first(opened):
    page = opened()
    page.set_viewport_size({"width": 390, "height": 844})
    settle(page)
    assert page.evaluate("document.scrollingElement.scrollWidth") == 390
    tops = [
        page.locator(f".tandv .panel.{name}").bounding_box()["y"]
        for name in ("findings", "curves", "heat", "exponents")
    ]
    assert tops == sorted(tops)
    assert page.locator(".tandv .panel.heat").bounding_box()["width"] > 350


def test_a_server_that_ends_is_said_and_another_is_found(watched):
    with serving(answers_of(logframe.example_log()), title="run") as page:
        shown = _opened(watched, page.address, "#tt=Activation&layer=head&step=20")
        shown.route("**/q?*", lambda route: route.fulfill(status=403, body="open the address that tandv printed"))
        shown.evaluate(f"{PAGE}.tandv.state.set({{ step: 3, metric: 'std', tt: 'Gradient', layer: 'embed' }})")
        until(shown, "document.querySelector('.tandv .pill').textContent", "✕ no answer")
        # What is drawn is what was read before: its labels say so, and what is chosen now has no value.
        settle(shown)
        named = {p: text(shown, f".panel.{p} > .bar") for p in ("heat", "profile", "exponents", "histogram")}
        assert "Activation · rm2" in named["heat"] and "rm2 at step 20" in named["profile"]
        assert "exponents of head" in named["exponents"] and "step 20" in named["histogram"]
        assert "this Activation at step 20" in text(shown, ".formats .caption")
        assert "std" not in text(shown, ".where-now")
        at_3 = shown.evaluate(f"(l => l.high[0][l.starts.indexOf(3)])({PAGE}.tandv.ctx.data.lines)")
        assert float(text(shown, ".curves .chip:has-text('rm2 of head')").split()[-1]) == pytest.approx(at_3, rel=1e-3)
        tables = f"Object.values({PAGE}.tandv.ctx.panels).flatMap(p => p.file.table()?.about ?? []).join()"
        about = shown.evaluate(tables)
        assert about.count("Activation") == 4 and not {"Gradient", "std"} & set(about.replace(",", " ").split())
        with shown.expect_download() as saved:
            shown.evaluate("[...document.querySelectorAll('.tandv .exponents .save button')].at(-1).click()")
        assert saved.value.suggested_filename == "run_0-exponents-Activation-head-rm2.csv"
        assert "open the address that tandv printed. What was read before is shown" in text(shown, ".notes")
        shown.unroute("**/q?*")
        until(shown, "document.querySelector('.tandv .pill').textContent", "finished")
        until(shown, f"{PAGE}.tandv.ctx.data.at.step", 3)
        assert text(shown, ".passing") == "the connection is back"


def test_steps_of_a_running_run_appear_and_are_followed(watched, tmp_path):
    log = logframe.example_log(steps=40)
    (tmp_path / "parts").mkdir()

    def write(first, last):
        part = logframe.concat([logframe.select(log, step=slice(first, last))])
        aside = tmp_path / "parts" / f".{first:06d}.parquet"
        write_parquet(part, aside)
        aside.rename(aside.with_name(aside.name[1:]))

    def status(**about):
        (tmp_path / "run.json").write_text(json.dumps({"status": "running", **about}))

    status(**this_process())
    write(0, 10)
    with serving(answers_of(tmp_path), title="run") as page:
        shown = _opened(watched, page.address, "#tt=Activation&layer=head&step=4")
        until(shown, "document.querySelector('.tandv .pill').textContent", "● running")
        write(10, 20)
        until(shown, f"{PAGE}.tandv.ctx.meta.steps.length", 20)
        assert view(shown).step == 4
        assert press(shown, "f").step == 19
        shown.evaluate(f"{PAGE}.tandv.state.set({{ from: 10, to: 19 }})")
        write(20, 30)
        until(shown, f"{PAGE}.tandv.state.view.step", 29)
        now = view(shown)
        assert (vars(now)["from"], now.to) == (20, 29)
        assert shown.evaluate(f"{PAGE}.tandv.ctx.data.heat.starts.at(-1)") == 29
        # A trainer that was killed leaves a page that can be read.
        status(host=this_process()["host"], process=os.getpid(), process_key="another boot/pid:[1]/1@1")
        then = time.time() - 3600
        for path in (tmp_path / "run.json", *(tmp_path / "parts").iterdir()):
            os.utime(path, (then, then))
        until(shown, "document.querySelector('.tandv .pill').textContent", "killed")
        assert press(shown, "Home").step == 0
        assert "step 0 of 29" in text(shown, ".where-now")
