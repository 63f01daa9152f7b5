"""The example notebooks run from top to bottom, and are kept without outputs."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

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
    "induction-head": ("repeating(64, generator)", "repeating(8, generator)"),
    "zero-gradient-dynamics": (
        "model(images[chosen]), labels[chosen]",
        "model(images[chosen[:8]]), labels[chosen[:8]]",
    ),
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_what_it_says(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    if path.stem in SMALLER:
        of_reader, here = SMALLER[path.stem]
        (cell,) = [cell for cell in notebook.cells if of_reader in cell.source]
        cell.source = cell.source.replace(of_reader, here)
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(tmp_path)}}).execute()
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
