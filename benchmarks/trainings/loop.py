"""One training by settings, tracked, with the places at which a fault takes hold of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.trainings.nets import ARCHITECTURES, Architecture, Batch
from benchmarks.trainings.others import OTHERS
from tandv.track.torch import track

MATRICES = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
DEFAULTS = {
    "seed": 0, "optimiser": "adam", "lr": 2e-3, "steps": 120, "precision": "fp32", "accumulate": 1, "clip": 0.0,
    "warmup": 0, "decay": 0.0, "insight": True, "scale": 2.0**16, "every": 1, "units": False,
}  # fmt: skip
_LOW = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp16_without_scaler": torch.float16}


class Lion(torch.optim.Optimizer):
    """Updates of one size in the direction of an average of gradients."""

    def __init__(self, parameters, lr: float, weight_decay: float = 0.0):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for one in group["params"]:
                if one.grad is not None:
                    mean = self.state[one].setdefault("exp_avg", torch.zeros_like(one))
                    one.mul_(1 - group["lr"] * group["weight_decay"])
                    one.add_((0.9 * mean + 0.1 * one.grad).sign(), alpha=-group["lr"])
                    mean.mul_(0.99).add_(one.grad, alpha=0.01)


def _muon(parameters, lr, decay):
    matrices = [one for one in parameters if one.ndim == 2]
    rest = [one for one in parameters if one.ndim != 2]
    return [torch.optim.Muon(matrices, lr, weight_decay=decay), torch.optim.AdamW(rest, lr / 10)]


OPTIMISERS: dict[str, Callable[[list, float, float], list[torch.optim.Optimizer]]] = {
    "sgd": lambda p, lr, decay: [torch.optim.SGD(p, lr, weight_decay=decay)],
    "momentum": lambda p, lr, decay: [torch.optim.SGD(p, lr, momentum=0.9, weight_decay=decay)],
    "adam": lambda p, lr, decay: [torch.optim.Adam(p, lr)],
    "adamw": lambda p, lr, decay: [torch.optim.AdamW(p, lr, weight_decay=decay)],
    "nadam": lambda p, lr, decay: [torch.optim.NAdam(p, lr)],
    "rmsprop": lambda p, lr, decay: [torch.optim.RMSprop(p, lr)],
    "adagrad": lambda p, lr, decay: [torch.optim.Adagrad(p, lr)],
    "adafactor": lambda p, lr, decay: [torch.optim.Adafactor(p, lr)],
    "lion": lambda p, lr, decay: [Lion(p, lr, decay)],
    "muon": _muon,
}


class Run:
    """A training that faults take hold of: its settings, its model, and what is called at places of the loop."""

    def __init__(self, settings: dict[str, Any]):
        self.settings = DEFAULTS | settings
        torch.manual_seed(self.settings["seed"])
        self.architecture: Architecture = (ARCHITECTURES | OTHERS)[self.settings["architecture"]]
        self.model = self.architecture.build(self.settings)
        self.modules = dict(self.model.named_modules())
        self.matrices = [name for name, one in self.modules.items() if isinstance(one, MATRICES)]
        self.random = np.random.default_rng(self.settings["seed"] + 1000)
        self.truth: dict[str, Any] = {}
        self.left_out: set[nn.Parameter] = set()  # of the optimiser
        self.optimisers: list[torch.optim.Optimizer] = []
        self.places: dict[str, list[Callable[..., Any]]] = {
            name: [] for name in ("begin", "batch", "loss", "gradients", "done")
        }

    def at(self, place: str, action: Callable[..., Any]) -> None:
        """Call something at a place of the loop: "begin"(step), "batch"(step, batch), "loss"(step, loss), ..."""
        self.places[place].append(action)

    def one_of(self, names: list[str]) -> str:
        """Return one of some names, by the seed."""
        return names[int(self.random.integers(len(names)))]

    def sometime(self, low: float = 0.35, high: float = 0.65) -> int:
        """Return a step in the middle of the run, by the seed."""
        return int(self.settings["steps"] * self.random.uniform(low, high))

    def is_true(self, kind: str, layers: list[str] | None = None, step: int | None = 0) -> None:
        """Write down what is wrong: the kind, the layers and the step; None where any is right."""
        self.truth = {"kinds": [kind], "layers": layers, "step": step}

    def train(self, folder: Path) -> list[float]:
        """Train, tracked into a folder, beside which the truth is written; return the losses."""
        s = self.settings
        random = torch.Generator().manual_seed(s["seed"])
        if s["precision"] == "bf16_weights":
            self.model.bfloat16()
        trained = [one for one in self.model.parameters() if one.requires_grad and one not in self.left_out]
        self.optimisers = OPTIMISERS[s["optimiser"]](trained, s["lr"], s["decay"])
        scaler = None
        if s["precision"] == "fp16":
            scaler = torch.amp.GradScaler("cpu", init_scale=s["scale"], growth_interval=40)
        losses = []
        options = {
            "track_updates": True,
            "insight": s["insight"],
            "offload_inc": 200,
            "every": s["every"],
            "units": s["units"],
        }
        with track(self.model, optimizer=self.optimisers, path=folder, offload_type=".parquet", **options) as tracker:
            for step in range(s["steps"]):
                self._warm_up(step)
                self._call("begin", step)
                total = 0.0
                for _ in range(s["accumulate"]):
                    total += self._backward(step, random, scaler) / s["accumulate"]
                for optimiser in self.optimisers if scaler else ():
                    scaler.unscale_(optimiser)
                self._call("gradients", step)
                if s["clip"]:
                    nn.utils.clip_grad_norm_(trained, s["clip"])
                for optimiser in self.optimisers:
                    scaler.step(optimiser) if scaler else optimiser.step()
                if scaler:
                    scaler.update()
                self._call("done", step)
                for one in self.model.parameters():
                    one.grad = None
                losses.append(total)
                tracker.step(loss=total)
        kept = {name: value for name, value in s.items() if isinstance(value, str | int | float | bool)}
        (folder / "truth.json").write_text(json.dumps({"settings": kept, "truth": self.truth, "losses": losses}))
        return losses

    def _warm_up(self, step: int) -> None:
        if self.settings["warmup"]:
            for optimiser in self.optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = self.settings["lr"] * min(1.0, (step + 1) / self.settings["warmup"])

    def _backward(self, step: int, random: torch.Generator, scaler: Any) -> float:
        precision = self.settings["precision"]
        batch = self.architecture.batch(random)
        if precision == "bf16_weights":
            batch = Batch(*(one.bfloat16() if one.is_floating_point() else one for one in batch))
        for change in self.places["batch"]:
            batch = change(step, batch)
        low = _LOW.get(precision)
        with torch.autocast("cpu", low or torch.bfloat16, enabled=low is not None):
            loss = self.architecture.loss(self.model, batch)
        shown = float(loss.detach())
        for change in self.places["loss"]:
            loss = change(step, loss)
        (scaler.scale(loss) if scaler else loss).div(self.settings["accumulate"]).backward()
        return shown

    def _call(self, place: str, step: int) -> None:
        for action in self.places[place]:
            action(step)
