"""Other places that show a run: Weights & Biases and TensorBoard. Neither is imported before it is used."""

from tandv.exports import *  # noqa: F403
from tandv.exports import __all__ as __all__
