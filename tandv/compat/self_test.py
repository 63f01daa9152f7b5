"""A self test of the published names: `python -m tandv.compat.self_test` makes a small run and investigates it."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tandv.compat.moments import Phase2Infrastructure
from tandv.curves import write_curves
from tandv.log.arrays import write_arrays


def self_test() -> list[str]:
    """Make a run whose loss falls at a known step, find that moment, compare its weights; return what was found.

    >>> self_test()[-1]
    'Everything works.'

    Raises RuntimeError naming what is not as it was made.
    """
    steps = np.arange(0, 1000, 10)
    fall = 1 / (1 + np.exp(-(steps - 600) / 15))
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "made"
        (run / "checkpoints").mkdir(parents=True)
        ranks = {"rank:fc1": 8 - 4 * fall, "rank:fc2": 8 - 0.001 * steps}
        curves: dict[str, Any] = {"step": steps, "train_loss": 2 - 1.5 * fall, **ranks}
        write_curves(curves, run / "curves.csv")
        for step, size in ((500, 1.0), (700, 2.0)):
            write_arrays(run / "checkpoints" / f"step_{step}.npz", {"fc1.weight": np.full((2, 2), size)})
        infra = Phase2Infrastructure(folder)
        summary = infra.get_experiment_summary("made")
        moments = infra.identify_moments("made")
        if len(moments) != 3 or not moments[0].step < 600 < moments[2].step:
            raise RuntimeError(f"the loss falls around step 600, but moments are {[moment.step for moment in moments]}")
        result = infra.compare_representations(moments[0], moments[2], within=200)
        moved = result.measurements["weights"]["fc1"]["relative"]
        if abs(moved - 1) > 1e-12:
            raise RuntimeError(f"the weights of fc1 double from checkpoint to checkpoint, but moved by {moved}")
    return [
        f"Transitions: {summary['num_jumps']}",
        f"Moments: {', '.join(f'{moment.moment_type} at step {moment.step:,}' for moment in moments)}",
        f"Loss change: {result.measurements['loss_change']:.3g}",
        f"Layers analyzed: {len(result.measurements['layer_changes'])}",
        f"Figures: {', '.join(result.visualizations)}",
        "Everything works.",
    ]


if __name__ == "__main__":
    print("\n".join(self_test()))
