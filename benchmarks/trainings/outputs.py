"""Gradients of classifiers' outputs, (p - onehot) / N, made up for many numbers of classes and stages of training.

Nearly all of their squares come from the N values at the true classes, which lie in one or two powers of two.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

SIZES = ((10, 1024), (100, 256), (1000, 64), (1000, 512), (8192, 256))  # classes, examples
RARITY = (0.0, 1.0, 1.5)  # of the class of rank k: 1 / k^rarity
# Spread of the logits about the log frequencies of the classes, how much of these they have, and of the true one.
STAGES = {
    "at the start": (0.02, 0.0, 0.0),
    "larger logits": (0.3, 0.0, 0.0),
    "frequencies learned": (0.1, 1.0, 0.0),
    "some learned": (1.2, 0.7, 2.0),
    "half learned": (1.2, 0.7, 5.0),
    "most learned": (1.2, 0.7, 8.0),
    "learned": (1.2, 0.7, 12.0),
}


class Output(NamedTuple):
    """A gradient of a classifier's outputs: the stage of training, and its values."""

    stage: str
    values: np.ndarray


def outputs(seed: int = 0) -> Iterator[Output]:
    """Return one for each number of classes and of examples, rarity and stage."""
    random = np.random.default_rng(seed)
    for classes, examples in SIZES:
        for rarity in RARITY:
            often = 1 / np.arange(1, classes + 1) ** rarity
            often /= often.sum()
            for stage, (spread, learned, sure) in STAGES.items():
                true = np.arange(examples), random.choice(classes, examples, p=often)
                logits = learned * np.log(often) + spread * random.standard_normal((examples, classes))
                logits[true] += sure * random.gamma(2, 0.5, examples)
                p = np.exp(logits - logits.max(1, keepdims=True))
                p /= p.sum(1, keepdims=True)
                p[true] -= 1
                yield Output(stage, (p / (examples if random.random() < 0.5 else 1)).astype(np.float32).ravel())
