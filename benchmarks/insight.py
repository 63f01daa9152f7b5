"""What insight costs, section by section.

python benchmarks/insight.py [--write]
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np

from benchmarks.hardware import hardware, write
from tandv.analysis.features import correlation_summary, layerwise_cross_correlation


def median_seconds(call: Callable[[], object], rounds: int = 7) -> float:
    """Return the median of several rounds, after one that does not count."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def layer_correlations() -> str:
    """12 layers of 512 features over a batch of 512: all 78 pairs, 20 million correlations."""
    rng = np.random.default_rng(0)
    outputs = {f"layers.{n}": rng.normal(size=(512, 512)).astype(np.float32) for n in range(12)}
    calls = [
        ("`layerwise_cross_correlation`", lambda: layerwise_cross_correlation(outputs), "2 s"),
        ("`correlation_summary` (mean abs r and CKA, with chance)", lambda: correlation_summary(outputs), ""),
        ("the same with SVCCA", lambda: correlation_summary(outputs, svcca=True), ""),
    ]
    lines = ["| 12 layers × 512 features, batch of 512 | takes | wanted |", "|---|---|---|"]
    lines += [f"| {what} | {median_seconds(call):.2f} s | {wanted} |" for what, call, wanted in calls]
    return "\n".join(lines)


def probes() -> str:
    """A look at a fixed batch of 8 sequences, every 100 steps of a GPT that trains on batches of that size."""
    from benchmarks.training_torch import Training
    from tandv.probes import MEASURES, get_intermediate_outputs
    from tandv.probes.inspection import untouched

    training = Training("gpt")
    tokens = training._batch[:, :-1].clone()
    blocks = [f"layers.{n}" for n in range(4)]

    def of_blocks(model: object, batch: object) -> object:
        found = get_intermediate_outputs(model, batch, blocks)
        return correlation_summary({name: array.mean(axis=1) for name, array in found.items()})

    ways = {
        "`outputs`: of all 54 modules": MEASURES["outputs"],
        "`attention`: 4 layers of 8 heads, recomputed": MEASURES["attention"],
        "`heads`: entropy and three scores of each": MEASURES["heads"],
        "correlations of the four blocks": of_blocks,
    }
    step = median_seconds(training.step, 15)
    lines = ["| a probe every 100 steps of a GPT of 3.3 M parameters | one look | adds | wanted |", "|---|---|---|---|"]
    for what, measure in ways.items():

        def look(measure: Callable[[object, object], object] = measure) -> None:
            with untouched(training.model) as model:
                measure(model, tokens)

        seconds = median_seconds(look)
        lines.append(f"| {what} | {1e3 * seconds:.0f} ms | {seconds / step:.2f} % | 2 % |")
    return "\n".join([*lines, "", f"A step without a look takes {1e3 * step:.0f} ms, on one thread."])


def of_steps(rounds: int = 7, length: int = 10) -> str:
    """A tracked GPT beside a twin that is tracked with insight too, step by step in turn."""
    from benchmarks.training_torch import Training
    from tandv.track.torch import track

    found = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.ExitStack() as runs:
        twins = []
        for insight in (False, True):
            training = Training("gpt")
            tracker = runs.enter_context(track(training.model, optimizer=training.optimizer, insight=insight))
            twins.append((training, tracker))
        for round_ in range(rounds + 1):
            spent = [0.0, 0.0]
            for number in range(length):
                for which in (0, 1) if number % 2 else (1, 0):  # neither is always the first
                    training, tracker = twins[which]
                    start = time.perf_counter()
                    training.step()
                    tracker.step()
                    spent[which] += time.perf_counter() - start
            if round_:  # the first warms up
                found.append(spent)
        parameters = sum(p.numel() for p in twins[1][0].model.parameters())
        kept = twins[1][1]._parameters.insight
        assert kept is not None
        size = kept.nbytes / parameters
    ratios = [with_insight / tracked for tracked, with_insight in found]
    step = 1e3 * statistics.median(tracked for tracked, _ in found) / length
    said = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} … {max(ratios):.3f})"
    lines = [
        f"| GPT of {parameters / 1e6:.1f} M parameters, everything tracked at every step | is | wanted |",
        "|---|---|---|",
        f"| step with `insight=True` ÷ without: median (lowest … highest round) | {said} | 1.03 |",
        f"| bytes kept per parameter | {size:.2f} | 1 |",
    ]
    return "\n".join([*lines, "", f"A tracked step without insight takes {step:.0f} ms, on one thread."])


SECTIONS = {
    "Layer correlations": layer_correlations,
    "Probes in training": probes,
    "Gradients from step to step": of_steps,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep the tables in benchmarks/results/insight.md")
    arguments = parser.parse_args()
    sections = "\n\n".join(f"## {title}\n\n{section()}" for title, section in SECTIONS.items())
    report = (
        f"# What insight costs\n\n{hardware('numpy', 'scipy', 'scikit-learn', 'torch')}; medians. "
        f"Made by `python benchmarks/insight.py --write`.\n\n{sections}\n"
    )
    print(report)
    if arguments.write:
        write("insight", report)
