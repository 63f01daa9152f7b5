"""The demo's GPT in PyTorch, and its training."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tandv.demo.gpt_size import DECAY, HEADS, LAYERS, RATE, VOCABULARY, WARM_UP, WIDTH, deviation
from tandv.track.torch import TorchTracker, track

# isort: split
import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    """Causal self-attention with the names of the published models (wq, wk, wv, wo)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (w(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.wo(mixed.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int):
        super().__init__()
        self.w1, self.w2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gelu = nn.GELU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w2(self.gelu(self.w1(x)))


class TransformerLayer(nn.Module):
    """A transformer layer with layer norm before attention and before the feed-forward part."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.ffn_norm, self.feed_forward = nn.LayerNorm(width), FeedForward(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class GPT(nn.Module):
    """A transformer that predicts the next of `vocabulary` tokens.

    >>> GPT(layers=1, width=8, heads=2, context=4)(torch.zeros(2, 4, dtype=torch.int64)).shape
    torch.Size([2, 4, 256])
    """

    def __init__(self, layers: int, width: int, heads: int, context: int, vocabulary: int = VOCABULARY):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.layers = nn.ModuleList(TransformerLayer(width, heads) for _ in range(layers))
        self.norm, self.output = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=deviation(name.split(".")[-2], layers))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        for layer in self.layers:
            x = layer(x)
        return self.output(self.norm(x))


@contextlib.contextmanager
def threads() -> Iterator[None]:
    """Train in one thread: for a model this small several take longer, and on a busy machine many times as long.

    >>> with threads():
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Training:
    """The demo's model with its optimiser; `step` trains it on one batch of tokens [sequences, context + 1]."""

    def __init__(self, seed: int, context: int):
        torch.manual_seed(seed)
        self.model = GPT(LAYERS, WIDTH, HEADS, context)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=RATE, weight_decay=DECAY)
        self.schedule = torch.optim.lr_scheduler.LinearLR(self.optimizer, 1 / WARM_UP, total_iters=WARM_UP)
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())

    def track(self, path: Path | None, thorough: bool = False) -> TorchTracker:
        return track(self.model, optimizer=self.optimizer, name="demo", path=path, insight=thorough)

    def step(self, tracker: TorchTracker, batch: np.ndarray) -> float:
        tokens = torch.from_numpy(batch)
        loss = functional.cross_entropy(self.model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        tracker.step(loss=loss)
        return loss.item()
