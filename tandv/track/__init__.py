"""From a live model to a log: trackers for torch and JAX, and what they share."""
