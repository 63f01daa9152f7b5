"""Other places that show a run: Weights & Biases and TensorBoard. Neither is imported before it is used."""

from tandv.integrations._tensorboard import to_tensorboard
from tandv.integrations._wandb import to_wandb

__all__ = ["to_tensorboard", "to_wandb"]
