"""Logs, runs while they are recorded, curves and pictures in other tools: W&B, TensorBoard, MLflow and trackio.

None of them is imported before it is used.
"""

from tandv.exports.mlflow import to_mlflow
from tandv.exports.tensorboard import to_tensorboard
from tandv.exports.trackio import to_trackio
from tandv.exports.wandb import to_wandb

__all__ = ["to_mlflow", "to_tensorboard", "to_trackio", "to_wandb"]
