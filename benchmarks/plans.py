"""Is a plan from a log worth it? Small trainings with emulated casts: the plan beside rules of thumb and chance.

A network is trained as it is and tracked; `tandv.whatif_plan` says which inputs, weights and output gradients keep what
is asked for in a format. Then it is trained with these casts, and with those of other plans: all tensors cast, first
and last layer high, as many tensors high as in the plan but at random, the same with the output layer high, only the
riskiest one high. It is trained twice as it is, then from weights that are multiplied by 1 ± 1e-6: the noise floor.

    python benchmarks/plans.py gpt e4m3 none 0 1 2 3 4    # network, format, scale, seeds; minutes for each seed
    python benchmarks/plans.py --table                    # benchmarks/results/plans.md from all that was run
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import json
import tempfile
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from benchmarks.hardware import hardware, write
from benchmarks.trainings.nets import GPT, Architecture, classification, convolutions, images, letters
from tandv.analysis.whatif import whatif_plan
from tandv.probes.torch import apply_plan
from tandv.track.torch import track

NETWORKS = {
    "gpt": Architecture(lambda _: GPT(64, 3, 48), letters(8, 48), classification),
    "cnn": Architecture(lambda _: convolutions(16), images(32), classification),
}
STEPS, EVERY, RATE, HELD = 150, 15, 3e-3, 8
KINDS = ("Input", "Weight", "Gradient")
WANT = "sqnr=15,underflow=10%"
KEPT = Path(__file__).parent / "results" / "plans.json"
Cell = tuple[str, str]  # layer, tensor type


def trained(
    network: str, seed: int, plan: dict[str, Any] | None = None, jitter: float = 0.0, path: Any = None
) -> float:
    """Train, with the casts of a plan or tracked into a folder, and return the loss on batches that it has not seen."""
    architecture = NETWORKS[network]
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    model = architecture.build({})
    with torch.no_grad():
        for one in model.parameters() if jitter else ():
            one.mul_(1 + jitter * torch.randn_like(one))
    optimiser = torch.optim.AdamW(model.parameters(), RATE)
    applied = apply_plan(model, plan) if plan else None
    tracker = track(model, path=path, inputs=True, every=EVERY) if path else None
    if tracker is not None:
        tracker.start()
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / 15, max(0.02, (STEPS - step) / (0.5 * STEPS)))
        optimiser.zero_grad()
        loss = architecture.loss(model, architecture.batch(random))
        loss.backward()
        optimiser.step()
        if tracker is not None:
            tracker.step(loss=loss.item())
    if tracker is not None:
        tracker.close()
    model.eval()
    unseen = torch.Generator().manual_seed(10_000)
    with torch.no_grad():
        held = float(np.mean([float(architecture.loss(model, architecture.batch(unseen))) for _ in range(HELD)]))
    if applied is not None:
        applied.remove()
    return held


def cells_of(network: str) -> list[Cell]:
    """Return the operands of all linear layers and convolutions, first layer to last."""
    modules = NETWORKS[network].build({}).named_modules()
    names = [name for name, one in modules if isinstance(one, nn.Linear | nn.Conv2d)]
    return [(name, kind) for name in names for kind in KINDS]


def casts(cells: list[Cell], high: set[Cell], low: str, scale: str) -> dict[str, Any]:
    """Return the plan that casts all cells but some."""
    layers: dict[str, dict[str, str | None]] = {}
    for name, kind in cells:
        layers.setdefault(name, {})[kind] = None if (name, kind) in high else low
    return {"scale": scale, "layers": layers}


def compare(network: str, low: str, scale: str, seed: int) -> list[dict[str, Any]]:
    """Return the held-out loss of each plan and how many tensors it keeps high."""
    cells = cells_of(network)
    layers = list(dict.fromkeys(name for name, _ in cells))
    rows: list[dict[str, Any]] = []

    def note(name: str, held: float, high: int) -> None:
        rows.append({"network": network, "format": low, "scale": scale, "seed": seed, "plan": name})
        rows[-1] |= {"held": held, "high": high, "of": len(cells)}
        print(json.dumps(rows[-1]), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        note("as it is", trained(network, seed, path=path), len(cells))
        made = whatif_plan(path, WANT, [low], scale)
    note("as it is, weights × (1 ± 1e-6)", trained(network, seed, jitter=1e-6), len(cells))
    order = [(one.layer, one.tensor_type) for one in made.choices if (one.layer, one.tensor_type) in cells]
    high = {
        (one.layer, one.tensor_type)
        for one in made.choices
        if one.format is None and (one.layer, one.tensor_type) in cells
    }
    random = np.random.default_rng(seed)
    output = [one for one in cells if one[0] == layers[-1]]
    others = [one for one in cells if one[0] != layers[-1]]
    ends = {one for one in cells if one[0] in (layers[0], layers[-1])}

    def drawn(of: list[Cell], n: int) -> set[Cell]:
        return {of[i] for i in random.choice(len(of), min(max(n, 0), len(of)), replace=False)}

    plans = {
        "all cast": set(),
        "first and last layer high": ends,
        "random tensors high": drawn(cells, len(high)),
        "random and the output layer high": set(output) | drawn(others, len(high) - len(output)),
        "riskiest tensor high": set(order[:1]),
        "plan of the log": high,
    }
    for name, kept in plans.items():
        note(name, trained(network, seed, casts(cells, kept, low, scale)), len(kept))
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the tables as Markdown."""
    lines = ["# Plans from a log against rules of thumb", "", hardware("torch", "numpy"), ""]
    lines += [
        f"`python benchmarks/plans.py`: {STEPS} steps, the rate decays; a tensor is kept high where it fails {WANT} at "
        f"any of the steps that were logged (every {EVERY}th). Held-out loss, mean over seeds (lowest to highest).",
    ]
    whole = pd.DataFrame(rows)
    for (network, low, scale), part in whole.groupby(["network", "format", "scale"], sort=False):
        seeds = part["seed"].nunique()
        lines += [
            "",
            f"## {network}, {low}, scale {scale}, {seeds} seeds",
            "",
            "| plan | tensors high | held-out loss |",
        ]
        lines.append("|---|---|---|")
        for plan, these in part.groupby("plan", sort=False):
            held, high = these["held"], these["high"]
            kept = f"{high.min()}" if high.min() == high.max() else f"{high.min()}–{high.max()}"
            spread = f"{held.mean():.3f} ({held.min():.3f} to {held.max():.3f})"
            lines.append(f"| {plan} | {kept} of {these['of'].iloc[0]} | {spread} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else []
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("run", nargs="*", metavar="WORD", help="network, format, scale and seeds")
    asked = parser.parse_args()
    if not asked.table:
        network, low, scale, *seeds = asked.run
        for seed in map(int, seeds):
            kept = [
                one
                for one in kept
                if (one["network"], one["format"], one["scale"], one["seed"]) != (network, low, scale, seed)
            ]
            kept += compare(network, low, scale, seed)
            KEPT.write_text(json.dumps(kept, indent=0))
    write("plans", table(kept))


if __name__ == "__main__":
    main()
