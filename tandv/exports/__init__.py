"""A log, or a run while it is recorded, in other tools: Weights & Biases and TensorBoard.

Neither is imported before it is used.
"""

from tandv.exports.tensorboard import to_tensorboard
from tandv.exports.wandb import to_wandb

__all__ = ["to_tensorboard", "to_wandb"]
