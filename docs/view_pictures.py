"""Make the pictures of a run's page and the recording of it: a small GPT in which a layer grows until it overflows, and
the same one without that.

python docs/view_pictures.py
"""

import io
import tempfile
from pathlib import Path

import numpy as np
import torch
from page_pictures import CHROMIUM, HERE, SIZE, shot
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tandv import demo
from tandv.demo.torch_gpt import Training
from tandv.page.answers import Answers
from tandv.page.opening import measured, opened
from tandv.page.server import serving

STEPS, FAULT, CONTEXT, BATCH = 150, 115, 64, 16
GROWTH = 6.5  # a step, of one matrix
PHONE: ViewportSize = {"width": 390, "height": 844}
# Further states of the page of both runs, by the name of the picture: where it is opened, and on which screen.
STATES: dict[str, tuple[str, ViewportSize]] = {
    "page_healthy": ("run=1&other=-1", SIZE),
    "page_divided": ("other=1", SIZE),
    "page_side_by_side": ("other=1&compare=side", SIZE),
    "page_zoomed_pinned": (
        "other=-1&tt=Activation&layer=layers.2.feed_forward.w2&step=122&pin=112&from=100&to=130",
        SIZE,
    ),
    "page_change": ("other=-1&colour=change&format=none", SIZE),
    "page_gradients": ("other=-1&tt=Gradient&layer=head&step=110&metric=max_abs&format=e5m2", SIZE),
    "page_curves": ("view=curves", SIZE),
    "page_phone": ("other=-1", PHONE),
}
FRAME, WIDE = 620, 960  # milliseconds and pixels of the recording


def trained(folder: Path, growth: float = GROWTH) -> Path:
    """Return a run in which a matrix of the third layer grows from a step on."""
    data, chance = demo.text(), np.random.default_rng(0)
    training = Training(0, CONTEXT)
    fault = dict(training.model.named_modules())["layers.2.feed_forward.w2"]
    tracker = training.track(folder)
    with tracker:
        for step in range(STEPS):
            if step >= FAULT:
                with torch.no_grad():
                    fault.weight.mul_(growth)
            first = chance.integers(len(data) - CONTEXT - 1, size=(BATCH, 1))
            training.step(tracker, data[first + np.arange(CONTEXT + 1)])
    return tracker.path


def calm(tab: Page) -> None:
    """Wait until nothing is asked and painted any more."""
    tab.wait_for_load_state("networkidle")
    tab.wait_for_timeout(400)


def recorded(tab: Page) -> None:
    """Keep as an animation what a user does in twenty seconds."""
    frames: list[Image.Image] = []

    def keep(times: int = 1) -> None:
        calm(tab)
        image = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
        small = image.resize((WIDE, round(WIDE * image.height / image.width)), Image.Resampling.LANCZOS)
        frames.extend([small.quantize(96, dither=Image.Dither.NONE)] * times)

    def press(*keys: str) -> None:
        for key in keys:
            tab.keyboard.press(key)

    keep(4)
    for _ in range(2):  # what came first, one after the other
        press("n")
        keep(2)
    tab.click("text=/overflows e4m3/ >> nth=0")
    keep(3)
    press("Shift+ArrowLeft", "p")
    for _ in range(7):  # from step to step: the exponents rise over those of the step that is pinned
        press(*["ArrowRight"] * 4)
        keep()
    heat = tab.locator(".heat .over").bounding_box()
    assert heat is not None
    tab.mouse.move(heat["x"] + 0.6 * heat["width"], heat["y"] + 0.2 * heat["height"])
    tab.mouse.down()
    tab.mouse.move(heat["x"] + 0.85 * heat["width"], heat["y"] + 0.7 * heat["height"], steps=4)
    keep(2)
    tab.mouse.up()
    keep(3)
    press("m", "m")
    keep(2)
    press("0", "M", "M", "/")
    tab.keyboard.type("feed.*w2", delay=20)
    keep(3)
    press("Escape", "Escape", "c")
    keep(4)
    path = HERE / "page.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=FRAME, loop=0, optimize=True)
    print(f"{path.stat().st_size:9,} {path}, {len(frames) * FRAME / 1000:.0f} s")


def broken(chromium: Browser, folder: Path) -> None:
    """Keep what the page shows of `tandv demo --break overflow`."""
    demo.run(out=folder, broken="overflow")
    answers = Answers([one.run for one in opened([folder], measured)])
    with serving(answers) as served:
        tab = chromium.new_page(viewport=SIZE, color_scheme="light")
        tab.goto(served.address)
        found(tab)
        tab.select_option("select:has(option[value=fp16])", "fp16")
        tab.click(".findings .list li:has(.error) > *")
        calm(tab)
        shot(tab, HERE / "demo_overflow.png")
        tab.close()
    answers.close()


def found(tab: Page) -> None:
    """Wait until the rules have said what they find: the page first asks whether they have."""
    tab.wait_for_selector(".tandv .findings")
    calm(tab)
    tab.wait_for_selector(".tandv .findings:not(:has-text('being looked for'))", state="attached")
    calm(tab)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = trained(Path(folder) / "diverged")
        healthy = trained(Path(folder) / "healthy", growth=1.0)
        answers = Answers([one.run for one in opened([run], measured)])
        with serving(answers) as served, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=CHROMIUM)
            for name, scheme in (("page", "light"), ("page_dark", "dark")):
                tab = chromium.new_page(viewport=SIZE, color_scheme=scheme)
                tab.goto(served.address)
                tab.wait_for_selector(".tandv h1:has-text('diverged')")
                found(tab)
                shot(tab, HERE / f"{name}.png")
            recorded(tab)
            chromium.close()
        answers.close()
        answers = Answers([one.run for one in opened([run, healthy], measured)])
        with serving(answers) as served, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=CHROMIUM)
            context = chromium.new_context(color_scheme="light")
            for name, (state, size) in STATES.items():
                tab = context.new_page()
                tab.set_viewport_size(size)
                tab.goto(served.address)
                tab.wait_for_selector(".tandv h1")
                tab.goto(f"{served.address.partition('?')[0]}#{state}")
                tab.reload()
                calm(tab)
                found(tab)
                shot(tab, HERE / f"{name}.png")
                tab.close()
            broken(chromium, Path(folder) / "demo")
            chromium.close()
        answers.close()


if __name__ == "__main__":
    main()
