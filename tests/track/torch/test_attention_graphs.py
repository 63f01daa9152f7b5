"""Attention heads of compiled models: the rows of eager ones, and the same training."""

import threading

import pytest
import torch
from torch import nn
from torch.nn import functional

from tandv.track.common import read_pickle
from tandv.track.torch import track

WIDTH, HEADS, LENGTH = 8, 2, 5
COLUMNS = ["numel", "calls", "largest_logit", "attention_entropy", "first_token_share"]
PADDING = torch.zeros(3, LENGTH, dtype=torch.bool)
PADDING[0, 3:] = True


def by_kernel(q, k):
    return functional.scaled_dot_product_attention(q, k, k, is_causal=True)


def by_hand(q, k):
    hidden = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    return (q @ k.transpose(-1, -2) / 2).masked_fill(hidden, -torch.inf).softmax(-1) @ k


class Attention(nn.Module):
    def __init__(self, attend):
        super().__init__()
        self.q, self.k, self.router, self.attend = (
            nn.Linear(WIDTH, WIDTH),
            nn.Linear(WIDTH, WIDTH),
            nn.Linear(8, 3),
            attend,
        )

    def forward(self, x):
        q, k = (layer(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for layer in (self.q, self.k))
        return x + self.attend(q, k).transpose(1, 2).flatten(2) * self.router(x).softmax(-1)[..., :1]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = Attention(by_kernel), Attention(by_hand)
        self.m = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, add_bias_kv=True)

    def forward(self, x):
        x = self.b(self.a(x))
        return x + self.m(x, x, x, key_padding_mask=PADDING, need_weights=False)[0]


def as_it_is(model):
    return model


def whole(model):
    return torch.compile(model, backend="aot_eager")


def called(model):
    return torch.compile(lambda x: model(x), backend="aot_eager")


def trained(way, **more):
    """Return the rows of three tracked steps, and the parameters after five."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = Net()
    call = way(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    with track(model, every=2, **more) as tracker:
        for _ in range(5):
            call(torch.randn(3, LENGTH, WIDTH)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            tracker.step()
    assert not torch.overrides._get_current_function_mode_stack()
    log = read_pickle(tracker.out_path)
    rows = log[log["metadata", "tensor_type"] == "Attention"]
    index = [rows["metadata", "name"].astype(str), rows["metadata", "step"]]
    return rows["scalar_stats"].set_axis(list(zip(*index, strict=True)), axis=0), list(model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("way", [whole, called])
def test_compiled_models_have_the_rows_of_eager_ones_and_train_the_same(way):
    expected, _ = trained(as_it_is, attention=True)
    rows, parameters = trained(way, attention=True)
    # Of a model that a compiled function calls, the first tracked step shows that no module is called outside of it.
    steps = {2, 4} if way is called else {0, 2, 4}
    assert set(rows.index) == {one for one in expected.index if one[1] in steps} and len(rows) == 6 * len(steps)
    for column in COLUMNS:
        assert rows[column].tolist() == pytest.approx(expected.loc[list(rows.index), column].tolist(), abs=1e-6)
    _, untracked = trained(way)
    assert all(map(torch.equal, parameters, untracked))


def elsewhere(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def in_threads(call, model, steps_in, closed_in):
    """Return at which steps there is attention, of steps that end in one thread and a tracker that is closed in one."""
    tracker = track(model, attention=True).start()
    for _ in range(2):
        call(torch.randn(3, LENGTH, WIDTH)).square().sum().backward()
        steps_in(tracker.step)
    closed_in(tracker.close)
    nn.Linear(1, 1)(torch.ones(1, 1))  # at the latest when the next module runs, the mode has gone
    assert not torch.overrides._get_current_function_mode_stack()
    m = read_pickle(tracker.out_path)["metadata"]
    return sorted(set(m.loc[m["tensor_type"] == "Attention", "step"]))


def here(function):
    function()


@pytest.mark.slow
def test_steps_that_end_in_another_thread_leave_no_mode_in_that_of_the_model():
    torch._dynamo.reset()
    model = Attention(by_kernel)
    model.compile(backend="aot_eager")
    assert in_threads(model, model, steps_in=elsewhere, closed_in=here) == [0, 1]
    assert in_threads(model, model, steps_in=here, closed_in=elsewhere) == [0, 1]
    with pytest.warns(UserWarning, match="attention of a model that a compiled function calls is not recorded where"):
        torch._dynamo.reset()
        model = Attention(by_kernel)
        assert in_threads(called(model), model, steps_in=elsewhere, closed_in=here) == []
