"""The expensive part of measuring on an accelerator: eigenvalues of a Gram matrix, with torch."""

import numpy as np

from tandv.checkpoints.spectrum import blocks
from tandv.messages import missing

try:
    import torch
except ModuleNotFoundError as error:
    raise missing("torch", "torch", "measuring on a device") from error

_VALUES = 1 << 26  # 512 MiB as float64


def check(device: str) -> None:
    """Raise ValueError unless torch can compute in float64 on a device."""
    try:
        torch.zeros(1, dtype=torch.float64, device=device).sum().item()
    except (RuntimeError, TypeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"cannot measure on {device!r} ({reason}); use 'cpu', or 'cuda' where there is one") from error


def eigenvalues_on(device: str, values: np.ndarray, along: int, unit: float = 1.0) -> np.ndarray:
    """Return the eigenvalues, ascending, of the smaller of a matrix's two Gram matrices, of values over a unit."""
    short = min(values.shape)
    gram = torch.zeros((short, short), dtype=torch.float64, device=device)
    for _, block in blocks(values, along, _VALUES, unit):
        on_device = torch.from_numpy(block).to(device)
        tall = on_device if along == 0 else on_device.T
        gram.addmm_(tall.T, tall)
    return torch.linalg.eigvalsh(gram).cpu().numpy()
