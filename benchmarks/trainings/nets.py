"""Small networks of the architectures that findings are judged on, their data and their losses."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

torch.set_num_threads(1)
_DIGITS = load_digits()
_IMAGES = torch.tensor(_DIGITS.data / 16.0, dtype=torch.float32)
IMAGES = (_IMAGES - _IMAGES.mean()) / _IMAGES.std()
LABELS = torch.tensor(_DIGITS.target)
with open(functional.__file__, encoding="utf8") as _source:  # a text that every installation has
    TEXT = torch.tensor([min(max(ord(letter) - 31, 0), 95) for letter in _source.read()[:200_000]])
LETTERS = 96


class Batch(NamedTuple):
    """A batch: inputs, what is predicted of them, and noise for those that need it."""

    inputs: torch.Tensor
    labels: torch.Tensor
    noise: torch.Tensor
    times: torch.Tensor
    latent: torch.Tensor


class Architecture(NamedTuple):
    """How a network is built from settings, what its batches are, and its loss."""

    build: Callable[[dict[str, Any]], nn.Module]
    batch: Callable[[torch.Generator], Batch]
    loss: Callable[[nn.Module, Batch], torch.Tensor]


class Block(nn.Module):
    """A transformer block with separate query, key and value."""

    def __init__(self, width: int, heads: int, function: type[nn.Module], dropout: float):
        super().__init__()
        self.heads = heads
        self.n1, self.n2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.up, self.act, self.down = nn.Linear(width, 4 * width), function(), nn.Linear(4 * width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        y = self.n1(x)
        q, k, v = (
            layer(y).view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        x = x + self.drop(self.o(y.reshape(batch, length, width)))
        return x + self.drop(self.down(self.act(self.up(self.n2(x)))))


class GPT(nn.Module):
    """A language model of letters."""

    def __init__(self, width: int = 32, layers: int = 2, context: int = 24, function=nn.ReLU, dropout: float = 0.0):
        super().__init__()
        self.tok, self.pos = nn.Embedding(LETTERS, width), nn.Embedding(context, width)
        nn.init.normal_(self.tok.weight, std=0.02)
        nn.init.normal_(self.pos.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(width, 2, function, dropout) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, LETTERS)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        x = self.tok(letters) + self.pos(torch.arange(letters.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class CharLSTM(nn.Module):
    """A recurrent language model of letters."""

    def __init__(self, width: int = 24, hidden: int = 48):
        super().__init__()
        self.emb, self.inp = nn.Embedding(LETTERS, width), nn.Linear(width, width)
        self.rnn = nn.LSTM(width, hidden, batch_first=True)
        self.mid, self.act, self.head = nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, LETTERS)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.mid(self.rnn(self.inp(self.emb(letters)))[0])))


class UNet(nn.Module):
    """A denoiser of images of 8 × 8 with one level."""

    def __init__(self, width: int = 16):
        super().__init__()
        double = 2 * width
        self.inp = nn.Conv2d(1, width, 3, padding=1)
        self.t1, self.t2 = nn.Linear(16, width), nn.Linear(16, double)
        self.n1, self.a1, self.d1 = nn.GroupNorm(4, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)
        self.down = nn.Conv2d(width, double, 3, stride=2, padding=1)
        self.n2, self.a2, self.d2 = nn.GroupNorm(4, double), nn.SiLU(), nn.Conv2d(double, double, 3, padding=1)
        self.up = nn.ConvTranspose2d(double, width, 2, stride=2)
        self.n3, self.a3, self.d3 = nn.GroupNorm(4, double), nn.SiLU(), nn.Conv2d(double, width, 3, padding=1)
        self.out = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        waves = times[:, None] * torch.exp(-torch.arange(8) / 2.0) * 6
        at = torch.cat([waves.sin(), waves.cos()], 1)
        x = self.inp(x)
        high = self.d1(self.a1(self.n1(x))) + self.t1(at)[:, :, None, None] + x
        low = self.down(high)
        low = self.d2(self.a2(self.n2(low))) + self.t2(at)[:, :, None, None] + low
        return self.out(self.d3(self.a3(self.n3(torch.cat([self.up(low), high], 1)))))


def chain(
    *sizes: int, function: Callable[[], nn.Module] = nn.ReLU, dropout: float = 0.0, norm: type[nn.Module] | None = None
) -> nn.Sequential:
    """Return linear layers of some sizes, with an activation function between each two."""
    out: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        out += [nn.Linear(inputs, outputs), *([norm(outputs)] if norm else []), function()]
        out += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*out[: -1 - bool(dropout) - bool(norm)])


def convolutions(width: int = 12) -> nn.Sequential:
    """Return a network of three convolutions with batch norm."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        *(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()),
        *(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * width, 10)),
    )


def adversaries() -> nn.ModuleDict:
    """Return a generator and a discriminator of images."""
    discriminator = chain(64, 48, 32, 1, function=lambda: nn.LeakyReLU(0.2))
    return nn.ModuleDict({"g": chain(8, 32, 48, 64), "d": discriminator})


def images(size: int) -> Callable[[torch.Generator], Batch]:
    """Return what makes batches of images."""

    def batch(random: torch.Generator) -> Batch:
        at = torch.randint(0, len(IMAGES), (size,), generator=random)
        noise, times = torch.randn(size, 64, generator=random), torch.rand(size, generator=random)
        return Batch(IMAGES[at].clone(), LABELS[at], noise, times, torch.randn(size, 8, generator=random))

    return batch


def letters(size: int, context: int) -> Callable[[torch.Generator], Batch]:
    """Return what makes batches of text."""

    def batch(random: torch.Generator) -> Batch:
        at = torch.randint(0, len(TEXT) - context - 1, (size,), generator=random)
        text = torch.stack([TEXT[start : start + context + 1] for start in at.tolist()])
        nothing = torch.zeros(0)
        return Batch(text[:, :-1], text[:, 1:], nothing, nothing, nothing)

    return batch


def classification(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the cross entropy of the labels."""
    return functional.cross_entropy(model(batch.inputs).flatten(0, -2).float(), batch.labels.flatten())


def reconstruction(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the squared error of the inputs."""
    return functional.mse_loss(model(batch.inputs).float(), batch.inputs)


def denoising(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the squared error of the noise that was added to the inputs."""
    clean = batch.inputs.view(-1, 1, 8, 8)
    noise = batch.noise.view_as(clean)
    keep = torch.cos(batch.times * 1.5)[:, None, None, None]
    return functional.mse_loss(model(keep * clean + (1 - keep * keep).sqrt() * noise, batch.times).float(), noise)


def adversarial(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return both losses in one: the generator's gradient does not reach the discriminator."""

    def against(score: torch.Tensor, label: float) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(score.float(), torch.full_like(score.float(), label))

    fake = model["g"](batch.latent)
    discriminating = against(model["d"](batch.inputs), 1.0) + against(model["d"](fake.detach()), 0.0)
    trained = [one for one in model["d"].parameters() if one.requires_grad]
    for one in trained:
        one.requires_grad_(False)
    generating = against(model["d"](fake), 1.0)
    for one in trained:
        one.requires_grad_(True)
    return discriminating + generating


def _mlp(settings: dict[str, Any]) -> nn.Module:
    return chain(64, 48, 48, 48, 10, function=settings.get("function", nn.ReLU), dropout=settings.get("dropout", 0.0))


def _deep(settings: dict[str, Any]) -> nn.Module:
    return chain(64, *[40] * 10, 10, function=settings.get("function", nn.ReLU), norm=settings.get("norm"))


def _gpt(settings: dict[str, Any]) -> nn.Module:
    chosen = {name: settings[name] for name in ("layers", "dropout", "function") if name in settings}
    return GPT(**chosen)


ARCHITECTURES: dict[str, Architecture] = {
    "mlp": Architecture(_mlp, images(32), classification),
    "mlp_tanh": Architecture(lambda _: chain(64, 48, 48, 48, 10, function=nn.Tanh), images(32), classification),
    "deep": Architecture(_deep, images(32), classification),
    "cnn": Architecture(lambda _: convolutions(), images(24), classification),
    "gpt": Architecture(_gpt, letters(8, 24), classification),
    "lstm": Architecture(lambda _: CharLSTM(), letters(8, 16), classification),
    "unet": Architecture(lambda _: UNet(), images(16), denoising),
    "gan": Architecture(lambda _: adversaries(), images(32), adversarial),
    "autoencoder": Architecture(lambda _: chain(64, 32, 8, 32, 64, function=nn.GELU), images(32), reconstruction),
}
RATES = {
    "mlp": 2e-3, "mlp_tanh": 2e-3, "deep": 1e-3, "cnn": 3e-3, "gpt": 2e-3, "lstm": 3e-3, "unet": 2e-3, "gan": 1e-3,
    "autoencoder": 2e-3,
}  # fmt: skip
