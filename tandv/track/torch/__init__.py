"""Track a PyTorch model: `with track(model, optimizer=opt) as tracker:` and `tracker.step()`."""

from tandv.messages import missing, too_old

try:
    import torch
except ModuleNotFoundError as error:
    raise missing("torch", "torch", "tandv.track.torch") from error
if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13):  # as pyproject.toml declares
    raise too_old("torch", torch.__version__, "2.13", "tandv.track.torch")

from tandv.track.torch._stash import stash_all_stats_and_hist, stash_full_tensor, stash_hist, stash_scalar_stats
from tandv.track.torch._track import track
from tandv.track.torch._tracker import TorchTracker

__all__ = [
    "TorchTracker",
    "stash_all_stats_and_hist",
    "stash_full_tensor",
    "stash_hist",
    "stash_scalar_stats",
    "track",
]
