"""What the demo's GPT is in PyTorch and in JAX alike: its size, its initial weights and how it is trained."""

import math

LAYERS, WIDTH, HEADS = 4, 64, 4
VOCABULARY = 256  # bytes
RATE, DECAY = 3e-3, 0.01  # of AdamW
WARM_UP = 20  # steps in which the learning rate rises to RATE; without them the loss spikes in the first 20


def deviation(module: str, layers: int) -> float:
    """Return the standard deviation of the initial weights of a linear layer or an embedding.

    What is added to the residual stream is smaller, so that its variance does not grow with the number of layers.

    >>> deviation("wq", layers=2), deviation("wo", layers=2)
    (0.02, 0.01)

    Args:
        module: the last part of the module's name, such as "wq".
        layers: how many layers the model has.
    """
    return 0.02 / math.sqrt(2 * layers) if module in ("wo", "w2") else 0.02
