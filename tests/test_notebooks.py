"""The example notebooks run from top to bottom, and are kept without outputs."""

import re
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((Path(__file__).parents[1] / "example-notebooks").glob("*.ipynb"))
# What a notebook says that one sees in it, in the words that it prints: training may turn out otherwise.
SHOWS = {
    "checkpoints-and-transitions": r"test_accuracy +steps .* 0\.0\d+ → (0\.9|1)",
    "coordinate-check": r"(?s)standard: The parametrisation does not transfer.*µP: The sizes of all 23 outputs are con",
    "grokking": r"train_acc reached 0\.95 .* test_acc reached 0\.95 .* steps later",
}
# Training on fewer samples than for a reader, where what a notebook says of its outcome is not asked for above.
SMALLER = {
    "checkpoints-and-transitions": {"if step % 25 == 0:": "if step % 50 == 0:"},
    "coordinate-check": {"WIDTHS, SEEDS = (32, 64, 128, 256), (0, 1, 2)": "WIDTHS, SEEDS = (32, 64, 128), (0, 1, 2)"},
    "grokking": {"train(0.0, 1500)": "train(0.0, 400)"},
    "induction-head": {
        "repeating(64, generator)": "repeating(8, generator)",
        "repeating(32, torch": "repeating(8, torch",
    },
    "zero-gradient-dynamics": {
        "BATCH, EPOCHS = 64, 20": "BATCH, EPOCHS = 176, 20",
        "model(images[chosen]), labels[chosen]": "model(images[chosen[:8]]), labels[chosen[:8]]",
        "step=slice(300, 440)": "step=slice(100, 160)",
    },
}


@pytest.fixture(scope="module")
def kernel():
    """One kernel for all notebooks: to start one and import what they do takes longer than most of them."""
    from jupyter_client import AsyncKernelManager
    from nbclient import NotebookClient

    client = NotebookClient(nbformat.v4.new_notebook(), km=AsyncKernelManager(), timeout=1800, startup_timeout=1800)
    with client.setup_kernel(cleanup_kc=True):
        yield client


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_what_it_says(path, kernel, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    for of_reader, here in SMALLER.get(path.stem, {}).items():
        (cell,) = [cell for cell in notebook.cells if of_reader in cell.source]
        cell.source = cell.source.replace(of_reader, here)
    forget = nbformat.v4.new_code_cell(f"%reset -f\nimport os\nos.chdir({str(tmp_path)!r})\ndel os")
    notebook.cells.insert(0, forget)
    kernel.nb = notebook
    kernel.execute()
    outputs = [one for cell in notebook.cells if cell.cell_type == "code" for one in cell.outputs]
    printed = "".join(one.text for one in outputs if one.output_type == "stream")
    assert re.search(SHOWS.get(path.stem, ""), printed)
    for cell in notebook.cells:
        if "viz.interactive(" in cell.source and cell.cell_type == "code":  # a picture is kept, and no repr below it
            assert [one.output_type for one in cell.outputs] == ["display_data", "display_data"]
            view, again = (set(one.data) for one in cell.outputs)
            assert {"image/png", "application/vnd.jupyter.widget-view+json"} < view and again == {"text/html"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_holds_no_outputs(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert cells and all(not cell.outputs and cell.execution_count is None for cell in cells)
