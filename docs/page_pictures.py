"""Make the pictures of the charts of checkpoints: two runs of a small network, in light and dark.

python docs/page_pictures.py
"""

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tandv import page
from tandv.analysis.transitions import find_transitions
from tandv.checkpoints import evaluate

HERE = Path(__file__).parent / "pictures"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIZE = {"width": 1280, "height": 720}
STEPS, EVERY = 1500, 25


def train(folder: Path, seed: int, decay: float) -> None:
    """Keep checkpoints of a network that learns a product of its inputs; the learning rate grows tenfold half way."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=decay)
    for step in range(STEPS + 1):
        if step % EVERY == 0:
            torch.save(model.state_dict(), folder / f"step_{step}.pt")
        optimiser.param_groups[0]["lr"] = 3e-4 if step < STEPS / 2 else 3e-3
        x = torch.randn(128, 8)
        loss = (model(x) - x[:, :1] * x[:, 1:2]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def checkpoints(folder: Path) -> Path:
    """Return a page about the checkpoints of two runs."""
    curves: dict[str, Any] = {}
    for name, decay in (("without weight decay", 0.0), ("weight decay 0.3", 0.3)):
        run = folder / name
        run.mkdir()
        train(run, 0, decay)
        curves[name] = evaluate(run)
    found = {name: find_transitions(table) for name, table in curves.items()}
    rule = "faster than before and after"
    return page.save(curves, folder / "page.html", transitions=found, title="checkpoints of two runs", rule=rule)


def shot(tab: Page, path: Path) -> None:
    """Keep what a tab shows, with 256 colours, which takes a third of the bytes and looks the same."""
    image = Image.open(io.BytesIO(tab.screenshot())).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    print(f"{path.stat().st_size:9,} {path}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        address = checkpoints(Path(folder)).as_uri()
        chromium = playwright.chromium.launch(executable_path=CHROMIUM)
        for name, scheme in (("charts", "light"), ("charts_dark", "dark")):
            tab = chromium.new_page(viewport=SIZE, color_scheme=scheme)
            tab.goto(address)
            tab.wait_for_selector(".card .readout span")
            box = tab.locator(".card .plot").nth(1).bounding_box()
            assert box is not None
            tab.mouse.move(box["x"] + 0.62 * box["width"], box["y"] + 0.4 * box["height"])
            tab.wait_for_selector(".tip:visible")
            shot(tab, HERE / f"{name}.png")
        chromium.close()


if __name__ == "__main__":
    main()
