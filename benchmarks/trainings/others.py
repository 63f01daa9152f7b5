"""Healthy networks unlike those that thresholds were chosen on: what else people train, on a small scale."""

import copy
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.trainings.nets import (
    IMAGES,
    LABELS,
    LETTERS,
    Architecture,
    Batch,
    adversaries,
    chain,
    classification,
    images,
    letters,
)


class Residual(nn.Module):
    """A residual network of images: functional activations, the last norm of each branch begins at zero."""

    def __init__(self, width: int = 12, blocks: int = 3):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.conv1 = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(blocks))
        self.norm1 = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(blocks))
        self.conv2 = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(blocks))
        self.norm2 = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(blocks))
        for norm in self.norm2:
            nn.init.zeros_(norm.weight)
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.stem(x.view(-1, 1, 8, 8)))
        for conv1, norm1, conv2, norm2 in zip(self.conv1, self.norm1, self.conv2, self.norm2, strict=True):
            x = functional.relu(x + norm2(conv2(functional.relu(norm1(conv1(x))))))
        return self.head(x.mean((2, 3)))


class Vision(nn.Module):
    """A vision transformer with a class token, of PyTorch's own layers."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.patches = nn.Linear(4, width)
        self.token, self.places = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(0.02 * torch.randn(17, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, 0.1, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = x.view(-1, 4, 2, 4, 2).transpose(2, 3).reshape(len(x), 16, 4)
        x = torch.cat([self.token.expand(len(x), -1, -1), self.patches(patches)], 1) + self.places
        return self.head(self.norm(self.encoder(x))[:, 0])


class Llama(nn.Module):
    """A language model without biases: RMSNorm, gated units, shared embedding, projections that begin at zero."""

    def __init__(self, width: int = 32, blocks: int = 2):
        super().__init__()
        self.tok = nn.Embedding(LETTERS, width)
        nn.init.normal_(self.tok.weight, std=0.02)
        linear = lambda inputs, outputs: nn.Linear(inputs, outputs, bias=False)  # noqa: E731
        self.norms = nn.ModuleList(nn.RMSNorm(width) for _ in range(2 * blocks + 1))
        self.qkv = nn.ModuleList(linear(width, 3 * width) for _ in range(blocks))
        self.out = nn.ModuleList(linear(width, width) for _ in range(blocks))
        self.gate = nn.ModuleList(linear(width, 2 * 48) for _ in range(blocks))
        self.down = nn.ModuleList(linear(48, width) for _ in range(blocks))
        for layer in [*self.out, *self.down]:
            nn.init.zeros_(layer.weight)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        x = self.tok(text)
        for at, (qkv, out, gate, down) in enumerate(zip(self.qkv, self.out, self.gate, self.down, strict=True)):
            q, k, v = (one.unflatten(-1, (2, -1)).transpose(1, 2) for one in qkv(self.norms[2 * at](x)).chunk(3, -1))
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + out(mixed.transpose(1, 2).flatten(2))
            up, by = gate(self.norms[2 * at + 1](x)).chunk(2, -1)
            x = x + down(up * functional.silu(by))
        return functional.linear(self.norms[-1](x), self.tok.weight)


class Variational(nn.Module):
    """A variational autoencoder."""

    def __init__(self):
        super().__init__()
        self.encode, self.decode = chain(64, 48, 16), chain(8, 48, 64)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, log_variance = self.encode(x).chunk(2, -1)
        return self.decode(mean + torch.randn_like(mean) * (log_variance / 2).exp()), mean, log_variance


class Experts(nn.Module):
    """A layer of experts, of which each input visits the best."""

    def __init__(self, experts: int = 4):
        super().__init__()
        self.stem, self.router = nn.Linear(64, 32), nn.Linear(32, experts)
        self.experts = nn.ModuleList(chain(32, 48, 32) for _ in range(experts))
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        share, chosen = self.router(x).softmax(-1).max(-1)
        mixed = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            if (mine := chosen == number).any():
                mixed[mine] = expert(x[mine]) * share[mine, None]
        return self.head(x + mixed)


class Adapted(nn.Module):
    """A frozen network with adapters of low rank, one half of which begins at zero."""

    def __init__(self):
        super().__init__()
        self.base = chain(64, 48, 48, 10)
        self.base.requires_grad_(False)
        self.down = nn.ModuleList(nn.Linear(inputs, 4, bias=False) for inputs in (64, 48, 48))
        self.up = nn.ModuleList(nn.Linear(4, outputs, bias=False) for outputs in (48, 48, 10))
        for layer in self.up:
            nn.init.zeros_(layer.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for at, (down, up) in enumerate(zip(self.down, self.up, strict=True)):
            x = self.base[2 * at](x) + up(down(x))
            x = x if at == 2 else x.relu()
        return x


class Waves(nn.Module):
    """A network of sines that learns one image."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 48), nn.Linear(48, 48), nn.Linear(48, 1)])
        for layer, size in zip(self.layers, (0.5, 0.02, 0.02), strict=True):
            nn.init.uniform_(layer.weight, -size, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers[:-1]:
            x = torch.sin(30 * layer(x))
        return self.layers[-1](x)


class Teacher(nn.Module):
    """A student that predicts what a slowly following copy of itself says of another view."""

    def __init__(self):
        super().__init__()
        self.student, self.predict = chain(64, 48, 24, norm=nn.BatchNorm1d), chain(24, 24, 24)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            for slow, fast in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
                slow.lerp_(fast, 0.02)
        views = x + 0.3 * torch.randn_like(x), x + 0.3 * torch.randn_like(x)
        return self.predict(self.student(views[0])), self.teacher(views[1])


class Recommender(nn.Module):
    """Factors of many users and items, of which a batch sees few."""

    def __init__(self):
        super().__init__()
        self.users, self.items = nn.Embedding(2000, 16), nn.Embedding(500, 16)
        self.head = chain(32, 32, 1)

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.users(pairs[:, 0]), self.items(pairs[:, 1])], -1))[:, 0]


class Gated(nn.Module):
    """A recurrent network that remembers the first of a row of numbers."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(8, 32, 2, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x.view(-1, 8, 8))[0][:, -1])


def evidence(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the negative evidence bound."""
    again, mean, log_variance = model(batch.inputs)
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1).mean()
    return functional.mse_loss(again.float(), batch.inputs) * 64 + divergence


def contrast(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the loss by which two views of an image find each other."""
    views = [functional.normalize(model(batch.inputs + 0.3 * torch.randn_like(batch.inputs)), dim=-1) for _ in "ab"]
    return functional.cross_entropy((views[0] @ views[1].T).float() / 0.1, torch.arange(len(batch.inputs)))


def agreement(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return how far the student's prediction is from the teacher's word, 0 to 4."""
    said, meant = model(batch.inputs)
    return 2 - 2 * functional.cosine_similarity(said.float(), meant.float(), dim=-1).mean()


def one_image(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the squared error of the first image."""
    at = torch.stack(torch.meshgrid(torch.linspace(-1, 1, 8), torch.linspace(-1, 1, 8), indexing="ij"), -1)
    return functional.mse_loss(model(at.view(-1, 2)).float()[:, 0], IMAGES[0])


def ratings(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the squared error of ratings that numbers of users and items give."""
    return functional.mse_loss(model(batch.inputs).float(), batch.labels)


def critic(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return both losses of a Wasserstein GAN, whose critic's weights are clipped."""
    with torch.no_grad():
        for one in model["d"].parameters():
            one.clamp_(-0.1, 0.1)
    fake = model["g"](batch.latent)
    return model["d"](fake.detach()).mean() - model["d"](batch.inputs).mean() + _generating(model, fake)


def _generating(model: nn.Module, fake: torch.Tensor) -> torch.Tensor:
    for one in model["d"].parameters():
        one.requires_grad_(False)
    loss = -model["d"](fake).mean()
    for one in model["d"].parameters():
        one.requires_grad_(True)
    return loss


def two_tasks(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the loss of one of two heads, which take turns by the batch."""
    head = "even" if int(batch.labels[0]) % 2 == 0 else "odd"
    return functional.cross_entropy(model[head](model["trunk"](batch.inputs)).float(), batch.labels)


def _pairs(random: torch.Generator) -> Batch:
    users, items = torch.randint(0, 2000, (32,), generator=random), torch.randint(0, 500, (32,), generator=random)
    rating = torch.sin(users / 300.0) * torch.cos(items / 80.0)
    nothing = torch.zeros(0)
    return Batch(torch.stack([users, items], 1), rating, nothing, nothing, nothing)


def _few(size: int, of: int):
    """Return what makes batches of the first images only, which are soon known by heart."""

    def batch(random: torch.Generator) -> Batch:
        at = torch.randint(0, of, (size,), generator=random)
        nothing = torch.zeros(0)
        return Batch(IMAGES[at].clone(), LABELS[at], nothing, nothing, nothing)

    return batch


def _heads(_: dict[str, Any]) -> nn.Module:
    return nn.ModuleDict({"trunk": chain(64, 48, 48), "even": nn.Linear(48, 10), "odd": nn.Linear(48, 10)})


OTHERS: dict[str, Architecture] = {
    "residual": Architecture(lambda _: Residual(), images(32), classification),
    "vision": Architecture(lambda _: Vision(), images(24), classification),
    "llama": Architecture(lambda _: Llama(), letters(8, 24), classification),
    "variational": Architecture(lambda _: Variational(), images(32), evidence),
    "experts": Architecture(lambda _: Experts(), images(32), classification),
    "adapted": Architecture(lambda _: Adapted(), images(32), classification),
    "waves": Architecture(lambda _: Waves(), images(4), one_image),
    "teacher": Architecture(lambda _: Teacher(), images(32), agreement),
    "recommender": Architecture(lambda _: Recommender(), _pairs, ratings),
    "gated": Architecture(lambda _: Gated(), images(32), classification),
    "contrast": Architecture(lambda _: chain(64, 64, 64, 16), images(32), contrast),
    "by_heart": Architecture(lambda _: chain(64, 48, 48, 10), _few(8, 40), classification),
    "single": Architecture(lambda _: chain(64, 48, 10), images(1), classification),
    "wasserstein": Architecture(lambda _: adversaries(), images(32), critic),
    "heads": Architecture(_heads, images(16), two_tasks),
}
HEALTHY_OTHERS: list[dict[str, Any]] = [
    {"architecture": "residual", "optimiser": "momentum", "lr": 0.05},
    {"architecture": "residual", "optimiser": "adamw", "lr": 3e-3, "precision": "bf16", "steps": 200},
    {"architecture": "vision", "optimiser": "adamw", "lr": 1e-3, "warmup": 20, "decay": 0.05},
    {"architecture": "vision", "optimiser": "lion", "lr": 2e-4, "warmup": 20},
    {"architecture": "llama", "optimiser": "adamw", "lr": 3e-3, "warmup": 20, "clip": 1.0, "decay": 0.1, "steps": 200},
    {"architecture": "llama", "optimiser": "muon", "lr": 0.02, "clip": 1.0},
    {"architecture": "llama", "optimiser": "adafactor", "lr": 1e-2},
    {"architecture": "llama", "precision": "fp16", "optimiser": "adamw", "lr": 2e-3},
    {"architecture": "variational", "lr": 2e-3},
    {"architecture": "variational", "optimiser": "sgd", "lr": 1e-3},
    {"architecture": "experts", "lr": 2e-3},
    {"architecture": "experts", "optimiser": "momentum", "lr": 0.05},
    {"architecture": "adapted", "lr": 5e-3},
    {"architecture": "waves", "lr": 1e-3, "steps": 300},
    {"architecture": "teacher", "lr": 1e-3},
    {"architecture": "teacher", "optimiser": "momentum", "lr": 0.02},
    {"architecture": "recommender", "lr": 5e-3, "steps": 200},
    {"architecture": "recommender", "optimiser": "adagrad", "lr": 0.05},
    {"architecture": "gated", "lr": 3e-3},
    {"architecture": "gated", "optimiser": "rmsprop", "lr": 1e-3, "clip": 1.0},
    {"architecture": "contrast", "lr": 2e-3},
    {"architecture": "contrast", "optimiser": "sgd", "lr": 0.3},
    {"architecture": "by_heart", "lr": 3e-3, "steps": 400},
    {"architecture": "by_heart", "optimiser": "sgd", "lr": 0.1, "steps": 400},
    {"architecture": "by_heart", "optimiser": "momentum", "lr": 0.05, "steps": 400},
    {"architecture": "single", "lr": 1e-3, "steps": 300},
    {"architecture": "single", "optimiser": "sgd", "lr": 0.02, "steps": 300},
    {"architecture": "wasserstein", "optimiser": "rmsprop", "lr": 5e-4},
    {"architecture": "heads", "lr": 2e-3},
    {"architecture": "heads", "optimiser": "momentum", "lr": 0.02, "every": 2},
]
