"""Architectures written out in plain PyTorch, each with a batch: `WRITTEN_OUT[name]()` returns (model, arguments).

They hold what published models hold and libraries seldom do: modules and additions that work in place, layers that
are called many times, weights that are shared, frozen, sparse, quantised or computed by other layers.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.utils.checkpoint
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

Made = tuple[nn.Module, dict[str, Any]]


def _images(size: int = 16, channels: int = 3) -> torch.Tensor:
    return torch.randn(4, channels, size, size)


def _tokens(length: int = 6) -> torch.Tensor:
    return torch.randint(0, 20, (3, length))


def _head(channels: int, classes: int = 5) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def _unit(before: int, after: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def lenet() -> Made:
    first = [nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.Flatten()]
    return nn.Sequential(*first, nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 10)), {"input": _images(14, 1)}


def alexnet() -> Made:
    features = [nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2), nn.Conv2d(8, 16, 3, padding=1)]
    top = [nn.ReLU(inplace=True), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 16), nn.ReLU(inplace=True)]
    return nn.Sequential(*features, *top, nn.Linear(16, 5)), {"input": _images()}


def vgg() -> Made:
    blocks = [_unit(3, 8), _unit(8, 8), nn.MaxPool2d(2), _unit(8, 16), _unit(16, 16), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks, _head(16)), {"input": _images()}


class Residual(nn.Module):
    """A block whose input is added in place before the last activation, which works in place too."""

    def __init__(self, before: int, after: int, stride: int = 1, inner: nn.Module | None = None):
        super().__init__()
        self.body = inner or nn.Sequential(
            _unit(before, after, stride=stride), nn.Conv2d(after, after, 3, padding=1), nn.BatchNorm2d(after)
        )
        self.shortcut = nn.Conv2d(before, after, 1, stride) if stride > 1 or before != after else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.body(x)
        out += self.shortcut(x)
        return self.relu(out)


def resnet() -> Made:
    return nn.Sequential(_unit(3, 8), Residual(8, 8), Residual(8, 16, 2), _head(16)), {"input": _images()}


def _bottleneck(groups: int = 1) -> nn.Module:
    return nn.Sequential(
        _unit(16, 8, 1), _unit(8, 8, groups=groups), nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16)
    )


def resnet_bottleneck() -> Made:
    return nn.Sequential(_unit(3, 16), Residual(16, 16, inner=_bottleneck()), _head(16)), {"input": _images()}


def resnext() -> Made:
    return nn.Sequential(_unit(3, 16), Residual(16, 16, inner=_bottleneck(4)), _head(16)), {"input": _images()}


class Excited(nn.Module):
    """Squeeze and excitation: channels are weighted by their own means."""

    def __init__(self, channels: int):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 4, 1), nn.SiLU(inplace=True), nn.Conv2d(4, channels, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x).sigmoid_()


def senet() -> Made:
    return nn.Sequential(_unit(3, 8), Excited(8), Residual(8, 16, 2), Excited(16), _head(16)), {"input": _images()}


class Dense(nn.Module):
    """Each layer sees the outputs of all layers before it."""

    def __init__(self, channels: int, growth: int, layers: int):
        super().__init__()
        self.layers = nn.ModuleList(_unit(channels + i * growth, growth) for i in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


def densenet() -> Made:
    parts = [_unit(3, 8), Dense(8, 4, 3), nn.Conv2d(20, 8, 1), nn.AvgPool2d(2), Dense(8, 4, 2)]
    return nn.Sequential(*parts, _head(16)), {"input": _images()}


class Inception(nn.Module):
    """Filters of several sizes side by side."""

    def __init__(self, channels: int):
        super().__init__()
        self.branches = nn.ModuleDict(
            {"one": _unit(channels, 4, 1), "three": _unit(channels, 4), "five": _unit(channels, 4, 5)}
        )
        self.pool = nn.MaxPool2d(3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([*(branch(x) for branch in self.branches.values()), self.pool(x)], 1)


def inception() -> Made:
    return nn.Sequential(_unit(3, 4), Inception(4), Inception(16), _head(28)), {"input": _images(8)}


def squeezenet() -> Made:
    class Fire(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.squeeze, self.one, self.three = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.relu(self.squeeze(x), inplace=True)
            return torch.cat([F.relu(self.one(x), inplace=True), F.relu(self.three(x), inplace=True)], 1)

    return nn.Sequential(_unit(3, 8), Fire(), Fire(), _head(8)), {"input": _images(8)}


def mobilenet() -> Made:
    separable = [_unit(8, 8, groups=8), _unit(8, 16, 1), _unit(16, 16, stride=2, groups=16), _unit(16, 16, 1)]
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU6(inplace=True), *separable, _head(16)), {"input": _images()}


def shufflenet() -> Made:
    class Shuffled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = nn.Sequential(_unit(4, 4, 1), _unit(4, 4, groups=4))
            self.shuffle = nn.ChannelShuffle(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            kept, worked = x.chunk(2, 1)  # views, one of which is worked on
            return self.shuffle(torch.cat([kept, self.branch(worked)], 1))

    return nn.Sequential(_unit(3, 8), Shuffled(), Shuffled(), _head(8)), {"input": _images(8)}


class UNet(nn.Module):
    """Down and up again, with connections across."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.bottom = _unit(3, 8), nn.Sequential(nn.MaxPool2d(2), _unit(8, 16))
        self.up, self.last = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(16, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        across = self.down(x)
        return self.last(torch.cat([across, self.up(self.bottom(across))], 1))


def convmixer() -> Made:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.space = nn.Sequential(nn.Conv2d(8, 8, 5, groups=8, padding=2), nn.GELU(), nn.BatchNorm2d(8))
            self.channels = nn.Sequential(nn.Conv2d(8, 8, 1), nn.GELU(), nn.BatchNorm2d(8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.channels(self.space(x) + x)

    return nn.Sequential(nn.Conv2d(3, 8, 4, 4), Mixed(), Mixed(), _head(8)), {"input": _images()}


def group_norm_net() -> Made:
    layers = [
        nn.Conv2d(3, 8, 3),
        nn.GroupNorm(2, 8),
        nn.LeakyReLU(0.1, inplace=True),
        nn.InstanceNorm2d(8, affine=True),
    ]
    return nn.Sequential(*layers, nn.Hardswish(inplace=True), _head(8)), {"input": _images(8)}


class Sequence(nn.Module):
    """Tokens through a recurrent network of torch's own; its outputs and last state are returned."""

    def __init__(self, kind: type[nn.RNNBase], **settings: Any):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.recurrent = kind(8, 8, num_layers=2, batch_first=True, **settings)
        self.output = nn.Linear(16 if settings.get("bidirectional") else 8, 20)

    def forward(self, tokens: torch.Tensor) -> Any:
        hidden, state = self.recurrent(self.embed(tokens))
        return {"logits": self.output(hidden), "state": state}


class Unrolled(nn.Module):
    """A cell that is called for each token."""

    def __init__(self, kind: type[nn.Module] = nn.GRUCell):
        super().__init__()
        self.embed, self.cell, self.output = nn.Embedding(20, 8), kind(8, 8), nn.Linear(8, 20)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(len(tokens), 8)
        for token in self.embed(tokens).unbind(1):
            state = self.cell(token, state)
        return self.output(state)


class Translation(nn.Module):
    """An encoder and a decoder that looks at it: recurrent, with additive attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.encoder, self.decoder = nn.GRU(8, 8, batch_first=True), nn.GRU(8, 8, batch_first=True)
        self.query, self.key, self.score = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 1)
        self.output = nn.Linear(16, 20)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        encoded, state = self.encoder(self.embed(source))
        decoded, _ = self.decoder(self.embed(target), state)
        scores = self.score(torch.tanh(self.query(decoded)[:, :, None] + self.key(encoded)[:, None]))
        return self.output(torch.cat([decoded, scores.squeeze(-1).softmax(-1) @ encoded], -1))


class GraphConvolution(nn.Module):
    """Features are averaged over neighbours, by a sparse matrix if that is wished."""

    def __init__(self, sparse: bool):
        super().__init__()
        self.sparse = sparse
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, features: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        mixing = adjacency / adjacency.sum(1, keepdim=True)
        mix = partial(torch.sparse.mm, mixing.to_sparse()) if self.sparse else partial(torch.matmul, mixing)
        return self.second(mix(torch.relu_(self.first(mix(features)))))


class GraphAttention(nn.Module):
    """Messages along edges, gathered by index and weighted by attention."""

    def __init__(self) -> None:
        super().__init__()
        self.message, self.score, self.update = nn.Linear(8, 6), nn.Linear(6, 1), nn.GRUCell(6, 4)

    def forward(self, features: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            messages = F.elu(self.message(torch.cat([features[edges[0]], features[edges[1]]], 1)))
            weighted = messages * self.score(messages).exp()
            features = self.update(torch.zeros(len(features), 6).index_add_(0, edges[1], weighted), features)
        return features


def graph(model: nn.Module, **more: torch.Tensor) -> Made:
    return model, {"features": torch.randn(7, 4), **more}


class Switch(nn.Module):
    """Each token goes to one of several experts; in a step some may get none."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(8, 4)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 16), nn.ReLU(inplace=True), nn.Linear(16, 8)) for _ in range(4)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, chosen = self.router(x).softmax(-1).max(-1)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            rows = (chosen == i).nonzero()[:, 0]
            out[rows] = weights[rows, None] * expert(x[rows])
        return out


class Adapted(nn.Module):
    """A frozen linear layer and a low-rank correction that is trained (LoRA)."""

    def __init__(self, inner: nn.Linear, rank: int = 2):
        super().__init__()
        self.base = inner.requires_grad_(False)
        self.lora_a, self.lora_b = (
            nn.Linear(inner.in_features, rank, bias=False),
            nn.Parameter(0.1 * torch.ones(inner.out_features, rank)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + F.linear(self.lora_a(x), self.lora_b)


class Rounded(torch.autograd.Function):
    """Round to multiples of a step; gradients pass as if nothing had been rounded."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        return torch.round(x / step) * step

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


class Quantised(nn.Linear):
    """A linear layer that is trained with the 8-bit weights it will be used with."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        step = self.weight.detach().abs().max() / 127
        return F.linear(Rounded.apply(x, torch.tensor(0.05)), Rounded.apply(self.weight, step), self.bias)


class Variational(nn.Module):
    """An autoencoder with a random code."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(8, 6), nn.Linear(3, 8)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, -1)
        code = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return self.decoder(code), (mean**2 + log_variance.exp() - 1 - log_variance).sum()


class Twins(nn.Module):
    """One network for two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return F.cosine_similarity(self.tower(one), self.tower(other))


class Adversaries(nn.Module):
    """A generator judged by a discriminator, both in one pass."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2, inplace=True), nn.Linear(8, 6), nn.Tanh())
        self.discriminator = nn.Sequential(
            parametrizations.spectral_norm(nn.Linear(6, 8)), nn.LeakyReLU(0.2, inplace=True), nn.Linear(8, 1)
        )

    def forward(self, noise: torch.Tensor, real: torch.Tensor) -> dict[str, torch.Tensor]:
        fake = self.generator(noise)
        return {
            "fake": self.discriminator(fake),
            "real": self.discriminator(real),
            "once": self.discriminator(fake.detach()),
        }


class Tied(nn.Module):
    """A language model whose output layer is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True, norm_first=True)
        self.output = nn.Linear(8, 20, bias=False)
        self.output.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        logits = self.output(self.layer(self.embed(tokens), src_mask=mask, is_causal=True))
        logits /= 2.0  # in place, on a view
        return logits


class Mixer(nn.Module):
    """Layers over positions and over channels in turn (MLP-Mixer)."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(2))
        self.positions, self.channels = nn.Linear(6, 6), nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.positions(self.norms[0](x).mT).mT
        return x + self.channels(self.norms[1](x))


class Gated(nn.Module):
    """A gated feed-forward layer between root mean square norms."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.gate, self.up, self.down = nn.RMSNorm(8), nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(x)
        return x + self.down(F.silu(self.gate(h), inplace=True) * self.up(h))


class Flow(nn.Module):
    """One layer, called at each step of a solver."""

    def __init__(self) -> None:
        super().__init__()
        self.field = nn.Sequential(nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for time in range(4):
            x = x + 0.25 * self.field(torch.cat([x, torch.full((len(x), 1), time / 4)], 1))
        return x


class Hyper(nn.Module):
    """A layer whose weights another layer computes."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Linear(3, 8 * 4)

    def forward(self, x: torch.Tensor, task: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weights(task).view(4, 8))


class Recommender(nn.Module):
    """Bags of embeddings with sparse gradients, and their interactions."""

    def __init__(self) -> None:
        super().__init__()
        self.bags = nn.ModuleList(nn.EmbeddingBag(20, 4, mode="sum", sparse=False) for _ in range(2))
        self.dense, self.top = nn.Linear(5, 4), nn.Linear(7, 1)

    def forward(self, numbers: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        vectors = torch.stack([self.dense(numbers), *(bag(items) for bag in self.bags)], 1)
        products = (vectors @ vectors.mT)[:, *torch.triu_indices(3, 3, 1)]
        return self.top(torch.cat([vectors[:, 0], products], 1))


class Sine(nn.Module):
    """Coordinates to a signal through sines, from random Fourier features in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, 4))
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        angles = x @ self.frequencies
        return self.last(torch.sin(30 * self.first(torch.cat([angles.sin(), angles.cos()], -1))))


class Bare(nn.Module):
    """Parameters and no modules at all."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.matrices = nn.Parameter(torch.ones(())), nn.ParameterList(torch.randn(4, 4) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for matrix in self.matrices:
            x = torch.tanh(x @ matrix)
        return self.scale * x


class Returns(nn.Module):
    """One product in many forms: itself, a part of it, twice the same, in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.output = nn.Linear(8, 8), nn.Linear(8, 6)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.inner(x)
        logits = self.output(hidden)
        return {"logits": logits, "last": logits[:, -1], "hidden": hidden, "again": hidden}


def _normed_by_parametrisation() -> Made:
    layers = [
        parametrizations.weight_norm(nn.Linear(8, 8)),
        nn.ELU(inplace=True),
        parametrizations.orthogonal(nn.Linear(8, 8)),
    ]
    return nn.Sequential(*layers), {"input": torch.randn(4, 8)}


def _checkpointed() -> Made:
    class Recomputed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.GELU()) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for block in self.blocks:
                x = torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)
            return x

    return Recomputed(), {"x": torch.randn(4, 8)}


def _named() -> Made:
    parts = OrderedDict(
        conv=nn.Conv1d(2, 4, 3), pool=nn.MaxPool1d(2), act=nn.PReLU(), flat=nn.Flatten(), fc=nn.LazyLinear(3)
    )
    model = nn.Sequential(parts)
    batch = torch.randn(4, 2, 12)
    model(batch)  # gives the lazy layer its shape
    return model, {"input": batch}


def _volume() -> Made:
    layers = [nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.ReLU(inplace=True), nn.AdaptiveMaxPool3d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4, 2)), {"input": torch.randn(2, 1, 6, 6, 6)}


def _vectors(model: nn.Module, *shape: int, **more: torch.Tensor) -> Made:
    return model, {"x": torch.randn(*shape), **more}


def _edges() -> torch.Tensor:
    return torch.tensor([[0, 1, 2, 3, 4, 5, 6, 0], [1, 2, 3, 4, 5, 6, 0, 3]])


WRITTEN_OUT: dict[str, Callable[[], Made]] = {
    # Convolutions.
    "lenet": lenet,
    "alexnet": alexnet,
    "vgg": vgg,
    "resnet_with_in_place_additions": resnet,
    "resnet_bottleneck": resnet_bottleneck,
    "resnext": resnext,
    "senet": senet,
    "densenet": densenet,
    "inception": inception,
    "squeezenet": squeezenet,
    "mobilenet": mobilenet,
    "shufflenet": shufflenet,
    "plain_unet": lambda: (UNet(), {"x": _images(8)}),
    "convmixer": convmixer,
    "group_norm": group_norm_net,
    "convolution_1d": _named,
    "convolution_3d": _volume,
    # Sequences.
    "rnn": lambda: (Sequence(nn.RNN), {"tokens": _tokens()}),
    "lstm": lambda: (Sequence(nn.LSTM), {"tokens": _tokens()}),
    "bidirectional_gru": lambda: (Sequence(nn.GRU, bidirectional=True), {"tokens": _tokens()}),
    "unrolled_gru": lambda: (Unrolled(), {"tokens": _tokens()}),
    "unrolled_rnn": lambda: (Unrolled(nn.RNNCell), {"tokens": _tokens()}),
    "translation": lambda: (Translation(), {"source": _tokens(), "target": _tokens(4)}),
    "transformer": lambda: (
        nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        {"src": torch.randn(2, 5, 8), "tgt": torch.randn(2, 4, 8)},
    ),
    "tied_embeddings": lambda: (Tied(), {"tokens": _tokens()}),
    "mlp_mixer": lambda: _vectors(Mixer(), 2, 6, 8),
    "gated_feed_forward": lambda: _vectors(Gated(), 2, 5, 8),
    # Graphs.
    "graph_convolution": lambda: graph(GraphConvolution(False), adjacency=torch.eye(7) + torch.eye(7).roll(1, 0)),
    "sparse_graph_convolution": lambda: graph(GraphConvolution(True), adjacency=torch.eye(7) + torch.eye(7).roll(1, 0)),
    "graph_attention": lambda: graph(GraphAttention(), edges=_edges()),
    # Experts, adapters, quantisation.
    "switch": lambda: _vectors(Switch(), 12, 8),
    "lora": lambda: (nn.Sequential(Adapted(nn.Linear(8, 8)), nn.Linear(8, 2)), {"input": torch.randn(4, 8)}),
    "quantisation_aware": lambda: (
        nn.Sequential(Quantised(8, 8), nn.ReLU(inplace=True), Quantised(8, 4)),
        {"input": torch.randn(4, 8)},
    ),
    # Others.
    "variational_autoencoder": lambda: _vectors(Variational(), 4, 8),
    "siamese": lambda: (Twins(), {"one": torch.randn(4, 8), "other": torch.randn(4, 8)}),
    "adversaries": lambda: (Adversaries(), {"noise": torch.randn(4, 4), "real": torch.randn(4, 6)}),
    "neural_ode": lambda: _vectors(Flow(), 4, 8),
    "hypernetwork": lambda: _vectors(Hyper(), 4, 8, task=torch.randn(3)),
    "recommender": lambda: (Recommender(), {"numbers": torch.randn(3, 5), "items": _tokens(2)}),
    "sine_network": lambda: _vectors(Sine(), 9, 2),
    "parameters_only": lambda: _vectors(Bare(), 5, 4),
    "outputs_that_alias": lambda: _vectors(Returns(), 2, 5, 8),
    "parametrised_weights": _normed_by_parametrisation,
    "activation_checkpointing": _checkpointed,
}
