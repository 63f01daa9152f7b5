"""The order of execution that a run of JAX keeps is that of the trace, the model itself last."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from tandv.log.order import execution_order
from tandv.track.jax import track


class Net(nn.Module):
    """Calls its layers in another order than it declares them in."""

    def setup(self):
        self.zlast, self.alpha, self.mid = (nn.Dense(2) for _ in range(3))

    def __call__(self, x):
        return self.zlast(self.alpha(self.mid(x)))


def test_outputs_are_in_the_order_of_the_trace_and_gradients_in_reverse():
    net, x = Net(), jnp.ones((1, 2))
    p = net.init(jax.random.key(0), x)
    step = jax.jit(jax.grad(lambda p: net.apply(p, x).sum()))
    with track(model_state=p) as tracker:
        for _ in range(2):
            grads = tracker.intercept(step, p)
            tracker.step(p, grads=grads)
    order = execution_order(tracker.path)
    assert order is not None
    assert [name for kind, name in order if kind == "Activation"] == ["mid", "alpha", "zlast", "Net"]
    assert [name for kind, name in order if kind == "Gradient"] == ["Net", "zlast", "alpha", "mid"]
    at = order.index(("Gradient", "alpha"))
    assert order[at + 1 : at + 3] == [("Weight_Gradient", "alpha"), ("Weight_Gradient", "alpha.bias")]
