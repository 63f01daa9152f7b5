"""Track a JAX model (flax.linen, flax.nnx, equinox or plain functions) from inside the compiled step."""

from tandv.messages import missing

try:
    import jax
except ModuleNotFoundError as error:
    raise missing("jax", "jax", "tandv.track.jax") from error
if not hasattr(jax, "make_user_context"):
    raise ImportError(
        f"tandv.track.jax needs jax 0.7.2 or newer, not {jax.__version__}; run `pip install --upgrade 'jax>=0.7.2'`"
    )

from tandv.track.jax._measured import Measurements, measured
from tandv.track.jax._stash import stash_all_stats_and_hist, stash_full_tensor, stash_hist, stash_scalar_stats
from tandv.track.jax._tag import tag
from tandv.track.jax._track import track
from tandv.track.jax._tracker import JaxTracker

__all__ = [
    "JaxTracker",
    "Measurements",
    "measured",
    "stash_all_stats_and_hist",
    "stash_full_tensor",
    "stash_hist",
    "stash_scalar_stats",
    "tag",
    "track",
]
