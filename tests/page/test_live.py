"""The page of a run that goes on, in a browser: steps appear, are followed, and a killed trainer leaves it whole."""

import contextlib
import shutil
import signal
import subprocess
import sys

import pytest

from in_browser import CHROMIUM, browser
from tandv.page.answers import Answers
from tandv.page.opening import measured, opened
from tandv.page.server import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: install one by `apt-get install chromium`"),
]
# A step for each line that it reads.
TRAINER = """
import sys
import torch
from tandv.track.torch import track
model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), 0.01)
with track(model, optimizer=optimizer, path=sys.argv[1], offload_inc=1) as tracker:
    print(tracker.path, flush=True)
    for line in sys.stdin:
        optimizer.zero_grad()
        loss = model(torch.ones(4, 8)).square().mean()
        loss.backward()
        optimizer.step()
        tracker.step(loss=loss)
        print("stepped", flush=True)
"""
OF_PAGE = "document.getElementById('tandv').tandv"
STATE = f"""() => {{
    const {{ ctx, state }} = {OF_PAGE};
    return [ctx.meta.steps.at(-1), state.view.step, ctx.meta.status];
}}"""


@contextlib.contextmanager
def training(folder):
    """Run a trainer; yield its process, the run's folder, and a function that lets it take some steps."""
    with subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:

        def steps(number):
            for _ in range(number):
                process.stdin.write("\n")
                process.stdin.flush()
                assert process.stdout.readline() == "stepped\n"

        try:
            yield process, process.stdout.readline().strip(), steps
        finally:
            process.kill()


def until(page, expression, wanted):
    """Wait until an expression in the page has a value that is wanted; return it. CSP forbids `wait_for_function`."""
    for _ in range(6000):
        found = page.evaluate(expression)
        if wanted(found):
            return found
        page.wait_for_timeout(100)
    raise AssertionError(f"still {found}")


def test_a_run_is_followed_until_its_trainer_is_killed_and_its_folder_is_gone(tmp_path):
    with training(tmp_path / "run") as (process, place, steps), contextlib.ExitStack() as stack:
        answers = Answers([one.run for one in opened([place], measured)])
        served = stack.enter_context(serving(answers))
        page = stack.enter_context(browser(tmp_path / "profile"))
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(served.address)
        page.wait_for_selector(".tandv .pill:has-text('running')")
        page.wait_for_selector(".tandv .notes:has-text('no rows yet')")  # not one step was taken
        steps(4)
        until(page, STATE, lambda found: found[0] is not None and found[0] > 0)
        page.keyboard.press("f")  # follow
        last = until(page, STATE, lambda found: found[0] == found[1])[0]
        steps(4)
        until(page, STATE, lambda found: found[0] > last and found[1] == found[0])
        process.send_signal(signal.SIGKILL)
        process.wait()
        shown = until(page, STATE, lambda found: found[2] == "killed")
        page.wait_for_selector(".tandv .pill:has-text('killed')")
        page.evaluate(f"() => {OF_PAGE}.state.set({{ step: 1 }})")
        until(page, STATE, lambda found: found[1] == 1 and found[0] == shown[0])
        shutil.rmtree(place)
        page.wait_for_selector(".tandv .notes:has-text('not there any more')")
        until(page, STATE, lambda found: found[0] == shown[0])  # what was read is shown
        assert errors == []
